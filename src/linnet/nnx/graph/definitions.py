"""Definitions: what the structure of an object graph is made of.

A structure is a tree of definitions, one for each object, container, variable, array and static
item, in the order in which ``flatten.py`` walks. Definitions hash and compare by value.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from linnet.base.static_keys import fresh, static_key
from linnet.base.typing import Path
from linnet.nnx.objects.statics import Statics


class ContainerDef(NamedTuple):
    """A list, tuple or dictionary."""

    type: Any
    keys: tuple[Any, ...]
    children: tuple[Any, ...]

    def _own(self) -> tuple[Any, ...]:
        return self.type, self.keys


class PytreeDef(NamedTuple):
    """Any other node type of JAX, taken apart one level."""

    treedef: Any
    keys: tuple[Any, ...]
    children: tuple[Any, ...]

    def _own(self) -> tuple[Any, ...]:
        return self.treedef, self.keys


class VariableDef(NamedTuple):
    """A variable: its type and metadata."""

    index: int
    type: Any
    metadata: Statics


class StaticDef(NamedTuple):
    """A static item of a container."""

    value: Any
    key: Any

    @classmethod
    def of(cls, value: Any) -> "StaticDef":
        """Define a value; the containers in it are copied, like those of :class:`Statics`."""
        return cls(fresh(value), static_key(value))

    def fresh(self) -> Any:
        """Return the value, its containers copied."""
        return fresh(self.value)

    # keys hold types, of which not all can be pickled
    def __reduce__(self) -> Any:
        return StaticDef.of, (self.value,)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StaticDef) and self.key == other.key


class ArrayDef(NamedTuple):
    """A value that stands in the graph itself, not in a variable."""

    kind: str = "array"


class Reference(NamedTuple):
    """An object or variable met before on the walk."""

    to: str
    index: int


class ObjectDef:
    """An object: its data attributes by key, and the static ones.

    Attributes:
        pairs: the keys with the definitions.
        known: which attributes are data, whatever their values: what an object made of this
            definition starts with.
    """

    __slots__ = (
        *("_hash", "children", "index", "keys", "known", "pairs", "statics", "statuses", "type"),
    )

    def __init__(
        self,
        index: int,
        type_: Any,
        keys: tuple[Any, ...],
        children: tuple[Any, ...],
        statics: Statics,
        statuses: tuple[tuple[str, bool], ...],
    ) -> None:
        self.index = index
        self.type = type_
        self.keys = keys
        self.children = children
        self.statics = statics
        self.statuses = statuses
        self.pairs = tuple(zip(keys, children, strict=True))
        self.known = {key: True for key, child in self.pairs if type(child) in _HOLDS_DATA}
        self.known.update(statuses)
        self._hash = hash((index, type_, keys, children, statics, statuses))

    def _own(self) -> tuple[Any, ...]:
        return self.index, self.type, self.keys, self.statics, self.statuses

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        # with a list of what is left to compare: a model may be deeper than Python recurses
        pairs: list[tuple[Any, Any]] = [(self, other)]
        while pairs:
            one, two = pairs.pop()
            if one is two:
                continue
            if type(one) is not type(two):
                return False
            if not isinstance(one, ObjectDef | ContainerDef | PytreeDef):
                if one != two:
                    return False
            elif one._own() != two._own() or len(one.children) != len(two.children):
                return False
            else:
                pairs.extend(zip(one.children, two.children, strict=True))
        return True

    def __reduce__(self) -> Any:
        index, *own = self._own()
        return ObjectDef, (index, own[0], own[1], self.children, *own[2:])


ARRAY = ArrayDef()
_HOLDS_DATA = frozenset((VariableDef, ObjectDef, ArrayDef, Reference))


def cells_of(root: Any) -> Iterator[tuple[Path, Any]]:
    """Iterate over the definitions of the cells of a structure with their paths, in walk order."""
    for path, each in definitions_of((), root):
        if isinstance(each, VariableDef | ArrayDef):
            yield path, each


def definitions_of(path: Path, definition: Any) -> Iterator[tuple[Path, Any]]:
    """Iterate over a definition and all inside it, with their paths, in walk order."""
    yield path, definition
    if isinstance(definition, ObjectDef | ContainerDef | PytreeDef):
        for key, child in zip(definition.keys, definition.children, strict=True):
            yield from definitions_of((*path, key), child)
