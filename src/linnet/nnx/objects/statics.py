"""Static attributes as a key: what a compiled program depends on besides the values."""

from copy import deepcopy
from typing import Any

from linnet.base.static_keys import static_key


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
