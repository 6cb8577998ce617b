"""Arguments that a transformation treats in a way of their own: static ones and donated ones.

A *static* argument is part of what is traced, not of what is computed with. It crosses as a
:class:`Static`, a node without leaves, and so it travels in the treedef of the arguments: through
every transformation, and into the key under which JAX remembers what it compiled.

A *donated* argument lends its memory to the result. JAX donates whole arguments of the function it
compiles, so arguments, and groups of state, are dealt out to two halves.
"""

from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import jax

from linnet.base import errors

Names: TypeAlias = frozenset[Any]
"""Arguments by place and by name."""


@jax.tree_util.register_static
class Static:
    """A static argument on its way; equal to one of the same type and value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Static)
            and type(self.value) is type(other.value)
            and bool(self.value == other.value)
        )

    def __hash__(self) -> int:
        return hash(self.value)


def names_of(places: Any, names: Any = ()) -> Names:
    """Gather what options such as ``static_argnums`` say: one or several places and names."""
    return frozenset(
        name
        for given in (places, names)
        for name in ([given] if isinstance(given, int | str) else given or ())
    )


def present(names: Names, count: int) -> Names:
    """Return the arguments that a call has, places from the end counted from the beginning."""
    found = (n % count if isinstance(n, int) and -count <= n < count else n for n in names)
    return frozenset(n for n in found if isinstance(n, str) or n < count)


def hide_static(
    transform: str, args: tuple[Any, ...], kwargs: dict[str, Any], static: Names
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Wrap the static arguments of a call.

    Args:
        transform: the name of the transformation, for messages.
        args: the positional arguments.
        kwargs: the keyword arguments.
        static: which of them are static.

    Raises:
        StaticArgumentError: the value of one has no hash.
    """
    if not static:
        return args, kwargs
    chosen = present(static, len(args))

    def hidden(name: Any, value: Any) -> Any:
        if name not in chosen:
            return value
        try:
            hash(value)
        except TypeError as error:
            raise errors.StaticArgumentError(transform, name, value) from error
        return Static(value)

    return (
        tuple([hidden(place, value) for place, value in enumerate(args)]),
        {name: hidden(name, value) for name, value in kwargs.items()},
    )


def reveal_static(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Unwrap static arguments; undoes :func:`hide_static`."""
    return (
        tuple([arg.value if type(arg) is Static else arg for arg in args]),
        {name: arg.value if type(arg) is Static else arg for name, arg in kwargs.items()},
    )


def halve(items: Any, chosen: Collection[Any] | Callable[[Any], bool]) -> tuple[Any, Any]:
    """Deal a tuple or dictionary out to two, with None in the places of what the other has.

    Args:
        items: the tuple or dictionary.
        chosen: which places or names go to the second one.

    Returns:
        The rest, and what was chosen.

    >>> halve(("a", "b"), {1})
    (('a', None), (None, 'b'))
    """
    picks = chosen if callable(chosen) else chosen.__contains__
    if isinstance(items, dict):
        pairs = [(name, value, picks(name)) for name, value in items.items()]
        return (
            {name: None if picked else value for name, value, picked in pairs},
            {name: value if picked else None for name, value, picked in pairs},
        )
    picked = [picks(place) for place in range(len(items))]
    return (
        tuple([None if each else item for item, each in zip(items, picked, strict=True)]),
        tuple([item if each else None for item, each in zip(items, picked, strict=True)]),
    )


def join_halves(rest: Any, chosen: Any) -> Any:
    """Put two halves together again; undoes :func:`halve`."""
    if isinstance(rest, dict):
        return {name: chosen[name] if rest[name] is None else rest[name] for name in rest}
    return tuple([two if one is None else one for one, two in zip(rest, chosen, strict=True)])
