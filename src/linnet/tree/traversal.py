"""Traversals: a way to name some places inside nested data, to read them and to replace them.

A traversal starts at ``t_identity``, the whole, and is narrowed step by step: by an item or an
attribute, by each entry of a container, by each leaf of a tree, by a condition. ``iterate`` reads
what it selects; ``update`` and ``set`` return a copy of the whole in which that is replaced.

>>> bias = t_identity["dense"]["bias"]
>>> bias.update(lambda x: x + 1, {"dense": {"bias": 1, "kernel": 5}})
{'dense': {'bias': 2, 'kernel': 5}}
"""

import abc
import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import jax

from linnet.tree.frozen_dict import FrozenDict, freeze
from linnet.tree.paths import empty_node, flatten_dict, unflatten_dict

Change = Callable[[Any], Any]


class Traversal(abc.ABC):
    """Selects places inside nested data."""

    @abc.abstractmethod
    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields the values selected.

        Args:
            inputs: the whole.
        """

    @abc.abstractmethod
    def update(self, fn: Change, inputs: Any) -> Any:
        """Returns a copy of the whole in which each value selected is replaced.

        Args:
            fn: takes a value and returns the new one.
            inputs: the whole, which stays as it is.
        """

    def set(self, values: Sequence[Any], inputs: Any) -> Any:
        """Returns a copy of the whole in which the values selected are the ones given, in order.

        Args:
            values: as many values as ``iterate`` yields.
            inputs: the whole, which stays as it is.

        Raises:
            ValueError: there are more or fewer values than places.
        """
        places = sum(1 for _ in self.iterate(inputs))
        if places != len(values):
            raise ValueError(
                f"set was given {len(values)} values for the {places} places that the traversal "
                f"selects; give one for each of {list(self.iterate(inputs))!r}"
            )
        remaining = iter(values)
        return self.update(lambda _: next(remaining), inputs)

    def compose(self, other: "Traversal") -> "Traversal":
        """Returns the traversal that applies another one to each value that this one selects."""
        return TraverseCompose(self, other)

    def merge(self, *traversals: "Traversal") -> "Traversal":
        """Returns the traversal that applies several, one after the other, to each value."""
        return self.compose(TraverseMerge(*traversals))

    def each(self) -> "Traversal":
        """Narrows to each entry of the containers selected: lists, tuples and values of dicts."""
        return self.compose(TraverseEach())

    def tree(self) -> "Traversal":
        """Narrows to each leaf of the pytrees selected."""
        return self.compose(TraverseTree())

    def filter(self, fn: Callable[[Any], bool]) -> "Traversal":
        """Narrows to the values of which a condition holds."""
        return self.compose(TraverseFilter(fn))

    def __getattr__(self, attr: str) -> "Traversal":
        if attr.startswith("__"):  # Python asks for these itself: copy and pickle do
            raise AttributeError(attr)
        return self.compose(TraverseAttr(attr))

    def __getitem__(self, key: Any) -> "Traversal":
        return self.compose(TraverseItem(key))


class TraverseId(Traversal):
    """Selects the whole."""

    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields the whole."""
        yield inputs

    def update(self, fn: Change, inputs: Any) -> Any:
        """Returns what the whole is replaced by."""
        return fn(inputs)


t_identity = TraverseId()


class TraverseCompose(Traversal):
    """Selects with one traversal inside what another one selects.

    Args:
        x: the outer traversal.
        y: the inner one.
    """

    def __init__(self, x: Traversal, y: Traversal) -> None:
        self._outer = x
        self._inner = y

    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields what the inner traversal selects in each value of the outer one."""
        for value in self._outer.iterate(inputs):
            yield from self._inner.iterate(value)

    def update(self, fn: Change, inputs: Any) -> Any:
        """Replaces what the inner traversal selects in each value of the outer one."""
        return self._outer.update(lambda value: self._inner.update(fn, value), inputs)


class TraverseMerge(Traversal):
    """Selects what several traversals select, one after the other.

    Args:
        *traversals: the traversals.
    """

    def __init__(self, *traversals: Traversal) -> None:
        self._parts = traversals

    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields what each traversal selects."""
        for part in self._parts:
            yield from part.iterate(inputs)

    def update(self, fn: Change, inputs: Any) -> Any:
        """Replaces what each traversal selects, in the result of the one before."""
        for part in self._parts:
            inputs = part.update(fn, inputs)
        return inputs


class TraverseItem(Traversal):
    """Selects the item at a key or index, or each item of a slice.

    Args:
        key: the key, index or slice.
    """

    def __init__(self, key: Any) -> None:
        self._key = key

    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields the item, or the items."""
        if isinstance(self._key, slice):
            yield from inputs[self._key]
        else:
            yield inputs[self._key]

    def update(self, fn: Change, inputs: Any) -> Any:
        """Replaces the item, or the items."""
        key, several = self._key, isinstance(self._key, slice)
        found = inputs[key]
        value = [fn(item) for item in found] if several else fn(found)
        if isinstance(inputs, FrozenDict):
            return cast("FrozenDict[Any, Any]", inputs).copy({key: value})
        if isinstance(inputs, tuple):
            entries = list(cast("tuple[Any, ...]", inputs))
            entries[key] = value
            return _tuple_like(cast("tuple[Any, ...]", inputs), entries)
        changed = copy.copy(inputs)
        changed[key] = value
        return changed


class TraverseAttr(Traversal):
    """Selects an attribute of a dataclass, a named tuple or another object.

    Args:
        attr: its name.
    """

    def __init__(self, attr: str) -> None:
        self._attr = attr

    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields the attribute."""
        yield getattr(inputs, self._attr)

    def update(self, fn: Change, inputs: Any) -> Any:
        """Replaces the attribute."""
        value = fn(getattr(inputs, self._attr))
        if isinstance(inputs, tuple):
            return cast("Any", inputs)._replace(**{self._attr: value})
        if dataclasses.is_dataclass(inputs) and not isinstance(inputs, type):
            return dataclasses.replace(cast("Any", inputs), **{self._attr: value})
        changed = copy.copy(inputs)
        setattr(changed, self._attr, value)
        return changed


class TraverseEach(Traversal):
    """Selects each entry of a list or a tuple, and each value of a dict."""

    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields the entries."""
        yield from _values(inputs)

    def update(self, fn: Change, inputs: Any) -> Any:
        """Replaces the entries."""
        entries = [fn(entry) for entry in _values(inputs)]
        if isinstance(inputs, Mapping):
            keys = cast("Mapping[Any, Any]", inputs)
            changed = dict(zip(keys, entries, strict=True))
            return FrozenDict(changed) if isinstance(inputs, FrozenDict) else changed
        return _tuple_like(inputs, entries) if isinstance(inputs, tuple) else entries


class TraverseTree(Traversal):
    """Selects each leaf of a pytree."""

    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields the leaves."""
        yield from jax.tree.leaves(inputs)

    def update(self, fn: Change, inputs: Any) -> Any:
        """Replaces the leaves."""
        return jax.tree.map(fn, inputs)


class TraverseFilter(Traversal):
    """Selects the whole if a condition holds of it, and nothing otherwise.

    Args:
        fn: the condition.
    """

    def __init__(self, fn: Callable[[Any], bool]) -> None:
        self._condition = fn

    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields the whole, or nothing."""
        if self._condition(inputs):
            yield inputs

    def update(self, fn: Change, inputs: Any) -> Any:
        """Replaces the whole, or leaves it."""
        return fn(inputs) if self._condition(inputs) else inputs


class ModelParamTraversal(Traversal):
    """Selects parameters by their path and value.

    Args:
        filter_fn: takes a path such as ``"/dense/kernel"`` and a value, and says whether it is
            selected.
    """

    def __init__(self, filter_fn: Callable[[str, Any], bool]) -> None:
        self._selects = filter_fn

    def iterate(self, inputs: Any) -> Iterator[Any]:
        """Yields the parameters selected, by path in alphabetical order."""
        for path, value in _flat(inputs):
            if value is not empty_node and self._selects(_written(path), value):
                yield value

    def update(self, fn: Change, inputs: Any) -> Any:
        """Replaces the parameters selected."""
        changed = {
            path: fn(value)
            if value is not empty_node and self._selects(_written(path), value)
            else value
            for path, value in _flat(inputs)
        }
        nested = unflatten_dict(changed)
        return freeze(nested) if isinstance(inputs, FrozenDict) else nested


def _flat(inputs: Any) -> list[tuple[Any, Any]]:
    if not isinstance(inputs, Mapping):
        raise ValueError(
            f"ModelParamTraversal selects in a nested dict of parameters, but was given "
            f"{type(inputs).__name__}; pass variables['params']"
        )
    flat = flatten_dict(cast("Mapping[Any, Any]", inputs), keep_empty_nodes=True)
    return sorted(flat.items(), key=lambda item: item[0])


def _written(path: tuple[Any, ...]) -> str:
    return "/" + "/".join(path)


def _values(container: Any) -> Iterable[Any]:
    if isinstance(container, Mapping):
        return cast("Mapping[Any, Any]", container).values()
    if isinstance(container, list | tuple):
        return cast("Sequence[Any]", container)
    raise ValueError(
        f"each() selects the entries of lists, tuples and dicts, and was applied to "
        f"{type(container).__name__}: {container!r}; for the leaves of any pytree write tree()"
    )


def _tuple_like(original: tuple[Any, ...], entries: list[Any]) -> tuple[Any, ...]:
    make = getattr(type(original), "_make", tuple)  # of a named tuple
    return make(entries)
