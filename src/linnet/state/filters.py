"""Filters: which variables an operation is about.

A filter is a predicate over ``(path, variable)``. Two spellings lead to it.

*NNX* spells a filter by what a variable is: its type, a string that is its tag, ``...`` or ``True``
(everything), ``None`` or ``False`` (nothing), a callable, a list or tuple (any of these), and the
combinations :class:`All`, :class:`Any`, :class:`Not`. :func:`to_predicate` reads this spelling.

*Linen* spells a filter by where a variable lives: its collection, the first key of its path.
``True`` and ``False``, a name, a list or set of names, and :class:`DenyList` (all but these).
:func:`collections_of` reads this spelling into :class:`InCollections`, a set of names or the
complement of one, and so closed under union, intersection and difference. ``InCollections`` is a
predicate like any other: it can stand inside ``All``, ``Any`` and ``Not``.

Everything here is frozen, hashable and compares by value, so a filter can be a static argument.
"""

import builtins
import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import EllipsisType
from typing import Any as AnyValue
from typing import TypeAlias, cast

from linnet.base.errors import InvalidFilterError
from linnet.base.typing import Path

Predicate: TypeAlias = Callable[[Path, AnyValue], bool]


# --- predicates ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Everything:
    """Matches every variable. Spelled ``...`` or ``True``."""

    def __call__(self, path: Path, value: AnyValue) -> bool:
        """Tell whether the variable matches."""
        return True


@dataclasses.dataclass(frozen=True)
class Nothing:
    """Matches no variable. Spelled ``None`` or ``False``."""

    def __call__(self, path: Path, value: AnyValue) -> bool:
        """Tell whether the variable matches."""
        return False


@dataclasses.dataclass(frozen=True)
class OfType:
    """Matches a variable of a type."""

    type: builtins.type

    def __call__(self, path: Path, value: AnyValue) -> bool:
        """Tell whether the variable matches."""
        return isinstance(value, self.type)


@dataclasses.dataclass(frozen=True)
class WithTag:
    """Matches a variable whose ``tag`` is this one."""

    tag: str

    def __call__(self, path: Path, value: AnyValue) -> bool:
        """Tell whether the variable matches."""
        return getattr(value, "tag", None) == self.tag


@dataclasses.dataclass(frozen=True)
class PathContains:
    """Matches a variable with ``key`` anywhere in its path."""

    key: AnyValue
    exact: bool = True

    def __call__(self, path: Path, value: AnyValue) -> bool:
        """Tell whether the variable matches."""
        if self.exact:
            return self.key in path
        return any(str(self.key) in str(part) for part in path)


@dataclasses.dataclass(frozen=True)
class PathIn:
    """Matches the variables at these paths."""

    paths: frozenset[Path]

    def __init__(self, *paths: Path) -> None:
        object.__setattr__(self, "paths", frozenset(paths))

    def __call__(self, path: Path, value: AnyValue) -> bool:
        """Tell whether the variable matches."""
        return path in self.paths


@dataclasses.dataclass(frozen=True)
class All:
    """Matches what every one of its filters matches."""

    predicates: tuple[Predicate, ...]

    def __init__(self, *filters: AnyValue) -> None:
        object.__setattr__(self, "predicates", tuple(map(to_predicate, filters)))

    def __call__(self, path: Path, value: AnyValue) -> bool:
        """Tell whether the variable matches."""
        return all(predicate(path, value) for predicate in self.predicates)


@dataclasses.dataclass(frozen=True)
class Any:
    """Matches what at least one of its filters matches."""

    predicates: tuple[Predicate, ...]

    def __init__(self, *filters: AnyValue) -> None:
        object.__setattr__(self, "predicates", tuple(map(to_predicate, filters)))

    def __call__(self, path: Path, value: AnyValue) -> bool:
        """Tell whether the variable matches."""
        return any(predicate(path, value) for predicate in self.predicates)


@dataclasses.dataclass(frozen=True)
class Not:
    """Matches what its filter does not match."""

    predicate: Predicate

    def __init__(self, filter_like: AnyValue, /) -> None:
        object.__setattr__(self, "predicate", to_predicate(filter_like))

    def __call__(self, path: Path, value: AnyValue) -> bool:
        """Tell whether the variable matches."""
        return not self.predicate(path, value)


Filter: TypeAlias = AnyValue


def to_predicate(filter_like: Filter) -> Predicate:
    """Read NNX's spelling of a filter.

    Args:
        filter_like: a type, a tag, ``...``, a bool, ``None``, a predicate, or a list or tuple of
            these.

    Returns:
        A predicate over ``(path, variable)``.

    Raises:
        TypeError: the value spells no filter.

    >>> to_predicate("frozen")
    WithTag(tag='frozen')
    >>> to_predicate([...])(("a",), 1)
    True
    """
    if isinstance(filter_like, str):
        return WithTag(filter_like)
    if isinstance(filter_like, type):
        return OfType(filter_like)
    if filter_like is True or isinstance(filter_like, EllipsisType):
        return Everything()
    if filter_like is False or filter_like is None:
        return Nothing()
    if callable(filter_like):
        return cast("Predicate", filter_like)
    if isinstance(filter_like, list | tuple):
        return Any(*cast("Sequence[Filter]", filter_like))
    raise TypeError(
        f"{filter_like!r} (a {type(filter_like).__name__}) is not a filter. Write a variable type "
        "(nnx.Param), a tag as a string, ... for everything, None for nothing, a function "
        "(path, variable) -> bool, a list of filters, or All/Any/Not of them."
    )


# --- Linen's spelling ---------------------------------------------------------------------------


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

    def __contains__(self, collection: AnyValue) -> bool:
        return (collection in self.names) is not self.complement

    def __call__(self, path: Path, value: AnyValue) -> bool:
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
        names = frozenset(cast("Iterable[AnyValue]", filter_like))
        if all(isinstance(name, str) for name in names):
            return InCollections(names)
    raise InvalidFilterError(filter_like)


def _is_view(value: AnyValue) -> bool:
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
    xs: Mapping[str, AnyValue], col_filters: Sequence[CollectionFilter]
) -> tuple[dict[str, AnyValue], ...]:
    """Deal collections out to filters, each to the first that names it.

    Args:
        xs: collection name → variables.
        col_filters: the filters, in order of precedence.

    Returns:
        One dictionary for each filter; what no filter names is left out.
    """
    rest = dict(xs)
    groups: list[dict[str, AnyValue]] = []
    for filter_like in col_filters:
        chosen = collections_of(filter_like)
        groups.append({name: rest.pop(name) for name in list(rest) if name in chosen})
    return tuple(groups)
