"""How users say how the variables of an object cross: by filters.

Where a transformation takes an axis or a sharding for an argument, an object may get one for each
group of its variables: ``nnx.StateAxes({nnx.Param: 0, ...: None})``. A single one is for all.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import jax

from linnet.nnx.graph.states import (
    State,
)
from linnet.nnx.pure_dicts import create_path_filters
from linnet.state.filters import Everything, Filter, Predicate, to_predicate


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
        raise ValueError(f"No axis found for {path!r} in {self!r}; add `...` as the last filter.")

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
