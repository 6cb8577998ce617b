"""Objects in arguments and results: where they stand, and how they are taken out and put back.

The objects that a transformed function is given are its *roots*. Each has a *home*, where in the
arguments it is, or where in the result; it is the first key of the paths of its variables. While
the values cross, a :class:`Stand` keeps the place of a root.
"""

import dataclasses
import inspect
from typing import Any

import jax

from linnet.base.typing import Path
from linnet.nnx.objects.nodes import is_node, key_of
from linnet.state.filters import Predicate


class Home(tuple[Any, ...]):
    """Where a root stands in the arguments or in the result; the first key of its paths."""

    __slots__ = ()

    def __str__(self) -> str:
        first, *rest = self
        text = first if isinstance(first, str) else f"argument {first}"
        return text + "".join(f"[{key!r}]" for key in rest)


RESULT = "the result"


@dataclasses.dataclass(frozen=True)
class Within:
    """Picks what lies below some homes, and there what another filter picks."""

    home: tuple[Any, ...]
    picks: Predicate

    def __call__(self, path: Path, value: Any) -> bool:
        """Tell whether it matches."""
        return path[0][: len(self.home)] == self.home and self.picks(path[1:], value)

    def __repr__(self) -> str:
        return f"{self.picks!r} in {Home(self.home)}"


def is_for_result(picks: Predicate) -> bool:
    """Tell whether a predicate picks what lies in the result."""
    return isinstance(picks, Within) and picks.home[:1] == (RESULT,)


@dataclasses.dataclass(frozen=True)
class InKeywords:
    """Picks what lies in keyword arguments."""

    def __call__(self, path: Path, value: Any) -> bool:
        """Tell whether it matches."""
        name = path[0][0]
        return isinstance(name, str) and name is not RESULT


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Stand:
    """Keeps the place of a root in arguments or a result."""

    number: int


def take_objects(
    tree: Any, first: int = 0, known: dict[int, int] | None = None
) -> tuple[Any, list[Any], list[tuple[Any, ...]]]:
    """Take the objects out of a pytree.

    Args:
        tree: the pytree.
        first: the number of the first one.
        known: identity → number of objects that have a number already.

    Returns:
        The tree with stands in the places of the objects; the objects with new numbers; the paths
        of these.
    """
    known = known or {}
    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_node)
    objects: list[Any] = []
    paths: list[tuple[Any, ...]] = []
    rest: list[Any] = []
    for path, leaf in leaves:
        if not is_node(leaf):
            rest.append(leaf)
        elif id(leaf) in known:
            rest.append(Stand(known[id(leaf)]))
        else:
            rest.append(Stand(first + len(objects)))
            objects.append(leaf)
            paths.append(tuple(map(key_of, path)))
    return jax.tree.unflatten(treedef, rest), objects, paths


def by_position(
    f: Any, args: tuple[Any, ...], kwargs: dict[str, Any], count: int | None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give keyword arguments and defaults by position, where a transformation counts arguments.

    Args:
        f: the function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        count: how many are counted; ``None`` for as many as are given.

    Returns:
        Positional arguments, and what is still to be given by keyword.
    """
    if len(args) >= count if count is not None else not kwargs:
        return args, kwargs
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return args, kwargs
    moved, rest = list(args), dict(kwargs)
    for parameter in [p for p in parameters if p.kind in _BY_POSITION][len(args) : count]:
        value = rest.pop(parameter.name, parameter.empty if count is None else parameter.default)
        if value is parameter.empty:
            break
        moved.append(value)
    return tuple(moved), rest


_BY_POSITION = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}


def is_stand(value: Any) -> bool:
    """Tell whether a value keeps the place of a root."""
    return isinstance(value, Stand)


def put_objects(tree: Any, objects: Any) -> Any:
    """Put objects in the places that stands keep; undoes :func:`take_objects`."""
    return jax.tree.map(
        lambda leaf: objects[leaf.number] if isinstance(leaf, Stand) else leaf,
        tree,
        is_leaf=is_stand,
    )


def home_of(path: tuple[Any, ...]) -> Home:
    """Return the home of a root by its path in ``(args, kwargs)``: the argument comes first."""
    return Home(path[1:])
