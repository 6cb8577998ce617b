"""How users say how the variables of an object cross: by axes, and by filters.

Where a transformation takes an axis or a sharding for an argument, an object may get one for each
group of its variables: ``nnx.StateAxes({nnx.Param: 0, ...: None})``. A single one is for all.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax

from linnet.base import errors
from linnet.base.typing import Path
from linnet.lift.engine import Group
from linnet.nnx.graph.layout import layout_of
from linnet.nnx.graph.states import State, create_path_filters
from linnet.nnx.objects.nodes import is_node, key_of
from linnet.nnx.objects.variable import Variable
from linnet.nnx.transforms.arguments import Within
from linnet.state.filters import Everything, Filter, PathIn, Predicate, to_predicate
from linnet.state.partitioning import PARTITION_NAME


class _ByFilter:
    """Pairs of filter and placement, of which the first whose filter matches counts."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Any, /) -> None:
        if isinstance(pairs, State):
            pairs = create_path_filters(pairs)
        items: Iterable[Any] = pairs.items() if isinstance(pairs, Mapping) else pairs
        self._pairs = tuple((each, placement) for each, placement in items)

    @property
    def filters(self) -> tuple[Filter, ...]:
        """The filters."""
        return tuple(each for each, _ in self._pairs)

    def items(self) -> Iterable[tuple[Filter, Any]]:
        """Return the pairs of filter and placement."""
        return self._pairs

    def map_prefix(self, path: Any, variable: Any) -> Any:
        """Return the placement of a variable.

        Raises:
            ValueError: no filter matches it.
        """
        for each, placement in self._pairs:
            if to_predicate(each)(path, variable):
                return placement
        raise ValueError(
            f"No filter matches {errors.path_text(path)} in {self!r}; add `...` as the last one."
        )

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._pairs == other._pairs  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self._pairs)!r})"


class StateAxes(_ByFilter):
    """The axes of the variables of an object, by filters.

    >>> from linnet import nnx
    >>> nnx.StateAxes({nnx.Param: 0, ...: None}).axes
    (0, None)
    """

    __slots__ = ()

    @property
    def axes(self) -> tuple[Any, ...]:
        """The axes, in the order of the filters."""
        return tuple(axis for _, axis in self._pairs)


class StateSharding(_ByFilter):
    """The shardings of the variables of an object, by filters."""

    __slots__ = ()

    @property
    def shardings(self) -> tuple[Any, ...]:
        """The shardings, in the order of the filters."""
        return tuple(sharding for _, sharding in self._pairs)


# leaves of the trees of axes in which they stand
for _cls in (StateAxes, StateSharding):
    jax.tree_util.register_static(_cls)


def filters_of(placement: Any) -> list[tuple[Predicate, Any]]:
    """Return what was said for an object as pairs of predicate and placement."""
    if isinstance(placement, _ByFilter):
        return [(to_predicate(each), where) for each, where in placement.items()]
    return [(Everything(), placement)]


def is_by_filter(value: Any) -> bool:
    """Tell whether a placement is one by filters."""
    return isinstance(value, _ByFilter)


def prefix(node: Any, filter_map: Any, /, *, graph: bool | None = None) -> Any:
    """Say how the parts of a model cross, for a transformation to be told.

    Args:
        node: the model, or a pytree of models, variables and arrays.
        filter_map: a mapping of filters, of which the first that matches counts, to axes or
            shardings; or a function ``(path, leaf)`` that returns one.
        graph: taken for Flax's sake.

    Returns:
        The pytree with what was said in the places of variables and arrays, and a
        :class:`StateAxes` in the place of each model.

    Raises:
        ValueError: no filter matches a leaf.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> model = nnx.Dict(w=nnx.Param(jnp.ones((3, 2))), n=nnx.BatchStat(jnp.array(1.0)))
    >>> axes = nnx.prefix(model, {nnx.Param: 0, ...: None})
    >>> nnx.vmap(lambda m: m.w[...].sum() + m.n[...], in_axes=(axes,))(model)
    Array([3., 3., 3.], dtype=float32)
    """
    if callable(filter_map):
        said = filter_map
    else:
        by_filter = StateAxes(filter_map)

        def said(path: Path, leaf: Any) -> Any:
            return by_filter.map_prefix(path, leaf)

    def of(path: Path, leaf: Any) -> Any:
        if isinstance(leaf, Variable) or not is_node(leaf):
            return said(path, leaf)
        layout = layout_of(leaf)
        parts = zip(layout.paths, layout.leaves(), strict=True)
        return StateAxes({PathIn(p): said((*path, *p), part) for p, part in parts})

    leaves, treedef = jax.tree_util.tree_flatten_with_path(node, is_leaf=is_node)
    return jax.tree.unflatten(treedef, [of(tuple(map(key_of, p)), leaf) for p, leaf in leaves])


class Carry:
    """Stands, among axes, for what goes from one step of a scan to the next."""


def _is_axis(value: Any) -> bool:
    return value is None or value is Carry or isinstance(value, int) or is_by_filter(value)


def _leaves(axes: Any) -> Iterator[tuple[Path, Any]]:
    """Iterate over the axes in nested lists, tuples and dictionaries of them, with their paths.

    Raises:
        TypeError: something in there is no axis.
    """
    pairs, _ = jax.tree_util.tree_flatten_with_path(axes, is_leaf=_is_axis)
    for path, axis in pairs:
        if not _is_axis(axis):
            raise TypeError(
                f"{axis!r} was given as an axis. An axis is an integer, None, an nnx.StateAxes, in "
                "a scan nnx.Carry, or a tuple, list or dictionary of these, as the arguments are "
                "built."
            )
        yield tuple(map(key_of, path)), axis


def for_jax(axes: Any, unmapped: Any) -> Any:
    """Return axes without what is said of objects, which have no leaves that JAX sees."""

    def plain(axis: Any) -> Any:
        return unmapped if axis is None or is_by_filter(axis) else axis

    return jax.tree.map(plain, axes, is_leaf=_is_axis)


def placed(home: Path, axes: Any, name: Any, special: Mapping[Any, Group] = {}) -> list[Group]:
    """Return the groups that axes make of the variables below a home.

    Args:
        home: an argument, or the result.
        axes: the axes, a prefix of it.
        name: what the metadata of variables calls the axis.
        special: the groups of axes that are none, whatever filter they are for.
    """
    groups: list[Group] = []
    for path, each in _leaves(axes):
        for picks, axis in filters_of(each):
            group = special.get(axis) or Group(picks, axis, axis_metadata=name)
            groups.append(dataclasses.replace(group, picks=Within((*home, *path), picks)))
    return groups


def placed_arguments(
    axes: Iterable[Any], name: Any, special: Mapping[Any, Group] = {}
) -> list[Group]:
    """Return the groups of all arguments, given the axes of each; see :func:`placed`."""
    return [
        group
        for number, each in enumerate(axes)
        for group in placed((number,), each, name, special)
    ]


def axis_names(transform_metadata: Mapping[Any, Any] | None) -> Any:
    """Return what the metadata of variables is told of an axis, if it has a name on the mesh."""
    given = transform_metadata or {}
    return tuple(given.items()) if PARTITION_NAME in given else None


def per_argument(axes: Any, count: int, transform: str) -> tuple[Any, ...]:
    """Return the axes of each positional argument.

    Raises:
        ValueError: there are not as many axes as arguments.
    """
    if not isinstance(axes, list | tuple):
        return (axes,) * count
    if len(axes) != count:
        raise errors.AxesError.count(transform, axes, count)
    return tuple(axes)
