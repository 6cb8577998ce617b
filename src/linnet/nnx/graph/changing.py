"""What changes without telling: Python's containers, and attributes set past ``__setattr__``.

Objects and variables tell when they change (``objects/versions.py``). Lists, dictionaries and
whatever else JAX takes for a pytree do not; nor do objects whose ``__dict__`` somebody holds, or
whose class has methods that call ``object.__setattr__``. What a layout was made of is therefore
compared, item by item and by identity, with what it held then. That costs time in the number of
items, so as little as possible is looked at: nothing that cannot change, no arrays, and not the
attributes of the layers of this library, which keep to ``__setattr__``.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import is_
from typing import Any

from linnet.base.static_keys import mutable_in
from linnet.nnx.objects.nodes import pytree_children
from linnet.nnx.objects.pytree import attributes_of


def changing_in(tree: Any) -> Iterator[Any]:
    """Iterate over what may change in a pytree that is neither a list, a tuple nor a dictionary."""
    if isinstance(tree, tuple):
        return
    parameters = getattr(tree, "__dataclass_params__", None)
    if dataclasses.is_dataclass(tree) and parameters is not None and parameters.frozen:
        return
    inside = getattr(tree, "__dict__", None)
    is_container = isinstance(tree, list | dict)
    if is_container or inside is None:
        yield tree
    if inside is not None:
        yield from mutable_in(inside)


class Attributes:
    """The attributes of an object, without those that hold arrays: another array is no change."""

    __slots__ = ("all", "arrays", "is_open")

    def __init__(self, obj: Any, arrays: Sequence[str]) -> None:
        self.all = attributes_of(obj)
        self.arrays = frozenset(arrays)
        self.is_open = obj._is_open

    def __iter__(self) -> Iterator[Any]:
        # a copy, taken at once: another thread may add an attribute meanwhile
        return chain.from_iterable(i for i in [*self.all.items()] if i[0] not in self.arrays)


def _contents(thing: Any) -> Sequence[Any]:
    """Return what something that may change holds now."""
    if type(thing) is list:
        return thing
    if isinstance(thing, dict):
        return [*thing, *thing.values()]
    try:
        return [*thing]
    except TypeError:
        return [child for _, child in pytree_children(thing)[1]]


class Snapshot:
    """What some containers, and the attributes of some objects, held when a model was walked."""

    __slots__ = ("_before", "_plain", "_values")

    def __init__(self, containers: list[Any], attributes: list[Attributes]) -> None:
        # most objects hold no arrays themselves, and nobody has their dictionary, which could be
        # given other names: the values of all these are compared in one go
        plain = [each for each in attributes if not each.arrays and not each.is_open]
        self._plain = [each.all for each in plain]
        self._values = self._present()
        others = [each for each in attributes if each.arrays or each.is_open]
        self._before = [(thing, [*_contents(thing)]) for thing in (*containers, *others)]

    def _present(self) -> list[Any]:
        return [*chain.from_iterable(map(_values_of, self._plain))]

    def is_true(self) -> bool:
        """Tell whether they hold the same items now."""
        now = self._present()
        if len(now) != len(self._values) or not all(map(is_, now, self._values)):
            return False
        for thing, before in self._before:
            now = _contents(thing)
            if len(now) != len(before) or not all(map(is_, now, before)):
                return False
        return True


_values_of = dict[Any, Any].values
