"""Static attributes as a key: what a compiled program depends on besides the values.

Two objects whose static attributes have equal keys may share a program, so a key tells apart
whatever a program could tell apart: ``1`` from ``True``, ``0.0`` from ``-0.0``.
"""

from copy import deepcopy
from typing import Any


class Statics:
    """Static attributes: name → value, with a hash and an equality that tell 1 from True."""

    __slots__ = ("_mutable", "key", "values")

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        self.key = tuple([(name, static_key(value)) for name, value in values.items()])
        self._mutable = [k for k, v in values.items() if type(v) is list or type(v) is dict]

    def fresh(self) -> dict[str, Any]:
        """Return the values, lists and dictionaries copied: no two objects share them."""
        if not self._mutable:
            return self.values
        return {**self.values, **{name: deepcopy(self.values[name]) for name in self._mutable}}

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Statics) and self.key == other.key

    def __repr__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.values.items())


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


def static_key(value: Any) -> Any:
    """Return a hashable key for a static value: equal for values a program may be shared between.

    >>> static_key(1) == static_key(True), static_key([1, 2]) == static_key([1, 2])
    (False, True)
    """
    cls = type(value)
    if cls in _BY_VALUE:
        return cls, value
    if cls is float:
        return cls, value.hex()  # tells 0.0 from -0.0, and nan equals itself
    if cls is list or cls is tuple:
        return cls, tuple([static_key(item) for item in value])
    if cls is dict:
        return cls, frozenset((static_key(k), static_key(v)) for k, v in value.items())
    try:
        hash(value)
    except TypeError:
        return cls, _Identical(value)
    return cls, value
