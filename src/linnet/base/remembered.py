"""What is remembered about objects for no longer than they live."""

import weakref
from collections.abc import Hashable, Iterable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Values by key, each forgotten with the first of the objects that it is about.

    It keeps neither these alive nor, through them, itself. An object that cannot be referred to
    weakly is not waited for.

    >>> class Model: ...
    >>> model, layouts = Model(), Remembered()
    >>> layouts.put("key", "what is known", about=[model])
    >>> layouts.get("key")
    'what is known'
    >>> del model
    >>> layouts.get("key") is None
    True
    """

    __slots__ = ("__weakref__", "_references", "_values")

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self._references: dict[K, list[weakref.ref[Any]]] = {}

    def get(self, key: K) -> V | None:
        """Return what is remembered under a key, if anything is."""
        return self._values.get(key)

    def put(self, key: K, value: V, about: Iterable[Any]) -> None:
        """Remember a value; what a key is about does not change with a later one."""
        if key not in self._values:
            self._references[key] = self._refer(key, about)
        self._values[key] = value

    def _refer(self, key: K, about: Iterable[Any]) -> list[weakref.ref[Any]]:
        mine = weakref.ref(self)

        def forget(_: Any) -> None:
            remembered = mine()
            if remembered is not None:
                remembered._values.pop(key, None)
                remembered._references.pop(key, None)

        references: list[weakref.ref[Any]] = []
        for each in about:
            try:
                references.append(weakref.ref(each, forget))
            except TypeError:
                continue
        return references
