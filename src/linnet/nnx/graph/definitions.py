"""Structures: everything about an object graph but its values.

A :class:`GraphDef` is a tree of definitions, one for each object, container, variable, array and
static item, in the order in which ``nnx/graph/flatten.py`` walks. Definitions hash and compare by value;
a ``GraphDef`` is interned, so that equal ones are the same object.
"""

import weakref
from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import jax

from linnet.nnx.objects.pytree import (
    Statics,
)

Node = TypeVar("Node")
Path = tuple[Any, ...]


class ContainerDef(NamedTuple):
    """A list, tuple or dictionary."""

    type: Any
    keys: tuple[Any, ...]
    children: tuple[Any, ...]


class PytreeDef(NamedTuple):
    """Any other node type of JAX, taken apart one level."""

    treedef: Any
    keys: tuple[Any, ...]
    children: tuple[Any, ...]


class VariableDef(NamedTuple):
    """A variable: its type and metadata."""

    index: int
    type: Any
    metadata: Statics


class StaticDef(NamedTuple):
    """A static item of a container."""

    value: Any
    key: Any

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

    def _fields(self) -> tuple[Any, ...]:
        return self.index, self.type, self.keys, self.children, self.statics, self.statuses

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, ObjectDef) and self._fields() == other._fields())

    def __reduce__(self) -> Any:
        return ObjectDef, self._fields()


ARRAY = ArrayDef()
_HOLDS_DATA = frozenset((VariableDef, ObjectDef, ArrayDef, Reference))


class GraphDef(Generic[Node]):
    """The structure of an object graph: all but its values.

    Equal structures are the same object, so comparing costs nothing.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> one, two = (nnx.graphdef(nnx.Param(jnp.ones(n))) for n in (1, 2))
    >>> one is two
    True
    """

    __slots__ = ("__weakref__", "_hash", "has_references", "num_leaves", "places", "root")

    def __init__(self, root: Any, num_leaves: int, has_references: bool, hashed: int) -> None:
        self.root = root
        self.num_leaves = num_leaves
        self.has_references = has_references
        self._hash = hashed
        # the paths of the leaves, nested, with their numbers; worked out when first asked for
        self.places: Any = None

    def __hash__(self) -> int:
        return self._hash

    # equal ones are the same object: `__eq__` is that of identity

    def __reduce__(self) -> Any:
        return intern_graphdef, (self.root, self.num_leaves, self.has_references)

    def __copy__(self) -> "GraphDef[Node]":
        return self

    def __deepcopy__(self, memo: Any) -> "GraphDef[Node]":
        return self

    @property
    def nodes(self) -> list[Any]:
        """The definitions of objects, containers, variables and references, in walk order."""
        return [each for _, each in _definitions((), self.root) if not isinstance(each, StaticDef)]

    @property
    def attributes(self) -> list[tuple[Any, Any]]:
        """The keys of all attributes and items with their definitions, in walk order."""
        found: list[tuple[Any, Any]] = []
        for path, each in _definitions((), self.root):
            if path:
                found.append((path[-1], each))
        return found

    def apply(self, state: Any, *states: Any, graph: bool | None = None) -> Any:
        """Call a method of the object on a state: ``y, (graphdef, state) = g.apply(state)(x)``."""
        from linnet.nnx.graph.split import (
            CallProxy,
        )

        del graph
        return CallProxy(self, (state, *states))

    def with_no_outer_index(self) -> "GraphDef[Node]":
        """Return the structure itself, which knows nothing of an outer one."""
        return self

    with_same_outer_index = with_no_outer_index

    def __repr__(self) -> str:
        from linnet.nnx.text import text_of_graphdef

        return text_of_graphdef(self)


jax.tree_util.register_static(GraphDef)

_interned: "weakref.WeakValueDictionary[Any, GraphDef[Any]]" = weakref.WeakValueDictionary()


def intern_graphdef(root: Any, num_leaves: int, has_references: bool) -> GraphDef[Any]:
    """Return the one ``GraphDef`` with this root definition."""
    found = _interned.get(root)
    if found is None:
        found = GraphDef(root, num_leaves, has_references, hash(root))
        _interned[root] = found
    return found


def cells_of(root: Any) -> Iterator[tuple[Path, Any]]:
    """Iterate over the definitions of the cells of a structure with their paths, in walk order."""
    for path, each in _definitions((), root):
        if isinstance(each, VariableDef | ArrayDef):
            yield path, each


def _definitions(path: Path, definition: Any) -> Iterator[tuple[Path, Any]]:
    yield path, definition
    if isinstance(definition, ObjectDef | ContainerDef | PytreeDef):
        for key, child in zip(definition.keys, definition.children, strict=True):
            yield from _definitions((*path, key), child)
