"""Objects in pytrees as structure and states, and contexts in which several are taken apart.

``split`` takes one object apart. What two objects share is lost if each is taken apart by itself;
in a :func:`split_context` it is not: the second refers to the first. :func:`merge_context` is the
inverse. :func:`to_tree` does this for all objects in a pytree, and :func:`from_tree` puts them
back; they are what a transformation of one's own needs.

An :func:`update_context` ties four steps together, as transformations do: split outside, merge
inside, split inside, merge outside. The last one changes the objects of the first.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Generator, Hashable
from typing import Any

import jax

from linnet.base.typing import MISSING
from linnet.nnx.graph.build import Builder, new_variable
from linnet.nnx.graph.flatten import Walk
from linnet.nnx.graph.graphdef import GraphDef, joined, leaves_in_order
from linnet.nnx.graph.reconcile import Settler
from linnet.nnx.graph.states import from_flat_state, to_flat_state
from linnet.nnx.objects.nodes import is_node, iter_graph
from linnet.nnx.objects.pytree import Pytree
from linnet.nnx.objects.variable import Variable, raw_value_of
from linnet.state.filters import sorted_into

# --- contexts --------------------------------------------------------------------------------


class LinkedGraphDef(GraphDef[Any]):
    """A structure that knows which of its objects stood in an earlier one.

    Attributes:
        origins: for each object and variable its number in the earlier structure, or -1.
    """

    __slots__ = ("origins",)

    def __init__(self, graphdef: GraphDef[Any], origins: tuple[int, ...]) -> None:
        super().__init__(graphdef.root, graphdef.num_leaves, graphdef.has_references)
        self.origins = origins

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, LinkedGraphDef)
            and self.kin is other.kin
            and self.origins == other.origins
        )

    __hash__ = GraphDef.__hash__

    def __reduce__(self) -> Any:
        return LinkedGraphDef, (
            GraphDef(self.root, self.num_leaves, self.has_references),
            self.origins,
        )


jax.tree_util.register_static(LinkedGraphDef)


class UpdateContext:
    """What the four steps of an update know of each other.

    Attributes:
        tag: its name.
    """

    def __init__(self, tag: Hashable) -> None:
        self.tag = tag
        self.outer: list[Any] | None = None
        self.inner: dict[int, Any] | None = None


class _Open(threading.local):
    """The open update contexts of this thread, by tag."""

    def __init__(self) -> None:
        self.contexts: dict[Hashable, list[UpdateContext]] = {}


_open = _Open()


class _UpdateManager(contextlib.ContextDecorator):
    def __init__(self, tag: Hashable) -> None:
        self.tag = tag

    def __enter__(self) -> UpdateContext:
        context = UpdateContext(self.tag)
        _open.contexts.setdefault(self.tag, []).append(context)
        return context

    def __exit__(self, *exc: object) -> None:
        contexts = _open.contexts[self.tag]
        contexts.pop()
        if not contexts:
            del _open.contexts[self.tag]


def update_context(tag: Hashable) -> _UpdateManager:
    """Tie the splits and merges with this tag together; a ``with`` block, or a decorator.

    Args:
        tag: its name.
    """
    return _UpdateManager(tag)


def current_update_context(tag: Hashable) -> UpdateContext:
    """Return the innermost update context of a tag.

    Raises:
        ValueError: there is none.
    """
    if tag not in _open.contexts:
        raise ValueError(
            f"No update context with the tag {tag!r} is open. Decorate the function with "
            f"@nnx.update_context({tag!r})."
        )
    return _open.contexts[tag][-1]


class SplitContext:
    """Takes several objects apart; what they share stays shared."""

    def __init__(self, ctxtag: Hashable | None = None) -> None:
        self._walk = Walk()
        self._update = current_update_context(ctxtag) if ctxtag is not None else None

    def split(self, node: Any, *filters: Any) -> Any:
        """Take an object apart; see ``nnx.split``. What was met before is left out of its state."""
        graphdef, flat = self._walked(node)
        if not filters:
            return graphdef, from_flat_state(flat)
        parts = sorted_into(flat, filters, exhaustive=True)
        return (graphdef, *map(from_flat_state, parts))

    def flatten(self, node: Any, *filters: Any, with_paths: bool = True) -> Any:
        """Take an object apart into structure and flat states, or values."""
        if filters:
            graphdef, *states = self.split(node, *filters)
            return (graphdef, *map(to_flat_state, states))
        graphdef, flat = self._walked(node)
        if with_paths:
            return graphdef, to_flat_state(from_flat_state(flat))
        return graphdef, [raw_value_of(x) for _, x in flat]

    def _walked(self, node: Any) -> tuple[GraphDef[Any], list[tuple[Any, Any]]]:
        walk, update = self._walk, self._update
        first = len(walk.cells)
        root = walk.visit(node, (), None, ())
        cells = zip(walk.paths[first:], walk.cells[first:], strict=True)
        flat = [(path, cell._leaf) for path, cell in cells]
        graphdef: GraphDef[Any] = GraphDef(root, len(flat), walk.has_references)
        if update is not None and update.inner is not None:
            known = {id(member): index for index, member in update.inner.items()}
            origins = tuple(known.get(id(member), -1) for member in walk.members)
            return LinkedGraphDef(graphdef, origins), flat
        if update is not None:
            update.outer = walk.members
        return graphdef, flat


class MergeContext:
    """Puts several objects together that were taken apart in one :class:`SplitContext`."""

    def __init__(self, ctxtag: Hashable | None = None, inner: bool | None = None) -> None:
        self._members: dict[int, Any] = {}
        self._update = current_update_context(ctxtag) if ctxtag is not None else None
        self._is_inner = inner

    def merge(self, graphdef: GraphDef[Any], state: Any, /, *states: Any) -> Any:
        """Put an object together; see ``nnx.merge``."""
        leaves = leaves_in_order(graphdef, joined((state, *states)))
        return self._built(graphdef, leaves)

    def unflatten(self, graphdef: GraphDef[Any], flat_state: Any, /, *flat_states: Any) -> Any:
        """Put an object together of flat states or values."""
        if isinstance(flat_state, list):
            return self._built(graphdef, flat_state)
        return self.merge(graphdef, flat_state, *flat_states)

    def _built(self, graphdef: GraphDef[Any], leaves: list[Any]) -> Any:
        update = self._update
        if update is not None and isinstance(graphdef, LinkedGraphDef) and not self._is_inner:
            values = {n: raw_value_of(leaf) for n, leaf in enumerate(leaves)}
            return Settler(graphdef.origins, values, update.outer or []).settle(graphdef.root)
        builder = Builder(iter(leaves), new_variable)
        builder.members = self._members
        made = builder.build(graphdef.root)
        if update is not None:
            update.inner = self._members
        return made


@contextlib.contextmanager
def split_context(ctxtag: Hashable | None = None) -> Generator[SplitContext, None, None]:
    """Take several objects apart, so that what they share stays shared.

    Args:
        ctxtag: the tag of an update context that this is a step of.

    >>> from linnet import nnx
    >>> shared = nnx.Param(1.0)
    >>> with nnx.split_context() as ctx:
    ...     one, two = ctx.split(nnx.Dict(a=shared)), ctx.split(nnx.Dict(b=shared))
    >>> list(two[1])
    []
    >>> with nnx.merge_context() as ctx:
    ...     one, two = ctx.merge(*one), ctx.merge(*two)
    >>> one.a is two.b
    True
    """
    yield SplitContext(ctxtag)


@contextlib.contextmanager
def merge_context(
    ctxtag: Hashable | None = None, inner: bool | None = None
) -> Generator[MergeContext, None, None]:
    """Put together what was taken apart in a :func:`split_context`.

    Args:
        ctxtag: the tag of an update context that this is a step of.
        inner: whether this is the step inside; the one outside changes the objects of the caller.
    """
    yield MergeContext(ctxtag, inner)


# --- trees -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class NodeStates:
    """An object in a pytree, taken apart: its structure and its states.

    Attributes:
        states: the states, one for each filter.
        metadata: anything that was said about it.
    """

    _graphdef: GraphDef[Any] | None
    states: tuple[Any, ...]
    metadata: Any = None

    @property
    def graphdef(self) -> GraphDef[Any]:
        """The structure.

        Raises:
            ValueError: there is none.
        """
        if self._graphdef is None:
            raise ValueError("This NodeStates has no structure: it was made of states alone.")
        return self._graphdef

    @property
    def state(self) -> Any:
        """The only state.

        Raises:
            ValueError: there are several.
        """
        if len(self.states) != 1:
            raise ValueError(f"This NodeStates has {len(self.states)} states; read `states`.")
        return self.states[0]

    @classmethod
    def from_split(
        cls, graphdef: GraphDef[Any] | None, state: Any, /, *states: Any, metadata: Any = None
    ) -> "NodeStates":
        """Make one of what ``nnx.split`` returned."""
        return cls(graphdef, (state, *states), metadata)

    @classmethod
    def from_states(cls, state: Any, *states: Any) -> "NodeStates":
        """Make one of states alone."""
        return cls(None, (state, *states))

    @classmethod
    def from_prefixes(cls, prefixes: Any, /, *, metadata: Any = None) -> "NodeStates":
        """Make one of what stands for the states, such as axes."""
        return cls(None, tuple(prefixes), metadata)

    def replace(self, **updates: Any) -> "NodeStates":
        """Return a copy with other fields."""
        return dataclasses.replace(self, **updates)


jax.tree_util.register_pytree_with_keys(
    NodeStates,
    lambda node: (
        [(jax.tree_util.SequenceKey(n), state) for n, state in enumerate(node.states)],
        (node._graphdef, node.metadata),
    ),
    lambda static, states: NodeStates(static[0], tuple(states), static[1]),
)


def default_split_fn(ctx: SplitContext, path: Any, prefix: Any, leaf: Any) -> Any:
    """Take an object apart into structure and state."""
    return NodeStates.from_split(*ctx.split(leaf))


def merge_tree_node(ctx: MergeContext, path: Any, prefix: Any, leaf: Any) -> Any:
    """Put an object together that was taken apart into structure and states."""
    if not isinstance(leaf, NodeStates):
        raise ValueError(f"from_tree expected a NodeStates, but found {type(leaf).__name__}.")
    return ctx.merge(leaf.graphdef, *leaf.states)


def is_tree_node(value: Any) -> bool:
    """Tell whether a value is an object that was taken apart."""
    return isinstance(value, NodeStates)


def to_tree(
    tree: Any,
    /,
    *,
    prefix: Any = MISSING,
    split_fn: Callable[[SplitContext, Any, Any, Any], Any] = default_split_fn,
    map_non_graph_nodes: bool = False,
    ctxtag: Hashable | None = None,
    check_aliasing: bool = True,
) -> Any:
    """Take all objects in a pytree apart, so that JAX sees arrays only.

    Args:
        tree: the pytree.
        prefix: something for each part of it, such as axes; given to ``split_fn``.
        split_fn: what takes one object apart: ``(context, path, prefix, object)``.
        map_non_graph_nodes: whether other leaves are given to ``split_fn``, too.
        ctxtag: the tag of an update context that this is a step of.
        check_aliasing: whether one object under two different prefixes is an error.

    Raises:
        ValueError: an object is met under two prefixes.

    >>> import jax
    >>> from linnet import nnx
    >>> tree = nnx.to_tree({"m": nnx.Dict(a=nnx.Param(1.0)), "x": 2.0})
    >>> jax.tree.leaves(tree), nnx.from_tree(tree)["m"].a[...]
    ([1.0, 2.0], 1.0)
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_node)
    prefixes = _spread(prefix, tree, len(leaves))
    with split_context(ctxtag) as context:
        seen: dict[int, tuple[Any, Any]] = {}
        made: list[Any] = []
        for (path, leaf), each in zip(leaves, prefixes, strict=True):
            if check_aliasing and is_node(leaf):
                _check_alias(leaf, path, each, seen)
            taken = is_node(leaf) or map_non_graph_nodes
            made.append(split_fn(context, path, each, leaf) if taken else leaf)
    return jax.tree.unflatten(treedef, made)


def _check_alias(leaf: Any, path: Any, prefix: Any, seen: dict[int, tuple[Any, Any]]) -> None:
    for inner, part in iter_graph(leaf):
        if isinstance(part, Variable | Pytree):
            first = seen.setdefault(id(part), (prefix, (path, inner)))
            if first[0] != prefix:
                raise ValueError(
                    f"Inconsistent aliasing: one {type(part).__name__} is reached at "
                    f"{jax.tree_util.keystr(path)} with {prefix!r} and at "
                    f"{jax.tree_util.keystr(first[1][0])} with {first[0]!r}. Give both the same."
                )


def from_tree(
    tree: Any,
    /,
    *,
    prefix: Any = MISSING,
    merge_fn: Callable[[MergeContext, Any, Any, Any], Any] = merge_tree_node,
    is_node_leaf: Callable[[Any], bool] = is_tree_node,
    is_leaf: Callable[[Any], bool] = is_tree_node,
    map_non_graph_nodes: bool = False,
    is_inner: bool | None = None,
    ctxtag: Hashable | None = None,
) -> Any:
    """Put the objects in a pytree together again; undoes :func:`to_tree`.

    Args:
        tree: what ``to_tree`` returned.
        prefix: something for each part of it; given to ``merge_fn``.
        merge_fn: what puts one object together: ``(context, path, prefix, leaf)``.
        is_node_leaf: which leaves are objects taken apart.
        is_leaf: which parts of the tree are leaves.
        map_non_graph_nodes: whether other leaves are given to ``merge_fn``, too.
        is_inner: whether this is the step inside of an update context.
        ctxtag: the tag of the update context that this is a step of.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_leaf)
    prefixes = _spread(prefix, tree, len(leaves), is_leaf)
    with merge_context(ctxtag, is_inner) as context:
        made = [
            merge_fn(context, path, each, leaf)
            if is_node_leaf(leaf) or map_non_graph_nodes
            else leaf
            for (path, leaf), each in zip(leaves, prefixes, strict=True)
        ]
    return jax.tree.unflatten(treedef, made)


def _spread(prefix: Any, tree: Any, count: int, is_leaf: Any = is_node) -> list[Any]:
    if prefix is MISSING:
        return [None] * count
    found: list[Any] = []

    def note(each: Any, part: Any) -> None:
        found.extend([each] * len(jax.tree.leaves(part, is_leaf=is_leaf)))

    jax.tree.map(note, prefix, tree, is_leaf=lambda x: x is None)
    return found
