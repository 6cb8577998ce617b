"""Lists and dictionaries that are objects of the graph, and the chain of layers."""

import inspect
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, Generic, TypeVar, overload

import jax

from linnet.base.errors import LinnetWarning
from linnet.base.jaxcompat import current_trace
from linnet.display.outline import Outline, repr_key
from linnet.nnx.objects.module import Module
from linnet.nnx.objects.pytree import attributes_of, put, read_mark, wrong_level
from linnet.nnx.objects.sizes import sizes_text
from linnet.nnx.objects.versions import note_change

A = TypeVar("A")


class List(Module, MutableSequence[A], Generic[A]):
    """A list of modules, variables, arrays and anything else, and itself an object of the graph.

    A plain Python list does as an attribute of a module, too; this one can also stand alone, and
    says so in a type annotation.

    >>> from linnet import nnx
    >>> layers = nnx.List([nnx.Param(1.0)])
    >>> layers.append(nnx.Param(2.0))
    >>> [layer[...] for layer in layers]
    [1.0, 2.0]
    """

    __slots__ = ("_items",)

    def __init__(self, it: Iterable[A] | None = None, /) -> None:
        put(self, "_items", [])
        self.extend(it or ())

    def __len__(self) -> int:
        return len(self._items)

    def _pairs(self) -> list[tuple[Any, bool | None]]:
        """Return the items, each with whether it was said to be data."""
        return [(item, self._statuses.get(number)) for number, item in enumerate(self._items)]

    def _set(self, pairs: list[tuple[Any, bool | None]]) -> None:
        if self._level is not current_trace():
            raise wrong_level(self, "its items")
        put(self, "_items", [item for item, _ in pairs])
        statuses: dict[Any, bool] = {k: v for k, v in self._statuses.items() if isinstance(k, str)}
        for number, (_, said) in enumerate(pairs):
            if said is not None:
                statuses[number] = said
        put(self, "_statuses", statuses)
        note_change(self)

    def insert(self, index: int, value: A) -> None:
        """Insert an item before an index."""
        pairs = self._pairs()
        pairs.insert(index, read_mark(self, index, value))
        self._set(pairs)

    def append(self, value: A) -> None:
        """Add an item at the end."""
        self.insert(len(self), value)

    @overload
    def __getitem__(self, index: int) -> A: ...
    @overload
    def __getitem__(self, index: slice) -> list[A]: ...
    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        pairs: Any = self._pairs()
        if isinstance(index, slice):
            pairs[index] = [read_mark(self, None, each) for each in value]
        else:
            pairs[index] = read_mark(self, index, value)
        self._set(pairs)

    def __delitem__(self, index: Any) -> None:
        pairs = self._pairs()
        del pairs[index]
        self._set(pairs)

    def __iter__(self) -> Iterator[A]:
        return iter(self._items)

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, List | list) and [*self] == [*other])

    def _children(self) -> list[tuple[Any, Any]]:
        return [*enumerate(self._items), *super()._children()]

    def _get_child(self, key: Any) -> Any:
        if not isinstance(key, int):
            return super()._get_child(key)
        if not 0 <= key < len(self._items):
            raise KeyError(key)
        return self._items[key]

    def _put_child(self, key: Any, value: Any) -> None:
        if isinstance(key, int):
            self._items.extend([None] * (key + 1 - len(self._items)))
            self._items[key] = value
        else:
            super()._put_child(key, value)

    def _drop_child(self, key: Any) -> None:
        if isinstance(key, int):
            pairs = self._pairs()
            del pairs[key]
            self._set(pairs)
        else:
            super()._drop_child(key)

    def _fill(self, statics: dict[str, Any]) -> None:
        put(self, "_items", [])
        for key, value in statics.items():
            self._put_child(key, value)

    @staticmethod
    def _key_entry(key: Any) -> Any:
        return jax.tree_util.SequenceKey(key) if isinstance(key, int) else Module._key_entry(key)

    def _outline_(self) -> Outline:
        name = type(self).__name__
        items = [("", item) for item in self._items]
        return Outline(f"{name}([", items, "])", sizes_text(self), again=f"{name}(...)")

    def _shown(self) -> dict[str, Any]:
        return {str(number): item for number, item in enumerate(self._items)} | super()._shown()

    def __getstate__(self) -> Any:
        return {**super().__getstate__(), "_items": list(self._items)}

    def __setstate__(self, state: Any) -> None:
        others = dict(state)
        put(self, "_items", others.pop("_items"))
        super().__setstate__(others)


class Dict(Module, MutableMapping[str, A], Generic[A]):
    """A dictionary of modules, variables, arrays and anything else, an object of the graph.

    The entries are its attributes.

    >>> from linnet import nnx
    >>> heads = nnx.Dict(left=nnx.Param(1.0))
    >>> heads["right"] = nnx.Param(2.0)
    >>> sorted(heads), heads.left[...]
    (['left', 'right'], 1.0)
    """

    def __init__(self, *args: Any, **kwargs: A) -> None:
        for name, value in dict(*args, **kwargs).items():
            setattr(self, name, value)

    def __getitem__(self, key: str) -> A:
        if key not in attributes_of(self):
            raise KeyError(key)
        return attributes_of(self)[key]

    def __setitem__(self, key: str, value: A) -> None:
        setattr(self, key, value)

    def __delitem__(self, key: str) -> None:
        if key not in attributes_of(self):
            raise KeyError(key)
        delattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(attributes_of(self))

    def __len__(self) -> int:
        return len(attributes_of(self))

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Mapping) and dict(self) == dict(other))

    def _outline_(self) -> Outline:
        name, items = type(self).__name__, self.items()
        return Outline(
            f"{name}({{", items, "})", sizes_text(self), again=f"{name}(...)", keys=repr_key
        )

    def __getattr__(self, name: str) -> A:  # for type checkers: any name may be an entry
        raise AttributeError(
            f"Dict has no entry {name!r}; it has {', '.join(map(repr, self)) or 'none'}."
        )


class Sequential(Module):
    """Calls its functions or modules in turn, each on what the one before it returned.

    A tuple that one returns becomes the positional arguments of the next, a dictionary its keyword
    arguments. Keyword arguments of the call, such as ``rngs`` or ``deterministic``, go to every one
    that has an argument of their name.

    Args:
        *fns: modules or functions.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> print(nnx.Sequential(jnp.sin, lambda x: 2 * x)(0.0))
    0.0
    """

    def __init__(self, *fns: Any) -> None:
        self.layers = List(fns)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the first with these arguments, each further one with what came before.

        Raises:
            TypeError: one of them cannot be called, or is given one argument twice.
        """
        if not self.layers:
            return args[0] if len(args) == 1 else args or kwargs or None
        output: Any = None
        unused = set(kwargs)
        named: dict[str, Any] = {}
        for number, fn in enumerate(self.layers):
            if not callable(fn):
                raise TypeError(
                    f"Sequential calls its layers in turn, but layer {number} is {fn!r}, a "
                    f"{type(fn).__name__}, which cannot be called."
                )
            if number > 0:
                args, named = _as_arguments(output)
            known = _known(fn, kwargs) if kwargs else {}
            unused.difference_update(known)
            shared = {name: kwargs[name] for name, place in known.items() if place >= len(args)}
            if twice := sorted(shared.keys() & named.keys()):
                raise TypeError(
                    f"Sequential was called with {', '.join(twice)}, which layer {number} takes, "
                    f"but layer {number - 1} returned a dictionary that has it, too. Leave one out."
                )
            output = fn(*args, **named, **shared)
        if unused - {"rngs"}:
            warnings.warn(_unused(unused), LinnetWarning, stacklevel=2)
        return output


def _as_arguments(output: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(output, tuple):
        return output, {}
    if isinstance(output, dict):
        return (), output
    return (output,), {}


def _known(fn: Any, names: Iterable[str]) -> dict[str, int]:
    """Return which of some names are arguments of a function, and after how many others.

    What is passed by name alone comes after all.
    """
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):  # of a function in C that does not tell
        return {}
    places = {
        name: sys.maxsize if parameter.kind is inspect.Parameter.KEYWORD_ONLY else place
        for place, (name, parameter) in enumerate(parameters.items())
    }
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return {name: places.get(name, sys.maxsize) for name in names}
    return {name: places[name] for name in names if name in places}


def _unused(names: set[str]) -> str:
    return (
        f"Sequential was called with {', '.join(sorted(names))}, but none of its layers has an "
        "argument of that name, so it has no effect. Check the spelling, or leave it out."
    )
