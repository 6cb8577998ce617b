"""A model as structure and state, and back: ``split``, ``merge``, ``update`` and their kin.

``split`` and ``merge`` are inverse. ``state`` and ``graphdef`` are halves of ``split``; ``update``
puts a state into a model that exists. What is split off shares the variables of the model; what
``clone`` returns shares nothing that can be changed.

All of them start from the layout of the model (``nnx/layout.py``), so none of them walks a model
twice as long as its structure does not change.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import jax

from linnet.base import errors
from linnet.nnx.attributes import nature
from linnet.nnx.changes import note_change
from linnet.nnx.graph import (
    GraphDef,
    Path,
    Slot,
    VariableDef,
    child_of,
    children_of,
    new_variable,
    sort_key,
)
from linnet.nnx.graph import (
    unflatten as build,
)
from linnet.nnx.layout import Layout, layout_of
from linnet.nnx.pytree import Pytree
from linnet.nnx.states import (
    FlatState,
    State,
    _raw,
    from_flat_state,
    items_of,
    predicates_of,
    remainder_text,
)
from linnet.nnx.variables import Variable
from linnet.state.filters import Filter, to_predicate

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
    del graph
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
    return {
        key: leaves[child] if type(child) is int else _filled(child, leaves)
        for key, child in tree.items()
    }


def _states(layout: Layout, filters: tuple[Filter, ...], *, exhaustive: bool) -> tuple[Any, ...]:
    parts: list[list[tuple[Path, Any]]] = [[] for _ in filters]
    predicates = predicates_of(filters)
    rest: list[tuple[Path, Any]] = []
    for path, leaf in zip(layout.paths, layout.leaves(), strict=True):
        for predicate, part in zip(predicates, parts, strict=True):
            if predicate(path, leaf):
                part.append((path, leaf))
                break
        else:
            rest.append((path, leaf))
    if rest and exhaustive:
        raise ValueError(remainder_text(rest, filters))
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
    del graph
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
    del graph
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
    del ref_index, ref_outer_index, graph
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
    del recreate_variables
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


def joined(states: tuple[Any, ...]) -> Any:
    if len(states) == 1:
        return states[0]
    flat: dict[Path, Any] = {}
    for each in states:
        if not isinstance(each, Mapping | FlatState):
            return each
        flat.update(each if isinstance(each, FlatState) else items_of(each))
    return FlatState(flat.items(), sort=True)


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
    del index_ref, outer_index_outer_ref, recreate_variables
    leaves = leaves_in_order(graphdef, state)
    made, _ = build(graphdef, leaves, _copied if copy_variables else new_variable)
    return made


def _copied(definition: VariableDef, value: Any) -> Any:
    if isinstance(value, Variable):
        value = value.get_raw_value()
    return definition.type.from_metadata(value, dict(definition.metadata.values))


def leaves_in_order(graphdef: GraphDef[Any], state: Any) -> list[Any]:
    """Return the leaves of a state in the order of the structure that they belong to."""
    if isinstance(state, list | tuple):
        if len(state) != graphdef.num_leaves:
            raise ValueError(
                f"The structure has {graphdef.num_leaves} leaves, but {len(state)} were given."
            )
        return list(state)
    tree = _places(graphdef)
    if tree == {(): 0}:
        return [state]
    leaves: list[Any] = [_ABSENT] * graphdef.num_leaves
    unknown: list[Path] = []
    if isinstance(state, FlatState):
        state = from_flat_state(state)
    placed = _sort_in(tree, _raw(state), (), leaves, unknown)
    if placed != graphdef.num_leaves or unknown:
        absent = [path for path, number in _numbered((), tree) if leaves[number] is _ABSENT]
        raise ValueError(_misfit(graphdef, absent, unknown))
    return leaves


_ABSENT: Any = object()


def _places(graphdef: GraphDef[Any]) -> dict[Any, Any]:
    """Return the paths of the leaves of a structure, nested, with their numbers."""
    if graphdef.places is None:
        counter = iter(range(graphdef.num_leaves))
        places = _number(graphdef.root, counter)
        graphdef.places = {(): 0} if places == 0 and type(places) is int else places or {}
    return graphdef.places


def _number(definition: Any, counter: Any) -> Any:
    from linnet.nnx.graph import ArrayDef

    if isinstance(definition, VariableDef | ArrayDef):
        return next(counter)
    children = getattr(definition, "children", None)
    if children is None:
        return None
    found = {
        key: _number(child, counter) for key, child in zip(definition.keys, children, strict=True)
    }
    kept = {key: value for key, value in found.items() if value is not None}
    return kept or None


def _sort_in(
    tree: dict[Any, Any], state: Any, path: Path, leaves: list[Any], unknown: list[Path]
) -> int:
    """Put the leaves of a state in their places; return how many there were."""
    placed = 0
    for key, held in state.items():
        place, value = tree.get(key, _ABSENT), _raw(held)
        if type(place) is int:
            leaves[place] = value
            placed += 1
        elif place is not _ABSENT and isinstance(value, Mapping):
            placed += _sort_in(place, value, (*path, key), leaves, unknown)
        elif isinstance(value, Mapping):
            unknown.extend((*path, key, *p) for p, _ in items_of(value))
        else:
            unknown.append((*path, key))
    return placed


def _numbered(path: Path, tree: Any) -> Any:
    for key, value in tree.items():
        if type(value) is int:
            yield (*path, key), value
        else:
            yield from _numbered((*path, key), value)


def _misfit(graphdef: GraphDef[Any], absent: list[Path], unknown: list[Path]) -> str:
    told = [f"{len(absent)} leaves are missing: {_paths(absent)}"] if absent else []
    told += [f"{len(unknown)} do not belong to it: {_paths(unknown)}"] if unknown else []
    return (
        f"Incorrect number of leaves: the structure has {graphdef.num_leaves}. Of the states "
        f"given, {'; '.join(told)}. Pass all the states that nnx.split returned with this GraphDef."
    )


def _paths(paths: list[Path]) -> str:
    return ", ".join([errors.path_text(p) for p in paths[:8]]) + (" …" if len(paths) > 8 else "")


def clone(node: A, variables: bool = True, *, arrays: bool = False, graph: bool | None = None) -> A:
    """Copy a model: the copy shares arrays, which never change, but nothing that does.

    Args:
        node: the model.
        variables: whether the copy has variables of its own, or shares those of the model.
        arrays: whether to copy the arrays too.
        graph: taken for Flax's sake.
    """
    del graph
    layout = layout_of(node)
    leaves = layout.leaves() if not variables else layout.values()
    if arrays:
        leaves = jax.tree.map(lambda x: x.copy() if hasattr(x, "copy") else x, leaves)
    made, _ = build(layout.graphdef, leaves)
    return made


# --- changing a model ------------------------------------------------------------------------


def update(node: Any, state: Any, /, *states: Any) -> None:
    """Put the values of a state into a model.

    Args:
        node: the model.
        state: a state, flat state or nested dictionary, of variables or of values. It may be
            partial: what it does not mention stays as it is.
        *states: further ones; later ones count.

    Raises:
        StateMismatchError: paths that the model does not have, or other shapes than its variables
            have. All are listed, and nothing is changed. It is a ``ValueError``.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> model = nnx.Dict(w=nnx.Param(jnp.ones(2)))
    >>> nnx.update(model, {"w": jnp.zeros(2)})
    >>> print(model.w[...])
    [0. 0.]
    """
    layout = layout_of(node)
    if layout.paths == [()]:
        for each in (state, *states):
            _assign(layout.cells[0], each)
        return
    tree, cells = layout.tree(), layout.cells
    pairs: list[tuple[Any, Any]] = []
    wrong: list[tuple[Path, str]] = []
    for each in (state, *states):
        flat = from_flat_state(each) if isinstance(each, FlatState) else each
        _collect(node, tree, cells, _raw(flat), (), pairs, wrong)
    if wrong:
        known = [errors.path_text(path) for path in layout.paths]
        raise errors.StateMismatchError(type(node).__name__, wrong, known)
    for cell, leaf in pairs:
        _assign(cell, leaf)


def _collect(
    node: Any,
    tree: Any,
    cells: list[Any],
    state: Any,
    path: Path,
    pairs: list[tuple[Any, Any]],
    wrong: list[tuple[Path, str]],
) -> None:
    if not isinstance(state, Mapping):
        raise TypeError(
            f"nnx.update was given a {type(state).__name__} as a state. Pass what nnx.state "
            "returned, or nested dictionaries with the keys of the model."
        )
    for key, held in state.items():
        place, value = tree.get(key, _ABSENT), _raw(held)
        if type(place) is int:
            cell = cells[place]
            problem = _shape_problem(cell, value)
            if problem:
                wrong.append(((*path, key), problem))
            else:
                pairs.append((cell, value))
        elif isinstance(value, Mapping) and (place is not _ABSENT or not value):
            _collect(
                node, {} if place is _ABSENT else place, cells, value, (*path, key), pairs, wrong
            )
        elif place is _ABSENT and _static_place(node, (*path, key)) is not _ABSENT:
            pairs.append((_StaticPlace(node, (*path, key)), value))
        elif isinstance(value, Mapping):
            wrong.extend(
                ((*path, key, *p), "the model has no such path") for p, _ in items_of(value)
            )
        else:
            wrong.append(((*path, key), "the model has no such path"))


class _StaticPlace(NamedTuple):
    """An attribute that is static now and gets what a state has for it."""

    node: Any
    path: Path


def _static_place(node: Any, path: Path) -> Any:
    """Return what a model has at a path that is reached a second time, or is no variable."""
    for key in path:
        try:
            node = child_of(node, key)
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return node if not isinstance(node, Pytree) else _ABSENT


def _shape_problem(cell: Any, value: Any) -> str:
    if isinstance(value, Mapping) and not isinstance(
        cell._value if isinstance(cell, Variable) else None, Mapping
    ):
        return "a variable stands there, but the state has a dictionary"
    old = cell._value if isinstance(cell, Variable) else cell.get()
    new = value._value if isinstance(value, Variable) else value
    if hasattr(old, "shape") and hasattr(new, "shape") and old.shape != new.shape:
        return f"the model has shape {tuple(old.shape)}, the state {tuple(new.shape)}"
    return ""


def _assign(cell: Any, leaf: Any) -> None:
    if isinstance(cell, Variable):
        if isinstance(leaf, Variable):
            cell.update_from_state(leaf)
        else:
            cell.set_raw_value(leaf)
    elif isinstance(cell, Slot):
        cell.set(leaf)
    else:
        target = _static_place(cell.node, cell.path)
        if isinstance(target, Variable):
            _assign(target, leaf)
            return
        owner = cell.node
        for key in cell.path[:-1]:
            owner = child_of(owner, key)
        setattr(owner, cell.path[-1], leaf)


def pop(node: Any, *filters: Filter) -> Any:
    """Remove variables from a model and return them.

    Args:
        node: the model.
        *filters: which; return one state for each.

    Returns:
        One state, or a tuple of states for several filters.

    Raises:
        ValueError: no filter was given.
    """
    if not filters:
        raise ValueError(
            "nnx.pop was not told what to remove. Name the types: nnx.pop(model, nnx.Intermediate)."
        )
    predicates = predicates_of(filters)
    parts: list[list[tuple[Path, Any]]] = [[] for _ in filters]
    removed: dict[int, bool] = {}
    _pop(node, (), predicates, parts, removed, set())
    states = tuple(from_flat_state(part) for part in parts)
    return states[0] if len(filters) == 1 else states


def _pop(
    node: Any,
    path: Path,
    predicates: Any,
    parts: list[list[tuple[Path, Any]]],
    removed: dict[int, bool],
    seen: set[int],
) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    for key, child in list(children_of(node)):
        if isinstance(child, Variable):
            number = next((n for n, p in enumerate(predicates) if p((*path, key), child)), None)
            if number is None:
                continue
            if id(child) not in removed:
                parts[number].append(((*path, key), child))
                removed[id(child)] = True
            if isinstance(node, Pytree):
                node._drop_child(key)
                node._statuses.pop(key, None)
                note_change(node)
            else:
                del node[key]
        elif isinstance(child, Pytree) or nature(child) is None:
            _pop(child, (*path, key), predicates, parts, removed, seen)


# --- state that carries its structure --------------------------------------------------------


class GraphState(Generic[A]):
    """A part of a model's state together with the structure of the model."""

    __slots__ = ("_graphdef", "_state")

    def __init__(self, _graphdef: GraphDef[A], _state: Any) -> None:
        self._graphdef = _graphdef
        self._state = _state

    def __repr__(self) -> str:
        return f"GraphState({self._graphdef!r}, {self._state!r})"


jax.tree_util.register_pytree_node(
    GraphState,
    lambda part: ((part._state,), part._graphdef),
    lambda graphdef, children: GraphState(graphdef, children[0]),
)


def unpack(node: Any, *filters: Filter, graph: bool | None = None) -> Any:
    """Take a model apart into parts that carry its structure along; ``merge`` takes them.

    >>> from linnet import nnx
    >>> nnx.merge(nnx.unpack(nnx.Dict(a=nnx.Param(1)))).a[...]
    1
    """
    structure, *states = split(node, *filters, graph=graph)
    parts = tuple(GraphState(structure, each) for each in states)
    return parts if len(filters) > 1 else parts[0]


class CallProxy:
    """Calls a method of a model that is given as structure and state."""

    def __init__(self, graphdef: GraphDef[Any], states: tuple[Any, ...], way: Path = ()) -> None:
        self._parts = (graphdef, states, way)

    def __getattr__(self, name: str) -> "CallProxy":
        graphdef, states, way = self._parts
        return CallProxy(graphdef, states, (*way, name))

    def __getitem__(self, key: Any) -> "CallProxy":
        graphdef, states, way = self._parts
        return CallProxy(graphdef, states, (*way, (key,)))

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Any, tuple[GraphDef[Any], Any]]:
        """Call it; return the result, and structure and state after the call."""
        graphdef, states, way = self._parts
        node = merge(graphdef, *states, copy=True)
        target = node
        for step in way:
            target = target[step[0]] if isinstance(step, tuple) else getattr(target, step)
        result = target(*args, **kwargs)
        return result, tuple(split(node))  # type: ignore[return-value]


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


# --- maps over graphs ------------------------------------------------------------------------


def recursive_map(f: Callable[[Path, Any], Any], node: Any, /, *, graph: bool | None = None) -> Any:
    """Return a copy of a model with ``f(path, part)`` in the place of every part, leaves first.

    Shared parts are mapped once and stay shared.
    """
    del graph
    return _mapped(f, (), clone(node, variables=True), {})


def _mapped(f: Callable[[Path, Any], Any], path: Path, node: Any, done: dict[int, Any]) -> Any:
    if id(node) in done:
        return done[id(node)][1]
    if isinstance(node, Pytree):
        done[id(node)] = (node, node)
        for key, child in node._children():
            if node._holds(key, child):
                node._put_child(key, _mapped(f, (*path, key), child, done))
        note_change(node)
    elif type(node) in {list, dict, tuple}:
        items = {key: _mapped(f, (*path, key), child, done) for key, child in children_of(node)}
        if isinstance(node, dict):
            return f(path, items)
        return f(path, type(node)(items.values()))
    result = f(path, node)
    done[id(node)] = (node, result)
    return result


def map(  # noqa: A001 - Flax's name
    f: Callable[[Path, Any], Any],
    node: A,
    /,
    *,
    graph: bool | None = None,
    recreate_variables: bool = True,
) -> A:
    """Return a copy of a model with ``f(path, leaf)`` in the place of every variable and array.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> doubled = nnx.map(lambda path, v: v.replace(v[...] * 2), nnx.Dict(w=nnx.Param(jnp.ones(2))))
    >>> print(doubled.w[...])
    [2. 2.]
    """
    del graph, recreate_variables
    layout = layout_of(node)
    leaves = [f(p, leaf) for p, leaf in zip(layout.paths, layout.leaves(), strict=True)]

    def as_given(definition: VariableDef, value: Any) -> Any:
        del definition
        return value

    made, _ = build(layout.graphdef, leaves, as_given)
    return made


def set_metadata(node: Any, /, *, only: Filter = Variable, **metadata: Any) -> None:
    """Set metadata of the variables of a model.

    Args:
        node: the model.
        only: of the variables that this filter matches.
        **metadata: names and values.

    >>> from linnet import nnx
    >>> model = nnx.Dict(w=nnx.Param(1.0))
    >>> nnx.set_metadata(model, frozen=True)
    >>> model.w.frozen
    True
    """
    picks = to_predicate(only)
    layout = layout_of(node)
    for path, leaf in zip(layout.paths, layout.leaves(), strict=True):
        if isinstance(leaf, Variable) and picks(path, leaf):
            leaf.set_metadata(**metadata)


def find_duplicates(node: Any, /, *, only: Filter = ...) -> list[list[Path]]:
    """List the objects and variables that more than one path leads to, by their paths.

    >>> from linnet import nnx
    >>> tied = nnx.Param(1.0)
    >>> nnx.find_duplicates(nnx.Dict(a=tied, b=tied))
    [[('a',), ('b',)]]
    """
    picks = to_predicate(only)
    found: dict[int, list[Path]] = {}
    seen: set[int] = set()

    def visit(path: Path, value: Any) -> None:
        if isinstance(value, Pytree | Variable):
            if picks(path, value):
                found.setdefault(id(value), []).append(path)
            if id(value) in seen:
                return
            seen.add(id(value))
        if isinstance(value, Pytree) or nature(value) is None:
            for key, child in children_of(value):
                visit((*path, key), child)

    visit((), node)
    return [paths for paths in found.values() if len(paths) > 1]


__all__ = [
    "CallProxy",
    "GraphState",
    "call",
    "clone",
    "find_duplicates",
    "flatten",
    "graphdef",
    "map",
    "merge",
    "pop",
    "recursive_map",
    "set_metadata",
    "sort_key",
    "split",
    "state",
    "unflatten",
    "unpack",
    "update",
    "variables",
]
