"""How the values of variables lie on a mesh of devices.

A variable with the metadata entry ``out_sharding``, a name or ``None`` for each axis of its value
or a ``jax.sharding.PartitionSpec``, is laid out so when it is made: on the mesh of its metadata, or
the one that ``jax.set_mesh`` made current. Names may be logical: the rules of
``nnx.logical_axis_rules`` and those of its metadata (``sharding_rules``) say which axis of the mesh
one means. A sharding or a format of JAX says all of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental.layout import Format
from jax.sharding import AxisType, NamedSharding, PartitionSpec, Sharding

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
        ValueError: there is no mesh to lay it out on, or it cannot lie so on this one.
    """
    given = metadata.get("out_sharding")
    if not given or not metadata.get("eager_sharding", using_eager_sharding()):
        return value
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(value) if isinstance(leaf, _ARRAYS)]
    if len(shapes) < len(jax.tree.leaves(value)):
        return value
    of = f"A {kind} of shape {', '.join(map(str, shapes))} was made with out_sharding={given!r}"
    whole = isinstance(given, Sharding | Format)
    mesh = getattr(given, "mesh", None) or metadata.get("mesh") or get_global_mesh()
    if mesh is None and not whole:
        raise ValueError(
            f"{of}, but there is no mesh to lay it out on. Make one current, "
            "`with jax.set_mesh(mesh):`, pass mesh=mesh along, or put the layout off with "
            "eager_sharding=False."
        )
    if mesh is not None and {AxisType.Auto, AxisType.Explicit} <= set(mesh.axis_types):
        raise ValueError(
            f"{of}, but the mesh has axes of type Auto and of type Explicit, {mesh.axis_types}, "
            "and how a value lies on both is said in two ways. Make all its axes of one type: "
            "`jax.make_mesh(..., axis_types=...)`."
        )
    spec = spec_of(metadata)
    if any(len(spec) > len(shape) for shape in shapes):
        raise ValueError(
            f"{of}, which names {len(spec)} axes, more than the value has. Give one name, or None, "
            "for each axis of the value."
        )
    try:
        return constrain(value, given if whole else spec, metadata.get("mesh"))
    except Exception as error:
        error.add_note(f"{of}, on a mesh of {None if mesh is None else dict(mesh.shape)}.")
        raise


_ARRAYS = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)


def spec_of(metadata: Mapping[str, Any]) -> PartitionSpec:
    """Return the partition spec of a variable: its names, read by the rules in force.

    Raises:
        ValueError: there are no names, or rules contradict each other.
    """
    given = metadata.get("out_sharding")
    if isinstance(given, Format):
        given = given.sharding
    if not given or isinstance(given, Sharding):
        return getattr(given, "spec", PartitionSpec())
    if isinstance(given, str) or not isinstance(given, Sequence | PartitionSpec):
        raise ValueError(
            f"out_sharding={given!r} does not say how each axis of a value lies. Give a name or "
            "None for each, out_sharding=('data', None), a PartitionSpec, or a sharding of JAX."
        )
    meant = _rules(get_logical_axis_rules() or (), metadata.get("sharding_rules") or ())
    return PartitionSpec(
        *(meant.get(name, name) if isinstance(name, str) else name for name in given)
    )


def _rules(current: Any, own: Any) -> dict[str, Any]:
    """Return the axes of the mesh by logical names: the current rules, and a variable's own."""
    meant = dict(current)
    for name, axis in own:
        if current and meant.get(name, axis) != axis:
            raise ValueError(
                f"Inconsistent rules for the logical axis {name!r}: {meant[name]!r} and {axis!r}. "
                "The sharding_rules of a variable come on top of those of nnx.logical_axis_rules; "
                "leave one of the two out."
            )
        meant[name] = axis
    return meant


def sharding_of(metadata: Mapping[str, Any], mesh: Any = None) -> Any:
    """Return the sharding of a variable on its mesh, a given one or the current one, if any."""
    given = metadata.get("out_sharding")
    if mesh is None and isinstance(given, Sharding | Format):
        return given
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
        variable.set_metadata(key, _inserted(entry, index, name))


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
        variable.set_metadata(key, tuple(left))


def _told(variable: Any, names: Mapping[Any, Any]) -> list[tuple[str, Any, Any]]:
    """List the metadata entries that have an entry for each axis, with the name of the new one."""
    found: list[tuple[str, Any, Any]] = []
    for key, name in names.items():
        of_mesh = key == PARTITION_NAME
        entry = variable.get_metadata("out_sharding" if of_mesh else key, None)
        if entry and (of_mesh or isinstance(entry, tuple)):
            found.append(("out_sharding" if of_mesh else key, entry, name))
    return found


def _inserted(names: Sequence[Any], index: int, name: Any) -> tuple[Any, ...]:
    longer = list(names)
    longer.extend([None] * (index - len(longer)))
    longer.insert(index if index >= 0 else len(longer) + 1 + index, name)
    return tuple(longer)
