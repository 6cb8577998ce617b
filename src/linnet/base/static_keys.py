"""Static values: the keys that stand for them, and copies of them.

A compiled program may be shared where the keys of all static values are equal. Whatever a program
could tell apart has keys that differ: ``1`` and ``True``, ``0.0`` and ``-0.0``. A list, a
dictionary, a set or an array of NumPy counts by what it holds; any other value that cannot be
hashed is equal to itself only. :func:`borrowed` is the same key, but one that keeps nothing alive.

What holds a key and outlives the call must not hold a list of the user's, which may change:
:func:`fresh` copies the containers in a value, and leaves alone what they contain.
"""

import copy
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from types import MethodType
from typing import Any, cast

import numpy as np

_BY_VALUE = frozenset((int, bool, str, bytes, type(None), type))
_CONTAINERS = (list, dict, set, deque, bytearray)
_NESTED = (tuple, *_CONTAINERS)


class Identity:
    """Stands in a key for a value that is equal to itself only.

    It does not keep the value alive, if that can be referred to weakly, as functions can; once the
    value is gone, the key is equal to no other.
    """

    __slots__ = ("_hash", "refer")

    def __init__(self, value: Any) -> None:
        self._hash = id(value)
        try:
            self.refer: Callable[[], Any] = weakref.ref(value)
        except TypeError:
            self.refer = lambda: value

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity):
            return False
        value = self.refer()
        return value is not None and value is other.refer()


def borrowed(key: Any) -> Hashable:
    """Return a key that is equal where this one is, and keeps alive no function or object in it."""
    cls = type(key)
    if cls is tuple:
        return tuple([borrowed(part) for part in cast("tuple[Any, ...]", key)])
    if cls in _BY_VALUE or cls is Identity or isinstance(key, type):
        return key
    if isinstance(key, tuple | frozenset):
        return cls(map(borrowed, cast("tuple[Any, ...]", key)))
    if cls is MethodType:
        return Identity(key.__self__), Identity(key.__func__)
    return Identity(key) if cls.__eq__ is object.__eq__ else key


def identities_in(key: Any) -> Iterator[Identity]:
    """Iterate over what stands in a key for values that are equal to themselves only."""
    if isinstance(key, Identity):
        yield key
    elif isinstance(key, tuple | frozenset):
        for part in cast("tuple[Any, ...]", key):
            yield from identities_in(part)


def static_key(value: Any) -> Hashable:
    """Return a hashable key for a static value.

    >>> static_key(1) == static_key(True), static_key([1, {2}]) == static_key([1, {2}])
    (False, True)
    """
    cls = type(value)
    if cls in _BY_VALUE:
        return cls, value
    if cls is float:
        return cls, value.hex()  # tells 0.0 from -0.0, and nan equals itself
    if isinstance(value, tuple | list | deque):
        return cls, tuple([static_key(item) for item in value])
    if isinstance(value, Mapping):
        return cls, tuple([(static_key(k), static_key(v)) for k, v in value.items()])
    if isinstance(value, set | frozenset):
        return cls, frozenset([static_key(item) for item in value])
    if isinstance(value, bytearray):
        return cls, bytes(value)
    if cls is complex:
        return cls, value.real.hex(), value.imag.hex()
    if (cls is np.ndarray or isinstance(value, np.generic)) and not value.dtype.hasobject:
        return cls, value.dtype, value.shape, value.tobytes()
    try:
        hash(value)
    except TypeError:
        return cls, Identity(value)
    return cls, value


def is_mutable(value: Any) -> bool:
    """Tell whether a value is, or holds, a container that can be changed in place."""
    if not isinstance(value, _NESTED):
        return False
    if isinstance(value, tuple):
        return any(map(is_mutable, cast("tuple[Any, ...]", value)))
    return True


def mutable_in(value: Any) -> Iterator[Any]:
    """Iterate over the lists, dictionaries and sets in a static value, at any depth."""
    if isinstance(value, _CONTAINERS):
        yield value
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | deque):
        return
    for item in cast("Any", value):
        yield from mutable_in(item)


def fresh(value: Any) -> Any:
    """Return a static value with the containers in it copied, and what they contain as it is.

    >>> value = ([1], "a")
    >>> fresh(value) == value, fresh(value)[0] is value[0]
    (True, False)
    """
    if not is_mutable(value):
        return value
    if isinstance(value, tuple):
        items = map(fresh, cast("tuple[Any, ...]", value))
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    made = copy.copy(value)
    if isinstance(made, list | deque):
        for number, item in enumerate(made):
            made[number] = fresh(item)
    elif isinstance(made, dict):
        for key, item in made.items():
            made[key] = fresh(item)
    return made
