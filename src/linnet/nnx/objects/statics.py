"""Static attributes as a key: what a compiled program depends on besides the values."""

from typing import Any

from linnet.base.static_keys import fresh, is_mutable, static_key


class Statics:
    """Static attributes: name → value, with a hash and an equality that tell 1 from True.

    The containers among the values are copied, in and out, so that no two objects share one, and
    what was compared stays what it was.

    Attributes:
        key: what hashes and compares.
        mutable: the names of the values that are, or hold, containers.
    """

    __slots__ = ("_values", "key", "mutable")

    def __init__(self, values: dict[str, Any]) -> None:
        self.key = tuple([(name, static_key(value)) for name, value in values.items()])
        self.mutable = [name for name, value in values.items() if is_mutable(value)]
        self._values = values
        if self.mutable:
            self._values = self.fresh()

    def fresh(self) -> dict[str, Any]:
        """Return the values, their containers copied."""
        if not self.mutable:
            return self._values
        return {**self._values, **{name: fresh(self._values[name]) for name in self.mutable}}

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Statics) and self.key == other.key

    # keys hold types, of which not all can be pickled
    def __reduce__(self) -> Any:
        return Statics, (self._values,)

    def __repr__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._values.items())
