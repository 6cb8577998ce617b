"""What an object graph is made of, and how to look around in it.

A :class:`Node` is a member of a graph: it is told apart by identity, and says itself what its
children are. Lists, tuples, dictionaries and JAX's other pytrees are containers; anything else is a
leaf. Everything that walks a graph does it by :func:`children_of`, and knows no class of node.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from linnet.base.typing import Path
from linnet.nnx.objects.attributes import holds_data, nature


class Node:
    """A member of an object graph: an object, or a variable."""

    __slots__ = ()

    def _children(self) -> list[tuple[Any, Any]]:
        """Return the children in the order in which they are flattened, with their keys."""
        return []

    def _get_child(self, key: Any) -> Any:
        """Return a child by its key.

        Raises:
            KeyError: there is none.
        """
        raise KeyError(key)

    def _put_child(self, key: Any, value: Any) -> None:
        """Set a child by its key, without checks."""
        raise KeyError(key)

    def _drop_child(self, key: Any) -> None:
        """Remove a child by its key, without checks."""
        raise KeyError(key)


def is_node(value: Any) -> bool:
    """Tell whether a value is an object or a variable of NNX."""
    return isinstance(value, Node)


def child_of(parent: Any, key: Any) -> Any:
    """Return the child of an object, container or pytree by its key."""
    if isinstance(parent, Node):
        return parent._get_child(key)
    if isinstance(parent, list) or type(parent) is tuple:
        return parent[key]
    if isinstance(parent, Mapping) and key in parent:  # JAX may know its items by other keys
        return parent[key]
    return dict(pytree_children(parent)[1])[key]


def put_child(holder: Any, keys: Path, value: Any) -> None:
    """Set what is at the end of a way, making anew the tuples and pytrees on it."""
    first, rest = keys[0], keys[1:]
    if rest:
        value = _with_child(child_of(holder, first), rest, value)
    if isinstance(holder, Node):
        holder._put_child(first, value)
    else:
        holder[first] = value


def _with_child(parent: Any, keys: Path, value: Any) -> Any:
    first, rest = keys[0], keys[1:]
    if rest:
        value = _with_child(child_of(parent, first), rest, value)
    if type(parent) is tuple:
        return (*parent[:first], value, *parent[first + 1 :])
    treedef, children = pytree_children(parent)
    return treedef.unflatten([value if key == first else child for key, child in children])


def pytree_children(value: Any) -> tuple[Any, list[tuple[Any, Any]]]:
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


def sort_key(key: Any) -> Any:
    """Return what keys of a container are sorted by: numbers first, then the others as text."""
    return (0, key, "") if isinstance(key, int) else (1, 0, str(key))


def children_of(node: Any) -> list[tuple[Any, Any]]:
    """Return what a node of a graph refers to, static attributes included, with its keys."""
    if isinstance(node, Node):
        return node._children()
    if isinstance(node, list) or type(node) is tuple:
        return list(enumerate(node))
    if isinstance(node, dict):
        return [(key, node[key]) for key in sorted(node, key=sort_key)]
    if nature(node) is None:
        return pytree_children(node)[1]
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
    return _iterate((), node, set())


def _iterate(path: Path, node: Any, seen: set[int]) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, Node) or type(node) in {list, dict}:
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
    if not (isinstance(root, Node) or type(root) in {list, tuple, dict}):
        return None
    todo: list[tuple[Any, str]] = [(root, "")]
    seen: set[int] = set()
    while todo:
        node, text = todo.pop(0)
        if id(node) in seen:
            continue
        seen.add(id(node))
        for key, child in children_of(node):
            dotted = isinstance(node, Node) and isinstance(key, str)
            step = f".{key}" if dotted else f"[{key!r}]"
            if child is wanted:
                return text + step
            if isinstance(child, Node) or type(child) in {list, tuple, dict}:
                todo.append((child, text + step))
    return None
