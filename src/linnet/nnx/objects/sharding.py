"""How the values of variables lie on a mesh of devices.

A variable with the metadata entry ``out_sharding``, a name or ``None`` for each axis of its value
or a ``jax.sharding.PartitionSpec``, is laid out so when it is made: on the mesh of its metadata, or
the one that ``jax.set_mesh`` made current. Names may be logical: the rules of its metadata
(``sharding_rules``), or those of ``nnx.logical_axis_rules``, say which axis of the mesh one means.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from linnet.base.config import FlagSetting
from linnet.state.logical import get_logical_axis_rules
from linnet.state.partitioning import PARTITION_NAME, constrain, get_global_mesh


class use_eager_sharding(FlagSetting):  # noqa: N801 - Flax's name
    """Set whether variables are laid out when they are made.

    As a statement, for a ``with`` block, or for a function that this decorates.

    >>> with use_eager_sharding(False):
    ...     using_eager_sharding()
    False
    """

    _flag = "flax_always_shard_variable"


def using_eager_sharding() -> bool:
    """Tell whether variables are laid out when they are made."""
    return use_eager_sharding.current_value()


def placed(metadata: Mapping[str, Any], value: Any, kind: str) -> Any:
    """Lay the value of a new variable out as its metadata says.

    Args:
        metadata: the metadata.
        value: the value.
        kind: the type of the variable, for the message.

    Raises:
        ValueError: there is no mesh to lay it out on.
    """
    names = metadata.get("out_sharding")
    if not names or not metadata.get("eager_sharding", using_eager_sharding()):
        return value
    leaves = jax.tree.leaves(value)
    if not all(isinstance(leaf, jax.Array) for leaf in leaves):
        return value
    mesh = metadata.get("mesh")
    if mesh is None and get_global_mesh() is None:
        raise ValueError(
            f"A {kind} of shape {tuple(getattr(value, 'shape', ()))} was made with "
            f"out_sharding={names!r}, but there is no mesh to lay it out on. Make one current, "
            "`with jax.set_mesh(mesh):`, pass mesh=mesh along, or put the layout off with "
            "eager_sharding=False."
        )
    return constrain(value, spec_of(metadata), mesh)


def spec_of(metadata: Mapping[str, Any]) -> PartitionSpec:
    """Return the partition spec of a variable: its names, read by the rules in force."""
    names = metadata.get("out_sharding")
    if not names:
        return PartitionSpec()
    rules = metadata.get("sharding_rules") or get_logical_axis_rules()
    meant = dict(rules) if rules else {}
    return PartitionSpec(
        *(meant.get(name, name) if isinstance(name, str) else name for name in names)
    )


def sharding_of(metadata: Mapping[str, Any], mesh: Any = None) -> Any:
    """Return the sharding of a variable on its mesh, a given one or the current one, if any."""
    mesh = mesh or metadata.get("mesh") or get_global_mesh()
    return None if mesh is None else NamedSharding(mesh, spec_of(metadata))


# --- the axis of a transformation ------------------------------------------------------------


def add_axis(variable: Any, index: int, names: Mapping[Any, Any]) -> None:
    """Say in the metadata of a variable that its value got an axis.

    Args:
        variable: the variable.
        index: where the axis is.
        names: what the axis is called: under ``PARTITION_NAME`` in ``out_sharding``, under others
            in the entries of their name that are tuples.
    """
    variable.add_axis(index, names[PARTITION_NAME])
    for key, entry, name in _told(variable, names):
        variable.set_metadata(key, _like(entry, _inserted(entry, index, name)))


def remove_axis(variable: Any, index: int, names: Mapping[Any, Any]) -> None:
    """Say in the metadata of a variable that its value lost an axis; undoes :func:`add_axis`.

    Raises:
        ValueError: another name stands there.
    """
    variable.remove_axis(index, names[PARTITION_NAME])
    for key, entry, name in _told(variable, names):
        left = list(entry)
        found = left.pop(index) if -len(left) <= index < len(left) else "no axis"
        if found != name:
            raise ValueError(
                f"Axis {name!r} was to be taken off index {index} of a {type(variable).__name__} "
                f"with {key}={entry!r}, but there stands {found!r}. Pass the transform_metadata "
                "that the axis was added with."
            )
        variable.set_metadata(key, _like(entry, left))


def _told(variable: Any, names: Mapping[Any, Any]) -> list[tuple[str, Any, Any]]:
    """List the metadata entries that have an entry for each axis, with the name of the new one."""
    found: list[tuple[str, Any, Any]] = []
    for key, name in names.items():
        of_mesh = key == PARTITION_NAME
        entry = variable.get_metadata("out_sharding" if of_mesh else key, None)
        if entry and (of_mesh or isinstance(entry, tuple)):
            found.append(("out_sharding" if of_mesh else key, entry, name))
    return found


def _inserted(names: Sequence[Any], index: int, name: Any) -> list[Any]:
    longer = list(names)
    longer.extend([None] * (index - len(longer)))
    longer.insert(index if index >= 0 else len(longer) + 1 + index, name)
    return longer


def _like(names: Any, new: list[Any]) -> Any:
    return PartitionSpec(*new) if isinstance(names, PartitionSpec) else tuple(new)
