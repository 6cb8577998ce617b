"""Filters: which variables an operation is about.

A filter is a predicate over ``(path, variable)``. Two spellings lead to it.

*NNX* spells a filter by what a variable is: its type, a string that is its tag, ``...`` or ``True``
(everything), ``None`` or ``False`` (nothing), a callable, a list or tuple (any of these), and the
combinations :class:`All`, :class:`Any`, :class:`Not`. :func:`to_predicate` reads this spelling.

*Linen* spells a filter by where a variable lives: its collection, the first key of its path.
``True`` and ``False``, a name, a list or set of names, and ``DenyList`` (all but these).
``collection_filters.py`` reads this spelling into ``InCollections``, which is a predicate like any
other: it can stand inside ``All``, ``Any`` and ``Not``.

Everything here is frozen, hashable and compares by value, so a filter can be a static argument.
"""

import builtins
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from types import EllipsisType
from typing import Any as AnyValue, TypeAlias, cast

from linnet.base import errors
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


# --- sorting by filters ------------------------------------------------------------------------


def predicates_of(filters: Sequence[Filter]) -> tuple[AnyValue, ...]:
    """Read several filters, of which the first that matches counts.

    Raises:
        ValueError: one that matches everything stands before others.
    """
    for number, each in enumerate(filters):
        everything = each is True or isinstance(each, EllipsisType)
        rest = filters[number + 1 :]
        if everything and not all(r is True or isinstance(r, EllipsisType) for r in rest):
            raise ValueError(
                f"Filter {number} of {len(filters)}, {each!r}, matches everything, so that those "
                "after it match nothing. Put `...` or True last."
            )
    return tuple(map(to_predicate, filters))


def sorted_into(
    pairs: Iterable[tuple[Path, AnyValue]], filters: Sequence[Filter], *, exhaustive: bool
) -> list[list[tuple[Path, AnyValue]]]:
    """Give each pair to the first filter that matches it."""
    predicates = predicates_of(filters)
    parts: list[list[tuple[Path, AnyValue]]] = [[] for _ in predicates]
    rest: list[tuple[Path, AnyValue]] = []
    for path, leaf in pairs:
        for predicate, part in zip(predicates, parts, strict=True):
            if predicate(path, leaf):
                part.append((path, leaf))
                break
        else:
            rest.append((path, leaf))
    if rest and exhaustive:
        raise ValueError(remainder_text(rest, filters))
    return parts


def remainder_text(rest: Sequence[tuple[Path, AnyValue]], filters: Sequence[Filter]) -> str:
    """Word the error of leaves that no filter matches."""
    shown = ", ".join(f"{errors.path_text(p)} ({type(leaf).__name__})" for p, leaf in rest[:8])
    more = f" and {len(rest) - 8} more" if len(rest) > 8 else ""
    return (
        f"Non-exhaustive filters: none of {', '.join(map(_written, filters))} matches {shown}{more}"
        ". Nothing may be lost, so add `...` as the last filter, which matches all the rest."
    )


def _written(each: Filter) -> str:
    return each.__name__ if isinstance(each, type) else repr(each)
