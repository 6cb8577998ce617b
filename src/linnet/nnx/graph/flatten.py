"""Object graphs: a model as a structure and a list of values, and back.

A model is a graph: objects refer to objects and variables, two paths may lead to the same one, and
a path may lead back. :func:`flatten` walks it once, in the order of sorted attribute names, and
returns

* a :class:`GraphDef`: everything but the values. It is a tree of definitions, one for each object,
  container, variable, array and static attribute; the second time the walk meets an object or
  variable, it leaves a reference to the first;
* the *cells*: what holds the values, in the order of the walk. A cell is a variable, or a
  :class:`Slot`, the place of an array that is an attribute or an item itself.

:func:`unflatten` is the inverse. Definitions hash and compare by value, and equal ones are the same
object (*interned*): comparing the structures of two models is one ``is``, and a compiled program
can be remembered under the structure that it was compiled for.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax

from linnet.nnx.graph.definitions import (
    ARRAY,
    ArrayDef,
    ContainerDef,
    GraphDef,
    ObjectDef,
    Path,
    PytreeDef,
    Reference,
    StaticDef,
    VariableDef,
    intern_graphdef,
)
from linnet.nnx.objects.attributes import (
    holds_data,
    nature,
)
from linnet.nnx.objects.pytree import (
    Pytree,
    Statics,
    blank,
    put,
    static_key,
)
from linnet.nnx.objects.variable import (
    Variable,
)

# --- cells -----------------------------------------------------------------------------------


class Slot:
    """The place of an array that stands in an object or a container, not in a variable.

    Attributes:
        holder: the nearest object, list or dictionary that can be changed in place.
        keys: the way from there; more than one key leads through tuples and other pytrees.
    """

    __slots__ = ("holder", "keys")

    def __init__(self, holder: Any, keys: Path) -> None:
        self.holder = holder
        self.keys = keys

    def get(self) -> Any:
        """Return the array."""
        value = self.holder
        for key in self.keys:
            value = child_of(value, key)
        return value

    def set(self, array: Any) -> None:
        """Put another array in its place."""
        put_child(self.holder, self.keys, array)


def child_of(parent: Any, key: Any) -> Any:
    """Return the child of an object, container or pytree by its key."""
    if isinstance(parent, Pytree):
        return parent._get_child(key)
    if isinstance(parent, list | tuple | dict):
        return parent[key]
    return dict(_pytree_children(parent)[1])[key]


def put_child(holder: Any, keys: Path, value: Any) -> None:
    """Set what is at the end of a way, making anew the tuples and pytrees on it."""
    first, rest = keys[0], keys[1:]
    if rest:
        value = _with_child(child_of(holder, first), rest, value)
    if isinstance(holder, Pytree):
        holder._put_child(first, value)
    else:
        holder[first] = value


def _with_child(parent: Any, keys: Path, value: Any) -> Any:
    first, rest = keys[0], keys[1:]
    if rest:
        value = _with_child(child_of(parent, first), rest, value)
    if isinstance(parent, tuple):
        items = [*parent[:first], value, *parent[first + 1 :]]
        return type(parent)(*items) if hasattr(parent, "_fields") else tuple(items)
    treedef, children = _pytree_children(parent)
    return treedef.unflatten([value if key == first else child for key, child in children])


def _pytree_children(value: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """Take a pytree apart one level: its treedef, and its children with their keys."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        value, is_leaf=lambda node: node is not value
    )
    return treedef, [(key_of(path[0]) if path else None, child) for path, child in leaves]


def key_of(entry: Any) -> Any:
    """Return the plain key of an entry of a key path of JAX."""
    for name in ("key", "idx", "name"):
        if hasattr(entry, name):
            return getattr(entry, name)
    return str(entry)


# --- flatten ---------------------------------------------------------------------------------


class Walk:
    """One walk over an object graph.

    Attributes:
        cells: the variables and slots met, in order.
        paths: the path of each.
        members: the objects and variables met, in order; a definition's index counts them.
        containers: the lists and dictionaries that were met in attributes.
    """

    __slots__ = ("cells", "containers", "has_references", "index", "members", "paths")

    def __init__(self) -> None:
        self.cells: list[Any] = []
        self.paths: list[Path] = []
        self.members: list[Any] = []
        self.containers: list[Any] = []
        self.index: dict[int, int] = {}
        self.has_references = False

    def visit(self, value: Any, path: Path, holder: Any, way: Path) -> Any:
        """Return the definition of a value, and note its cells.

        Args:
            value: what was met.
            path: where, from the root.
            holder: the nearest thing on the path that can be changed in place.
            way: from there.
        """
        if isinstance(value, Variable):
            return self._variable(value, path)
        if isinstance(value, Pytree):
            return self._object(value, path)
        kind = nature(value)
        if kind is None:
            return self._container(value, path, holder, way)
        if kind or hasattr(value, "shape"):
            self.cells.append(Slot(holder, way) if holder is not None else Slot([value], (0,)))
            self.paths.append(path)
            return ARRAY
        return StaticDef(value, static_key(value))

    def _variable(self, variable: Variable[Any], path: Path) -> Any:
        known = self.index.get(id(variable))
        if known is not None:
            self.has_references = True
            return Reference("variable", known)
        index = self._enter(variable)
        self.cells.append(variable)
        self.paths.append(path)
        metadata = variable._metadata
        return VariableDef(index, type(variable), Statics(metadata) if metadata else _EMPTY)

    def _enter(self, member: Any) -> int:
        index = len(self.members)
        self.index[id(member)] = index
        self.members.append(member)
        return index

    def _object(self, obj: Pytree, path: Path) -> Any:
        known = self.index.get(id(obj))
        if known is not None:
            self.has_references = True
            return Reference("object", known)
        index = self._enter(obj)
        keys: list[Any] = []
        children: list[Any] = []
        statics: dict[str, Any] = {}
        # that a child is data is said by its being one, unless it is a container
        explicit: list[tuple[Any, bool]] = []
        statuses = obj._statuses
        for key, value in obj._children():
            status = statuses.get(key)
            if status is False or (status and nature(value) is None):
                explicit.append((key, status))
            if holds_data(value) if status is None else status:
                keys.append(key)
                if status and not nature(value) and not holds_data(value):
                    children.append(self._marked(value, (*path, key), obj, (key,)))
                else:
                    children.append(self.visit(value, (*path, key), obj, (key,)))
            else:
                statics[key] = value
                if type(value) is list or type(value) is dict:
                    self.containers.append(value)
        return ObjectDef(
            index,
            type(obj),
            tuple(keys),
            tuple(children),
            Statics(statics),
            tuple(explicit),
        )

    def _marked(self, value: Any, path: Path, holder: Any, way: Path) -> Any:
        """Define what is data only because it was said to be: numbers become values."""
        if nature(value) is None:
            leaves = jax.tree_util.tree_leaves(value)
            if leaves:
                treedef, children = _pytree_children(value)
                return self._taken_apart(treedef, children, path, holder, way, marked=True)
            return StaticDef(value, static_key(value))
        if value is None:
            return StaticDef(None, static_key(None))
        self.cells.append(Slot(holder, way))
        self.paths.append(path)
        return ARRAY

    def _container(self, value: Any, path: Path, holder: Any, way: Path) -> Any:
        cls = type(value)
        if not holds_data(value):
            if cls is list or cls is dict:
                self.containers.append(value)
            return StaticDef(value, static_key(value))
        if cls is list or cls is dict:
            if holder is not None:
                self.containers.append(value)
            holder, way = value, ()
        if cls is list or cls is tuple:
            keys: tuple[Any, ...] = tuple(range(len(value)))
            items = value
        elif cls is dict:
            keys = tuple(sorted(value, key=sort_key))
            items = [value[key] for key in keys]
        else:
            return self._taken_apart(*_pytree_children(value), path, holder, way)
        if holder is None:
            holder, way = list(value), ()
        children = [
            self.visit(item, (*path, key), holder, (*way, key))
            for key, item in zip(keys, items, strict=True)
        ]
        return ContainerDef(cls, keys, tuple(children))

    def _taken_apart(
        self,
        treedef: Any,
        children: list[tuple[Any, Any]],
        path: Path,
        holder: Any,
        way: Path,
        *,
        marked: bool = False,
    ) -> Any:
        visit = self._marked if marked else self.visit
        if holder is None:
            holder, way = dict(children), ()
        defined = [visit(child, (*path, key), holder, (*way, key)) for key, child in children]
        return PytreeDef(treedef, tuple(key for key, _ in children), tuple(defined))


_EMPTY = Statics({})


def sort_key(key: Any) -> Any:
    """Return what keys of a container are sorted by: numbers first, then the others as text."""
    return (0, key, "") if isinstance(key, int) else (1, 0, str(key))


def walk(node: Any) -> tuple[GraphDef[Any], Walk]:
    """Flatten an object graph: return its structure and the walk over it."""
    done = Walk()
    root = done.visit(node, (), None, ())
    return intern_graphdef(root, len(done.cells), done.has_references), done


# --- unflatten -------------------------------------------------------------------------------


class Builder:
    """Builds an object graph from its structure.

    Attributes:
        members: the objects and variables built, in the order of their indices.
    """

    __slots__ = ("_make", "_values", "members")

    def __init__(self, values: Iterator[Any], make: Callable[[VariableDef, Any], Any]) -> None:
        self._values = values
        self._make = make
        self.members: dict[int, Any] = {}

    def build(self, definition: Any) -> Any:
        """Build what a definition defines."""
        kind = type(definition)
        if kind is VariableDef:
            made = self._make(definition, next(self._values))
            self.members[definition.index] = made
            return made
        if kind is ObjectDef:
            return self._object(definition)
        if kind is ArrayDef:
            return next(self._values)
        if kind is StaticDef:
            return definition.value
        if kind is Reference:
            return self.members[definition.index]
        if kind is ContainerDef:
            items = [self.build(child) for child in definition.children]
            if definition.type is list:
                return items
            if definition.type is tuple:
                return tuple(items)
            return dict(zip(definition.keys, items, strict=True))
        return definition.treedef.unflatten([self.build(child) for child in definition.children])

    def _object(self, definition: ObjectDef) -> Any:
        made = blank(definition.type)
        # known before its attributes are built: a path may lead back to it
        self.members[definition.index] = made
        put(made, "_statuses", definition.known.copy())
        made._fill(definition.statics.fresh())
        if made._put_child.__func__ is _plain_put:
            attributes = made.__dict__
            for key, child in definition.pairs:
                attributes[key] = self.build(child)
        else:
            for key, child in definition.pairs:
                made._put_child(key, self.build(child))
        return made


_plain_put = Pytree._put_child


def new_variable(definition: VariableDef, value: Any) -> Any:
    """Make the variable of a definition; a variable for its value serves as it is."""
    if isinstance(value, Variable):
        return value
    return definition.type.from_metadata(value, dict(definition.metadata.values))


def unflatten(
    graphdef: GraphDef[Any],
    values: Any,
    make: Callable[[VariableDef, Any], Any] = new_variable,
) -> tuple[Any, Builder]:
    """Build an object graph from its structure and as many values as it has leaves."""
    builder = Builder(iter(values), make)
    return builder.build(graphdef.root), builder


# --- looking around --------------------------------------------------------------------------


def children_of(node: Any) -> list[tuple[Any, Any]]:
    """Return what a node of a graph refers to, static attributes included, with its keys."""
    if isinstance(node, Variable):
        return []
    if isinstance(node, Pytree):
        return node._children()
    if isinstance(node, list | tuple):
        return list(enumerate(node))
    if isinstance(node, dict):
        return [(key, node[key]) for key in sorted(node, key=sort_key)]
    if nature(node) is None:
        return _pytree_children(node)[1]
    return []


def iter_graph(node: Any, /, *, graph: bool | None = None) -> Iterator[tuple[Path, Any]]:
    """Iterate over everything in an object graph, children before parents, each thing once.

    Args:
        node: the root.
        graph: taken for Flax's sake; a graph is walked as a graph in either case.

    Yields:
        ``(path, value)``; static attributes too.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> [path for path, _ in nnx.iter_graph({"a": nnx.Param(jnp.ones(2)), "b": 3})]
    [('a',), ('b',), ()]
    """
    del graph
    return _iterate((), node, set())


def _iterate(path: Path, node: Any, seen: set[int]) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, Pytree | Variable) or type(node) in {list, dict}:
        if id(node) in seen:
            return
        seen.add(id(node))
    for key, child in children_of(node) if holds_data(node) else ():
        yield from _iterate((*path, key), child, seen)
    yield path, node


def path_to(root: Any, wanted: Any) -> str | None:
    """Return how Python would write the way from an object to something in it, if there is one."""
    if root is wanted:
        return ""
    if not (isinstance(root, Pytree) or type(root) in {list, tuple, dict}):
        return None
    todo: list[tuple[Any, str]] = [(root, "")]
    seen: set[int] = set()
    while todo:
        node, text = todo.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        for key, child in children_of(node):
            dotted = isinstance(node, Pytree) and isinstance(key, str)
            step = f".{key}" if dotted else f"[{key!r}]"
            if child is wanted:
                return text + step
            if isinstance(child, Pytree) or type(child) in {list, tuple, dict}:
                todo.append((child, text + step))
    return None
