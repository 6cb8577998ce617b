"""Axes named for what they mean, and rules that lay them out on a mesh.

A model names its axes once, ``("batch", "embed")``. Rules say, for one machine, which axis of its
mesh a name goes along: ``(("batch", "data"), ("embed", "model"))``. Rules are tried in order; one
applies if its name occurs among the axes, has no assignment yet, and its mesh axes are still free,
for a mesh axis can lay out only one axis of a value. So a name may have several rules, the later
ones for when the earlier cannot be had, and a rule ``(name, None)`` settles that it stays whole.
"""

import collections
import enum
import functools
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from linnet.state.partitioning import AxisNames, Partitioned, constrain, global_mesh_defined
from linnet.tree import struct

LogicalRules: TypeAlias = Sequence[tuple[str, str | tuple[str, ...] | None]]
LogicalNames: TypeAlias = Sequence[Any]

_FREE = PartitionSpec.UNCONSTRAINED

_current: ContextVar[LogicalRules] = ContextVar("logical_axis_rules", default=())


class RulesFallback(enum.Enum):
    """What becomes of a value with an axis that no rule could be applied to."""

    AXIS_IS_UNSHARDED = "axis_is_unsharded"
    RAISE_ERROR = "raise_error"
    NO_CONSTRAINT = "no_constraint"


class LogicallyPartitioned(Partitioned[Any]):
    """A value whose axes have logical names.

    Args:
        value: the value.
        names: a logical name, or ``None``, for each axis.
        mesh: the mesh to lay the value out on; without it the current one, if any.
        rules: the rules to translate the names by; without them the current ones.
    """

    rules: LogicalRules | None = struct.field(pytree_node=False, default=None)

    def __post_init__(self) -> None:
        # Part of the tree's structure, which JAX hashes.
        if isinstance(self.rules, list):
            object.__setattr__(self, "rules", tuple(self.rules))

    def unbox(self, apply_constraint: bool = True) -> Any:
        """Returns the value, constrained to its sharding where rules and a mesh are known.

        Args:
            apply_constraint: whether to constrain it at all.
        """
        if not apply_constraint:
            return self.value
        spec = self.get_partition_spec()
        return with_logical_constraint(self.value, spec, rules=self.rules, mesh=self.mesh)

    def to_nnx_metadata(self) -> dict[str, Any]:
        """Returns the fields as the metadata of an ``nnx.Variable``."""
        metadata = super().to_nnx_metadata()
        metadata["sharding_rules"] = metadata.pop("rules")
        return metadata

    @classmethod
    def from_nnx_metadata(cls, metadata: Any) -> "LogicallyPartitioned":
        """Returns a box made from the metadata of an ``nnx.Variable``; undoes the above.

        Args:
            metadata: the metadata; what is no field of the box is left out.
        """
        return super().from_nnx_metadata({**metadata, "rules": metadata["sharding_rules"]})


def with_logical_partitioning(
    fn: Callable[..., Any],
    names: AxisNames,
    mesh: Mesh | None = None,
    rules: LogicalRules | None = None,
) -> Callable[..., LogicallyPartitioned]:
    """Returns an initializer whose values are boxed with the logical names of their axes.

    Args:
        fn: the initializer.
        names: a logical name, or ``None``, for each axis.
        mesh: the mesh to lay the values out on; without it the current one, if any.
        rules: the rules to translate the names by; without them the current ones.
    """

    @functools.wraps(fn)
    def boxed(*args: Any, **kwargs: Any) -> LogicallyPartitioned:
        return LogicallyPartitioned(fn(*args, **kwargs), names, mesh=mesh, rules=rules)

    return boxed


def get_logical_axis_rules() -> LogicalRules:
    """Returns the current rules."""
    return _current.get()


def set_logical_axis_rules(rules: LogicalRules) -> None:
    """Makes rules the current ones, in this thread.

    Args:
        rules: pairs of a logical name and a mesh axis, several, or ``None``.
    """
    _current.set(rules)


@contextmanager
def logical_axis_rules(rules: LogicalRules) -> Generator[None, None, None]:
    """Makes rules the current ones for the length of a ``with`` block.

    Args:
        rules: pairs of a logical name and a mesh axis, several, or ``None``.
    """
    before = _current.get()
    _current.set(rules)
    try:
        yield
    finally:
        _current.set(before)


def logical_to_mesh_axes(
    array_dim_names: LogicalNames | None, rules: LogicalRules | None = None
) -> PartitionSpec | None:
    """Translates the logical names of a value's axes into a partition spec.

    Args:
        array_dim_names: a logical name, or ``None``, for each axis.
        rules: the rules; without them the current ones.

    Returns:
        The spec; an axis without a rule that applies stays whole. ``None`` for ``None``.

    Raises:
        ValueError: a name occurs twice.
        TypeError: the names or the rules are not of the right form.

    >>> rules = (("batch", "data"), ("embed", "data"), ("embed", "model"))
    >>> logical_to_mesh_axes(("batch", None, "embed"), rules)
    P('data', None, 'model')
    """
    if array_dim_names is None:
        return None
    assigned = _assign(array_dim_names, _current.get() if rules is None else rules)
    return PartitionSpec(*(None if axis is _UNASSIGNED else axis for axis in assigned))


def logical_to_mesh(tree: Any, rules: LogicalRules | None = None) -> Any:
    """Translates a tree of partition specs with logical names, as ``get_partition_spec`` makes it.

    Args:
        tree: a pytree of specs.
        rules: the rules; without them the current ones.
    """
    return jax.tree.map(
        lambda spec: logical_to_mesh_axes(spec, rules),
        tree,
        is_leaf=lambda leaf: isinstance(leaf, PartitionSpec),
    )


def logical_to_mesh_sharding(tree: Any, mesh: Mesh, rules: LogicalRules | None = None) -> Any:
    """Translates a tree of partition specs with logical names into one of shardings.

    Args:
        tree: a pytree of specs.
        mesh: the mesh.
        rules: the rules; without them the current ones.
    """
    return jax.tree.map(
        lambda spec: NamedSharding(mesh, spec),
        logical_to_mesh(tree, rules),
        is_leaf=lambda leaf: isinstance(leaf, PartitionSpec),
    )


def with_logical_constraint(
    x: Any,
    logical_axis_resources: Any,
    rules: LogicalRules | None = None,
    mesh: Mesh | None = None,
    fallback: RulesFallback = RulesFallback.AXIS_IS_UNSHARDED,
) -> Any:
    """Returns a value constrained to the sharding that its axes' logical names stand for.

    Without rules, or without a mesh, the value is returned as it is, so that a model can name its
    axes and still run on one device.

    Args:
        x: an array or a pytree of them.
        logical_axis_resources: a logical name, or ``None``, for each axis, as a tuple or a
            partition spec; or a tree of those, which may be a prefix of ``x``. ``None`` stands
            for no constraint.
        rules: the rules; without them the current ones.
        mesh: the mesh; without it the current one.
        fallback: what to do if there is an axis to which no rule applies.

    Raises:
        ValueError: there is one and ``fallback`` is ``RAISE_ERROR``.
    """
    rules = _current.get() if rules is None else rules
    if not rules or logical_axis_resources is None:
        return x

    def constrained(names: Any, value: Any) -> Any:
        if names is None:
            return value
        assigned = _assign(names, rules)
        if _UNASSIGNED in assigned:
            if fallback is RulesFallback.RAISE_ERROR:
                raise _no_rule(names, assigned, rules)
            if fallback is RulesFallback.NO_CONSTRAINT:
                return value
        if mesh is None and not global_mesh_defined():
            return value
        axes = (None if axis is _UNASSIGNED else axis for axis in assigned)
        return constrain(value, PartitionSpec(*axes), mesh)

    return jax.tree.map(constrained, logical_axis_resources, x, is_leaf=_is_names)


class _Unassigned:
    """Stands where an axis has got no mesh axis yet."""


_UNASSIGNED = _Unassigned()


def _assign(names: LogicalNames, rules: LogicalRules) -> list[Any]:
    """Returns for each axis what its rule gives it, what is no name as it is, or _UNASSIGNED."""
    if isinstance(names, str):
        raise TypeError(
            f"the logical names of the axes were given as the text {names!r}, where each axis "
            f"has a name of its own; write ({names!r},)"
        )
    twice = [name for name, count in collections.Counter(_texts(names)).items() if count > 1]
    if twice:
        raise ValueError(
            f"the logical axes {tuple(names)!r} name {twice[0]!r} more than once, but a mesh "
            f"axis can lay out only one axis of a value; give the axes different names"
        )
    assigned = [_UNASSIGNED if isinstance(name, str) else name for name in names]
    places = {name: index for index, name in enumerate(names) if isinstance(name, str)}
    for rule in rules:
        name, axes = _checked(rule)
        index = places.get(name)
        if index is None or assigned[index] is not _UNASSIGNED:
            continue
        taken = set(_texts(_flat(assigned)))
        if taken.isdisjoint(_flat([axes])):
            assigned[index] = axes
    return assigned


def _checked(rule: Any) -> tuple[str, Any]:
    if not isinstance(rule, Sequence) or isinstance(rule, str) or len(rule) != 2:
        raise ValueError(
            f"the logical axis rule {rule!r} is no pair of a logical name and a mesh axis; write "
            f"rules like (('batch', 'data'), ('embed', ('fsdp', 'model')), ('length', None))"
        )
    name, axes = rule
    if not (axes is None or axes is _FREE or isinstance(axes, str | tuple | list)):
        raise ValueError(
            f"the logical axis rule {rule!r} gives {name!r} no mesh axis: its second part must be "
            f"a name, a tuple of names, None or PartitionSpec.UNCONSTRAINED"
        )
    return name, tuple(axes) if isinstance(axes, list) else axes


def _flat(axes: Iterable[Any]) -> list[Any]:
    return [name for each in axes for name in (each if isinstance(each, tuple) else (each,))]


def _texts(names: Iterable[Any]) -> list[str]:
    return [name for name in names if isinstance(name, str)]


def _is_names(tree: Any) -> bool:
    if tree is None or isinstance(tree, PartitionSpec):
        return True
    return isinstance(tree, tuple) and all(
        name is None or isinstance(name, str) or name is _FREE for name in tree
    )


def _no_rule(names: LogicalNames, assigned: Sequence[Any], rules: LogicalRules) -> ValueError:
    missing = [name for name, axis in zip(names, assigned, strict=True) if axis is _UNASSIGNED]
    return ValueError(
        f"the logical axes {tuple(names)!r} are to be laid out, but no rule applies to "
        f"{', '.join(map(repr, missing))}; the rules are {tuple(rules)!r}. Add a rule such as "
        f"({missing[0]!r}, None), or choose another RulesFallback"
    )
