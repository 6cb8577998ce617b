"""Identities: values that are equal to themselves and to nothing else, copies of them included.

An object that carries one can be told from every other object of the process, also after it has
been changed; a copy of the object gets an identity of its own.
"""

import itertools
from typing import Any


class FlaxId:
    """An identity; ``uuid()`` makes a new one.

    >>> import copy
    >>> one = uuid()
    >>> one == one, copy.copy(one) == one
    (True, False)
    """

    __slots__ = ("id",)

    def __init__(self, rawid: int) -> None:
        self.id = rawid

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FlaxId) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __copy__(self) -> "FlaxId":
        return uuid()

    def __deepcopy__(self, memo: Any) -> "FlaxId":
        return uuid()

    def __repr__(self) -> str:
        return f"FlaxId({self.id})"


class UUIDManager:
    """Makes identities, each one once, from any thread."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)  # its `next` is atomic

    def __call__(self) -> FlaxId:
        """Returns a new identity."""
        return FlaxId(next(self._numbers))


uuid = UUIDManager()
