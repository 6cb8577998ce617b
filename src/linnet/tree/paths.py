"""Nested dicts as flat ones, keyed by path, and back.

A path is the tuple of keys that leads from the root to a value, or those keys joined by a
separator. ``flatten_dict`` and ``unflatten_dict`` are inverse as long as empty dicts are kept:
an empty dict has no value to stand for it, so ``empty_node`` does.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import jax

from linnet.base.errors import endless_text
from linnet.base.typing import Path
from linnet.tree.frozen_dict import FrozenDict

IsLeaf = Callable[[Path, Any], bool]


class _EmptyNode:
    """Stands for an empty dict among the values of a flattened one; as a pytree it has no leaf."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _EmptyNode)

    def __hash__(self) -> int:
        return hash(_EmptyNode)

    def __repr__(self) -> str:
        return "empty_node"


empty_node = _EmptyNode()
jax.tree_util.register_pytree_node(_EmptyNode, lambda _: ((), None), lambda _, __: empty_node)


def flatten_dict(
    xs: Mapping[Any, Any],
    keep_empty_nodes: bool = False,
    is_leaf: IsLeaf | None = None,
    sep: str | None = None,
) -> dict[Any, Any]:
    """Returns a flat dict with the values of a nested one, keyed by their paths.

    Args:
        xs: a dict or a FrozenDict. Other containers, lists among them, count as values.
        keep_empty_nodes: whether an empty dict is kept, as ``empty_node``, or left out.
        is_leaf: takes a path and what stands there, and says whether to keep it as a value even
            if it is a dict.
        sep: what to join the keys with; without it a path is a tuple.

    Raises:
        TypeError: ``xs`` is no dict, or a key cannot be joined because it is no string.

    >>> flatten_dict({"dense": {"kernel": 1, "bias": 2}, "rest": {}})
    {('dense', 'kernel'): 1, ('dense', 'bias'): 2}
    >>> flatten_dict({"dense": {"kernel": 1}, "rest": {}}, keep_empty_nodes=True, sep="/")
    {'dense/kernel': 1, 'rest': empty_node}
    """
    if not isinstance(xs, dict | FrozenDict):
        raise TypeError(
            f"flatten_dict takes a nested dict or FrozenDict, but was given {type(xs).__name__}: "
            f"{xs!r}"
        )
    return _flattened(xs, (dict, FrozenDict), keep_empty_nodes, is_leaf, sep)


def _flattened(
    xs: Any,
    branches: type | tuple[type, ...],
    keep_empty_nodes: bool,
    is_leaf: IsLeaf | None,
    sep: str | None,
) -> dict[Any, Any]:
    flat: dict[Any, Any] = {}

    def visit(node: Any, path: Path) -> None:
        branch = isinstance(node, branches)
        if branch and not (is_leaf is not None and is_leaf(path, node)):
            items = cast("Mapping[Any, Any]", node).items()
            for key, value in items:
                visit(value, (*path, key))
            if items or not keep_empty_nodes or not path:
                return
            node = empty_node
        flat[_joined(path, sep)] = node

    try:
        visit(xs, ())
    except RecursionError:
        raise ValueError(endless_text("flatten_dict", xs)) from None
    return flat


def unflatten_dict(xs: Mapping[Any, Any], sep: str | None = None) -> dict[Any, Any]:
    """Returns the nested dict that ``flatten_dict`` made flat.

    Args:
        xs: values keyed by their paths.
        sep: what the keys of a path are joined with; without it a path is a tuple.

    Raises:
        TypeError: ``xs`` is no dict, or a path is no string although there is a separator.
        ValueError: a path is empty, or one path leads through the value of another.

    >>> unflatten_dict({"dense/kernel": 1, "dense/bias": 2}, sep="/")
    {'dense': {'kernel': 1, 'bias': 2}}
    """
    if not isinstance(xs, Mapping):
        raise TypeError(
            f"unflatten_dict takes a dict from paths to values, but was given "
            f"{type(xs).__name__}: {xs!r}"
        )
    root: dict[Any, Any] = {}
    branches = {id(root)}
    for joined, value in xs.items():
        path = _split(joined, sep)
        node = root
        for key in path[:-1]:
            if key not in node:
                node[key] = {}
                branches.add(id(node[key]))
            node = node[key]
            if id(node) not in branches:
                raise _collision(xs, joined)
        if path[-1] in node:
            raise _collision(xs, joined)
        node[path[-1]] = {} if isinstance(value, _EmptyNode) else value
    return root


def flatten_mapping(
    xs: Mapping[Any, Any],
    /,
    *,
    keep_empty_nodes: bool = False,
    is_leaf: IsLeaf | None = None,
    sep: str | None = None,
) -> dict[Any, Any]:
    """Returns a flat dict like ``flatten_dict``, of nested mappings of any type.

    Args:
        xs: a mapping, of which the mappings within are taken apart too.
        keep_empty_nodes: whether an empty mapping is kept, as ``empty_node``, or left out.
        is_leaf: takes a path and what stands there, and says whether to keep it as a value.
        sep: what to join the keys with; without it a path is a tuple.

    Raises:
        TypeError: ``xs`` is no mapping, or a key cannot be joined because it is no string.

    >>> from types import MappingProxyType
    >>> flatten_mapping(MappingProxyType({"dense": {"kernel": 1}}))
    {('dense', 'kernel'): 1}
    """
    if not isinstance(xs, Mapping):
        raise TypeError(
            f"flatten_mapping takes a nested mapping, but was given {type(xs).__name__}: {xs!r}"
        )
    return _flattened(xs, Mapping, keep_empty_nodes, is_leaf, sep)


def flatten_to_sequence(
    xs: Mapping[Any, Any], /, *, is_leaf: IsLeaf | None = None
) -> list[tuple[Path, Any]]:
    """Returns the values of nested mappings with their paths, in order.

    >>> flatten_to_sequence({"dense": {"kernel": 1}})
    [(('dense', 'kernel'), 1)]
    """
    return list(flatten_mapping(xs, is_leaf=is_leaf).items())


def unflatten_mapping(xs: Any, /, *, sep: str | None = None) -> dict[Any, Any]:
    """Returns the nested dict of values keyed by paths, or of pairs of a path and a value.

    >>> unflatten_mapping([(("dense", "kernel"), 1)])
    {'dense': {'kernel': 1}}
    """
    return unflatten_dict(xs if isinstance(xs, Mapping) else dict(xs), sep)


def path_aware_map(f: Callable[[Path, Any], Any], nested_dict: Mapping[Any, Any]) -> dict[Any, Any]:
    """Returns a nested dict of the same structure, each value replaced by a function of it.

    Args:
        f: takes a path, as a tuple, and a value; returns the new value.
        nested_dict: a dict or a FrozenDict. Its empty dicts are kept.

    >>> path_aware_map(lambda path, x: 0 if path[-1] == "bias" else x, {"a": {"bias": 1, "w": 2}})
    {'a': {'bias': 0, 'w': 2}}
    """
    flat = flatten_dict(nested_dict, keep_empty_nodes=True)
    return unflatten_dict(
        {path: x if isinstance(x, _EmptyNode) else f(path, x) for path, x in flat.items()}
    )


def outermost(paths: Iterable[Path]) -> list[Path]:
    """Leave out the paths that lie below another one, and repeated ones.

    >>> outermost([("a", "b"), ("c",), ("a",), ("c",)])
    [('c',), ('a',)]
    """
    each = dict.fromkeys(paths)
    return [p for p in each if not any(p != q and p[: len(q)] == q for q in each)]


def _joined(path: Path, sep: str | None) -> Any:
    if sep is None:
        return path
    wrong = [key for key in path if not isinstance(key, str)]
    if wrong:
        raise TypeError(
            f"the path {path!r} cannot be joined by {sep!r}: its key {wrong[0]!r} is "
            f"{type(wrong[0]).__name__} and no string; leave out sep= to get paths as tuples"
        )
    return sep.join(path)


def _split(path: Any, sep: str | None) -> Path:
    if sep is not None:
        if not isinstance(path, str):
            raise TypeError(
                f"the path {path!r} cannot be split at {sep!r}, for it is no string; "
                f"leave out sep= where paths are tuples"
            )
        return tuple(path.split(sep))
    if not path:
        raise ValueError("the empty path () is the root itself, which has no place in a dict")
    return path


def _collision(flat: Mapping[Any, Any], path: Any) -> ValueError:
    return ValueError(
        f"the path {path!r} collides with another one: a place in a nested dict holds either a "
        f"value or a dict, but the paths given are {list(flat)}"
    )
