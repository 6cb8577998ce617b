"""Linen's spelling of filters: which collections an operation is about.

A filter names collections: ``True`` and ``False``, a name, a list or set of names, and
:class:`DenyList` (all but these). :func:`collections_of` reads it into :class:`InCollections`, a
set of names or the complement of one, and so closed under union, intersection and difference. The
other functions are that, spelled as Flax spells them.
"""

import builtins
import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence, Set as AbstractSet
from typing import Any, TypeAlias, cast

from linnet.base.errors import InvalidFilterError
from linnet.base.typing import Path


@dataclasses.dataclass(frozen=True, eq=True)
class DenyList:
    """All collections but those denied: ``DenyList("params")``, ``DenyList(["a", "b"])``."""

    deny: "CollectionFilter"


CollectionFilter: TypeAlias = bool | str | Collection[str] | DenyList


@dataclasses.dataclass(frozen=True)
class InCollections:
    """The variables of some collections: those in ``names`` or, with ``complement``, all others."""

    names: frozenset[str] = frozenset()
    complement: bool = False

    def __contains__(self, collection: Any) -> bool:
        return (collection in self.names) is not self.complement

    def __call__(self, path: Path, value: Any) -> bool:
        """Tell whether the variable matches."""
        return path[0] in self

    def __invert__(self) -> "InCollections":
        return InCollections(self.names, not self.complement)

    def __and__(self, other: "InCollections") -> "InCollections":
        if self.complement and other.complement:
            return InCollections(self.names | other.names, complement=True)
        if self.complement:
            return InCollections(other.names - self.names)
        if other.complement:
            return InCollections(self.names - other.names)
        return InCollections(self.names & other.names)

    def __or__(self, other: "InCollections") -> "InCollections":
        return ~(~self & ~other)

    def __sub__(self, other: "InCollections") -> "InCollections":
        return self & ~other

    def __bool__(self) -> bool:
        return self.complement or builtins.bool(self.names)

    def spelled(self) -> CollectionFilter:
        """Spell this filter as a user of Linen would."""
        if not self.names:
            return self.complement
        return DenyList(set(self.names)) if self.complement else set(self.names)


NO_COLLECTIONS = InCollections()
ALL_COLLECTIONS = InCollections(complement=True)


def collections_of(filter_like: CollectionFilter) -> InCollections:
    """Read Linen's spelling of a filter.

    Args:
        filter_like: ``True``, ``False``, a name, a list, tuple, set … of names, or a `DenyList`.

    Returns:
        The collections it names.

    Raises:
        InvalidFilterError: the value spells no filter.

    >>> collections_of(DenyList("params")) & collections_of(["params", "cache"])
    InCollections(names=frozenset({'cache'}), complement=False)
    """
    if filter_like is False:
        return NO_COLLECTIONS
    if filter_like is True:
        return ALL_COLLECTIONS
    if isinstance(filter_like, str):
        return InCollections(frozenset((filter_like,)))
    if isinstance(filter_like, DenyList):
        return ~collections_of(filter_like.deny)
    if isinstance(filter_like, InCollections):
        return filter_like
    if isinstance(filter_like, Sequence | AbstractSet | Mapping) or _is_view(filter_like):
        names = frozenset(cast("Iterable[Any]", filter_like))
        if all(isinstance(name, str) for name in names):
            return InCollections(names)
    raise InvalidFilterError(filter_like)


def _is_view(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, bytes)


def in_filter(filter_like: CollectionFilter, col: str) -> bool:
    """Tell whether a filter of collections names ``col``."""
    return col in collections_of(filter_like)


def is_filter_empty(filter_like: CollectionFilter) -> bool:
    """Tell whether a filter of collections names none."""
    return not collections_of(filter_like)


def filter_to_set(filter_like: CollectionFilter) -> set[str]:
    """Return the names in a filter that lists them.

    Raises:
        InvalidFilterError: the filter names collections by what they are not.
    """
    chosen = collections_of(filter_like)
    if chosen.complement:
        raise InvalidFilterError(filter_like)
    return set(chosen.names)


def union_filters(a: CollectionFilter, b: CollectionFilter) -> CollectionFilter:
    """Return a filter that names what ``a`` or ``b`` names."""
    return (collections_of(a) | collections_of(b)).spelled()


def intersect_filters(a: CollectionFilter, b: CollectionFilter) -> CollectionFilter:
    """Return a filter that names what both ``a`` and ``b`` name."""
    return (collections_of(a) & collections_of(b)).spelled()


def subtract_filters(a: CollectionFilter, b: CollectionFilter) -> CollectionFilter:
    """Return a filter that names what ``a`` names and ``b`` does not."""
    return (collections_of(a) - collections_of(b)).spelled()


def group_collections(
    xs: Mapping[str, Any], col_filters: Sequence[CollectionFilter]
) -> tuple[dict[str, Any], ...]:
    """Deal collections out to filters, each to the first that names it.

    Args:
        xs: collection name → variables.
        col_filters: the filters, in order of precedence.

    Returns:
        One dictionary for each filter; what no filter names is left out.
    """
    rest = dict(xs)
    groups: list[dict[str, Any]] = []
    for filter_like in col_filters:
        chosen = collections_of(filter_like)
        groups.append({name: rest.pop(name) for name in list(rest) if name in chosen})
    return tuple(groups)
