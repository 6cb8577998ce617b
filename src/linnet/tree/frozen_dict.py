"""A dict that nobody can change, and the functions that treat it and plain dicts alike.

``FrozenDict`` holds nested plain dicts that it never hands out: a nested dict comes back wrapped,
so that what was frozen stays frozen all the way down. It is a pytree whose children stand in
sorted order and whose inner nodes are plain dicts. ``freeze`` and ``unfreeze`` are inverse; both
copy, so that neither side sees what happens to the other.
"""

from collections.abc import Hashable, Iterator, KeysView, Mapping, ValuesView
from types import MappingProxyType
from typing import Any, NoReturn, TypeAlias, TypeVar, cast

import jax
from jax.tree_util import DictKey

from linnet.base.errors import endless_text

K = TypeVar("K")
V = TypeVar("V")

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class FrozenDict(Mapping[K, V]):
    """An immutable dict, nested dicts included.

    Takes what ``dict`` takes.

    >>> frozen = FrozenDict({"dense": {"bias": 0}})
    >>> frozen["dense"]
    FrozenDict({
        bias: 0,
    })
    >>> frozen.copy({"scale": 1}).unfreeze()
    {'dense': {'bias': 0}, 'scale': 1}
    """

    __slots__ = ("_dict", "_hash")

    def __init__(self, *args: Any, __unsafe_skip_copy__: bool = False, **kwargs: Any) -> None:
        given: dict[Any, Any] = dict(*args, **kwargs)
        try:
            self._dict: dict[Any, Any] = given if __unsafe_skip_copy__ else _copied(given)
        except RecursionError:
            raise ValueError(endless_text("FrozenDict", given)) from None
        self._hash: int | None = None

    def __getitem__(self, key: K) -> V:
        value = self._dict[key]
        return cast("V", _wrapped(value)) if isinstance(value, dict) else value

    def __iter__(self) -> Iterator[K]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def __contains__(self, key: object) -> bool:
        return key in self._dict

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise ValueError(
            f"the item {key!r} of a FrozenDict cannot be set: FrozenDict is immutable; write "
            f"frozen = frozen.copy({{{key!r}: value}}), or change a dict made with unfreeze(frozen)"
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrozenDict):
            return self._dict == cast("FrozenDict[Any, Any]", other)._dict
        if isinstance(other, Mapping):
            return self._dict == dict(cast("Mapping[Any, Any]", other))
        return NotImplemented

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.items()))
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.unfreeze(),)

    def __repr__(self) -> str:
        return self.pretty_repr()

    def keys(self) -> KeysView[K]:
        """Returns a view of the keys, in the order of insertion."""
        return FrozenKeysView(self)

    def values(self) -> ValuesView[V]:
        """Returns a view of the values, in the order of insertion."""
        return FrozenValuesView(self)

    def copy(self, add_or_replace: Mapping[K, V] = _NOTHING) -> "FrozenDict[K, V]":
        """Returns a FrozenDict with some items added or replaced.

        Args:
            add_or_replace: the items; a nested dict replaces the one there was as a whole.
        """
        return type(self)({**self, **unfreeze(add_or_replace)})

    def pop(self, key: K) -> "tuple[FrozenDict[K, V], V]":
        """Returns a FrozenDict without a key, and the value the key had.

        Args:
            key: the key.

        Raises:
            KeyError: the key is not there.

        >>> rest, bias = FrozenDict({"bias": 0, "scale": 1}).pop("bias")
        >>> rest.unfreeze(), bias
        ({'scale': 1}, 0)
        """
        value = self[key]
        rest = {name: item for name, item in self._dict.items() if name != key}
        return type(self)(rest), value

    def unfreeze(self) -> dict[K, V]:
        """Returns a nested dict of the same items, to be changed at will."""
        return unfreeze(self)

    def pretty_repr(self, num_spaces: int = 4) -> str:
        """Returns the nested items over several lines.

        Args:
            num_spaces: by how much each level is indented.
        """
        return f"FrozenDict({_pretty(self._dict, num_spaces, level=1)})"

    def tree_flatten_with_keys(self) -> tuple[tuple[Any, ...], Hashable]:
        """Returns the items in sorted order, for JAX, and the keys."""
        keys = tuple(sorted(self._dict))
        return tuple((DictKey(key), self._dict[key]) for key in keys), keys

    @staticmethod
    def tree_unflatten(keys: Any, values: Any) -> "FrozenDict[Any, Any]":
        """Puts together what ``tree_flatten_with_keys`` took apart."""
        return _wrapped(dict(zip(keys, values, strict=True)))


class FrozenKeysView(KeysView[K]):
    """The keys of a FrozenDict."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"frozen_dict_keys({list(self)})"


class FrozenValuesView(ValuesView[V]):
    """The values of a FrozenDict."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"frozen_dict_values({list(self)})"


FrozenVariableDict: TypeAlias = FrozenDict[str, Mapping[str, Any]]


def _wrapped(owned: dict[Any, Any]) -> FrozenDict[Any, Any]:
    """Wraps a dict that already belongs to a FrozenDict, without copying it."""
    frozen: FrozenDict[Any, Any] = FrozenDict.__new__(FrozenDict)
    frozen._dict = owned
    frozen._hash = None
    return frozen


def _copied(items: Mapping[Any, Any]) -> dict[Any, Any]:
    """Copies nested dicts, frozen ones into plain ones, and keeps everything else."""
    return {
        key: _copied(value) if isinstance(value, dict | FrozenDict) else value
        for key, value in items.items()
    }


def _flatten(frozen: FrozenDict[Any, Any]) -> tuple[list[Any], Hashable]:
    keys = tuple(sorted(frozen._dict))
    return [frozen._dict[key] for key in keys], keys


jax.tree_util.register_pytree_with_keys(
    FrozenDict,
    FrozenDict.tree_flatten_with_keys,  # pyright: ignore[reportArgumentType]
    FrozenDict.tree_unflatten,
    _flatten,
)


def freeze(xs: Mapping[Any, Any]) -> FrozenDict[Any, Any]:
    """Returns a FrozenDict with the items of a nested dict.

    Args:
        xs: the nested dict; it is copied.
    """
    return FrozenDict(xs)


def unfreeze(x: Any) -> Any:
    """Returns a nested dict with the items of a FrozenDict, or of a dict that holds some.

    Args:
        x: a FrozenDict or a dict; it is copied. Anything else is returned as it is.

    >>> unfreeze({"params": freeze({"bias": 0})})
    {'params': {'bias': 0}}
    """
    if isinstance(x, FrozenDict):
        # Lists and other containers inside are rebuilt, for what is frozen must not be reached.
        return jax.tree.map(lambda leaf: leaf, cast("FrozenDict[Any, Any]", x)._dict)
    if isinstance(x, dict):
        return {key: unfreeze(value) for key, value in cast("dict[Any, Any]", x).items()}
    return x


def copy(x: Any, add_or_replace: Mapping[Any, Any] = _NOTHING) -> Any:
    """Returns a copy of a dict or a FrozenDict, of its own type, with some items set.

    Args:
        x: the dict or FrozenDict.
        add_or_replace: the items to set.

    Raises:
        TypeError: ``x`` is neither.
    """
    if isinstance(x, FrozenDict):
        return cast("FrozenDict[Any, Any]", x).copy(add_or_replace)
    if isinstance(x, dict):
        return {**jax.tree.map(lambda leaf: leaf, cast("dict[Any, Any]", x)), **add_or_replace}
    raise _neither("copy", x)


def pop(x: Any, key: Any) -> tuple[Any, Any]:
    """Returns a dict or a FrozenDict, of its own type, without a key, and the value it had.

    Args:
        x: the dict or FrozenDict; it is left as it is.
        key: the key.

    Raises:
        KeyError: the key is not there.
        TypeError: ``x`` is neither.
    """
    if isinstance(x, FrozenDict):
        return cast("FrozenDict[Any, Any]", x).pop(key)
    if isinstance(x, dict):
        rest = copy(cast("dict[Any, Any]", x))
        value = rest.pop(key)
        return rest, value
    raise _neither("pop", x)


def pretty_repr(x: Any, num_spaces: int = 4) -> str:
    """Returns a nested dict or FrozenDict over several lines, anything else as ``repr`` does.

    Args:
        x: what to show.
        num_spaces: by how much each level is indented.

    >>> print(pretty_repr({"dense": {"bias": 0}}, num_spaces=2))
    {
      dense: {
        bias: 0,
      },
    }
    """
    return _pretty(x, num_spaces, level=1)


def _pretty(x: Any, num_spaces: int, *, level: int) -> str:
    if isinstance(x, FrozenDict):
        return f"FrozenDict({_pretty(x._dict, num_spaces, level=level)})"
    outer = " " * (num_spaces * (level - 1))
    if not isinstance(x, dict):
        return repr(x).replace("\n", f"\n{outer}")
    items = cast("dict[Any, Any]", x)
    if not items:
        return "{}"
    indent = " " * (num_spaces * level)
    lines = [
        f"{indent}{key}: {_pretty(value, num_spaces, level=level + 1)},\n"
        for key, value in items.items()
    ]
    return f"{{\n{''.join(lines)}{outer}}}"


def _neither(done: str, x: Any) -> TypeError:
    return TypeError(
        f"{done} takes a dict or a FrozenDict, but was given {x!r} ({type(x).__name__})"
    )
