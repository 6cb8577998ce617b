"""A model as structure and state, and back: ``split``, ``merge`` and their kin.

``split`` and ``merge`` are inverse; ``state`` and ``graphdef`` are halves of ``split``. What is
split off shares the variables of the model; what ``clone`` returns shares nothing that can be
changed.

All of them start from the layout of the model (``layout.py``), so none of them walks a model
twice as long as its structure does not change.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any, Generic, TypeVar

import jax

from linnet.nnx.graph.build import new_variable
from linnet.nnx.graph.graphdef import (
    CallProxy,
    GraphDef,
    copied_variable,
    joined,
    leaves_in_order,
    rebuild,
)
from linnet.nnx.graph.layout import Layout, layout_of
from linnet.nnx.graph.states import FlatState, State, from_flat_state, raw
from linnet.nnx.objects.nodes import sort_key
from linnet.state.filters import Filter, sorted_into

A = TypeVar("A")

# --- taking apart ----------------------------------------------------------------------------


def split(node: Any, *filters: Filter, graph: bool | None = None) -> Any:
    """Take a model apart into its structure and its state.

    Args:
        node: a module, a variable, or a pytree of them.
        *filters: make one state for each of these; each variable goes to the first that matches.
        graph: taken for Flax's sake.

    Returns:
        ``(graphdef, state, ...)``, with one state, or one for each filter. The states share the
        variables of the model.

    Raises:
        ValueError: the filters leave something out.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> model = nnx.Dict(w=nnx.Param(jnp.ones(2)), n=nnx.BatchStat(jnp.zeros(())))
    >>> graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    >>> list(params), list(rest)
    (['w'], ['n'])
    >>> nnx.merge(graphdef, params, rest).w is model.w
    True
    """
    layout = layout_of(node)
    if not filters:
        return layout.graphdef, _state(layout)
    return (layout.graphdef, *_states(layout, filters, exhaustive=True))


def _state(layout: Layout) -> Any:
    """Return the state of a layout: nested, or the leaf itself where the root is one."""
    leaves = layout.leaves()
    if layout.paths == [()]:
        return leaves[0]
    return State(_filled(layout.tree(), leaves), _copy=False)


def _filled(tree: dict[Any, Any], leaves: list[Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for key, child in tree.items():  # a comprehension would be a frame more for each level
        made[key] = leaves[child] if type(child) is int else _filled(child, leaves)
    return made


def _states(layout: Layout, filters: tuple[Filter, ...], *, exhaustive: bool) -> tuple[Any, ...]:
    pairs = zip(layout.paths, layout.leaves(), strict=True)
    parts = sorted_into(pairs, filters, exhaustive=exhaustive)
    return tuple(from_flat_state(part) for part in parts)


def state(node: Any, *filters: Filter, graph: bool | None = None) -> Any:
    """Return the state of a model, or the parts of it that filters match.

    Args:
        node: a module, or a pytree of modules.
        *filters: return one state for each of these; what none matches is left out.
        graph: taken for Flax's sake.

    Returns:
        One state, or a tuple of states for several filters. They share the model's variables.
    """
    layout = layout_of(node)
    if not filters:
        return _state(layout)
    states = _states(layout, filters, exhaustive=False)
    return states[0] if len(filters) == 1 else states


def variables(node: Any, *filters: Filter, graph: bool | None = None) -> Any:
    """Return the state of a model; another name of :func:`state`."""
    return state(node, *filters, graph=graph)


def graphdef(node: Any, /, *, graph: bool | None = None) -> GraphDef[Any]:
    """Return the structure of a model."""
    return layout_of(node).graphdef


def flatten(
    node: Any,
    /,
    *,
    with_paths: bool = True,
    ref_index: Any = None,
    ref_outer_index: Any = None,
    graph: bool | None = None,
) -> tuple[GraphDef[Any], Any]:
    """Take a model apart into its structure and a flat sequence.

    Args:
        node: the model.
        with_paths: whether to return a ``FlatState`` of variables, or a list of values.
        ref_index: taken for Flax's sake.
        ref_outer_index: taken for Flax's sake.
        graph: taken for Flax's sake.
    """
    layout = layout_of(node)
    if not with_paths:
        return layout.graphdef, layout.values()
    return layout.graphdef, FlatState.from_sorted_keys_values(layout.paths, layout.leaves())


# --- putting together ------------------------------------------------------------------------


def merge(
    graphdef_or_graphstate: Any,
    /,
    *states: Any,
    copy: bool = False,
    recreate_variables: bool = True,
) -> Any:
    """Put a model together from its structure and states; the inverse of :func:`split`.

    Args:
        graphdef_or_graphstate: the structure, or what ``unpack`` returned.
        *states: together they have a leaf for every variable of the structure.
        copy: give the model variables of its own; otherwise it shares those of the states.
        recreate_variables: taken for Flax's sake.

    Raises:
        ValueError: leaves are missing, or there are some that the structure does not know; all of
            them are named.
    """
    if isinstance(graphdef_or_graphstate, GraphState):
        parts = (graphdef_or_graphstate, *states)
        structure, states = parts[0]._graphdef, tuple(part._state for part in parts)
    else:
        structure = graphdef_or_graphstate
    if not isinstance(structure, GraphDef):
        raise TypeError(
            f"nnx.merge was given a {type(structure).__name__} first; it takes the GraphDef that "
            "nnx.split returned, then the states: nnx.merge(graphdef, state)."
        )
    return unflatten(structure, joined(states), copy_variables=copy)


def unflatten(
    graphdef: GraphDef[Any],
    state: Any,
    /,
    *,
    index_ref: Any = None,
    outer_index_outer_ref: Any = None,
    copy_variables: bool = False,
    recreate_variables: bool = True,
) -> Any:
    """Put a model together from its structure and a state, flat state or list of values.

    Args are those of :func:`merge`.
    """
    leaves = leaves_in_order(graphdef, state)
    made, _ = rebuild(graphdef, leaves, copied_variable if copy_variables else new_variable)
    return made


def clone(node: A, variables: bool = True, *, arrays: bool = False, graph: bool | None = None) -> A:
    """Copy a model: the copy shares arrays, which never change, but nothing that does.

    Args:
        node: the model.
        variables: whether the copy has variables of its own, or shares those of the model.
        arrays: whether to copy the arrays too.
        graph: taken for Flax's sake.
    """
    layout = layout_of(node)
    leaves = layout.leaves() if not variables else layout.values()
    if arrays:
        leaves = jax.tree.map(lambda x: x.copy() if hasattr(x, "copy") else x, leaves)
    made, _ = rebuild(layout.graphdef, leaves)
    return made


# --- state that carries its structure --------------------------------------------------------


class GraphState(MutableMapping[Any, Any], Generic[A]):
    """A part of a model's state together with the structure of the model.

    It is read and written like the state itself.
    """

    __slots__ = ("_graphdef", "_state")
    _graphdef: GraphDef[A]
    _state: Any

    def __init__(self, _graphdef: GraphDef[A], _state: Any) -> None:
        object.__setattr__(self, "_graphdef", _graphdef)
        object.__setattr__(self, "_state", _state)

    def __getitem__(self, key: Any) -> Any:
        return self._state[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._state[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._state[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__") or key in GraphState.__slots__:
            raise AttributeError(key)
        return getattr(self._state, key)

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GraphState):
            return NotImplemented
        return self._graphdef == other._graphdef and bool(self._state == other._state)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> Any:
        return GraphState, (self._graphdef, self._state)

    def __repr__(self) -> str:
        return f"GraphState({self._graphdef!r}, {self._state!r})"


def _flatten(part: GraphState[Any]) -> tuple[list[Any], Any]:
    state = part._state
    if not isinstance(state, State):  # of a model that is a variable
        return [state], (part._graphdef, None)
    keys = sorted(state, key=sort_key)
    return [raw(state)[key] for key in keys], (part._graphdef, tuple(keys))


def _flatten_with_keys(part: GraphState[Any]) -> tuple[list[Any], Any]:
    children, static = _flatten(part)
    if static[1] is None:
        return [(jax.tree_util.FlattenedIndexKey(0), children[0])], static
    return list(zip(map(jax.tree_util.DictKey, static[1]), children, strict=True)), static


def _unflatten(static: Any, children: Any) -> GraphState[Any]:
    graphdef, keys = static
    if keys is None:
        return GraphState(graphdef, children[0])
    return GraphState(graphdef, State(dict(zip(keys, children, strict=True)), _copy=False))


jax.tree_util.register_pytree_with_keys(GraphState, _flatten_with_keys, _unflatten, _flatten)


def unpack(node: Any, *filters: Filter, graph: bool | None = None) -> Any:
    """Take a model apart into parts that carry its structure along; ``merge`` takes them.

    >>> from linnet import nnx
    >>> nnx.merge(nnx.unpack(nnx.Dict(a=nnx.Param(1)))).a[...]
    1
    """
    structure, *states = split(node, *filters, graph=graph)
    parts = tuple(GraphState(structure, each) for each in states)
    return parts if len(filters) > 1 else parts[0]


def call(graphdef_state: tuple[GraphDef[A], Any], /) -> Any:
    """Call a method of a model that is given as structure and state.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    >>> y, (graphdef, state) = nnx.call(nnx.split(model))(jnp.ones((1, 2)))
    >>> y.shape
    (1, 3)
    """
    structure, *states = graphdef_state
    return CallProxy(structure, tuple(states))
