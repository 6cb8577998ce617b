"""Keys that stand for static values: equal where a compiled program may be shared.

Whatever a program could tell apart has keys that differ: ``1`` and ``True``, ``0.0`` and ``-0.0``.
Containers and arrays of NumPy, which may be changed in place, have the key of what they hold now.
Any other value that cannot be hashed is equal to itself only.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

_BY_VALUE = frozenset((int, bool, str, bytes, type(None), type))


class _Identical:
    """Compares a value that does not hash by its identity."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identical) and other.value is self.value


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
    if isinstance(value, tuple | list):
        return cls, tuple([static_key(item) for item in value])
    if isinstance(value, Mapping):
        return cls, tuple([(static_key(k), static_key(v)) for k, v in value.items()])
    if isinstance(value, set | frozenset):
        return cls, frozenset([static_key(item) for item in value])
    if cls is complex:
        return cls, value.real.hex(), value.imag.hex()
    if (cls is np.ndarray or isinstance(value, np.generic)) and not value.dtype.hasobject:
        return cls, value.dtype, value.shape, value.tobytes()
    try:
        hash(value)
    except TypeError:
        return cls, _Identical(value)
    return cls, value
