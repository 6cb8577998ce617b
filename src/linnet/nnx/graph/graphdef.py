"""``GraphDef``, the structure of an object graph, with what it can be asked and built into.

:func:`walk` flattens a graph and interns its structure; :func:`rebuild` is the inverse. Equal
structures share one :class:`_Kin`: comparing those of two models is one ``is``, and a compiled
program can be remembered under the structure that it was compiled for. What they do not share is
the static values themselves. A copy of a model has those of the model it was made of, and not
equal ones of another model.
"""

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import jax

from linnet.base import errors
from linnet.base.typing import Path
from linnet.nnx.graph.build import Builder, new_variable
from linnet.nnx.graph.definitions import (
    ArrayDef,
    ContainerDef,
    Reference,
    StaticDef,
    VariableDef,
    cells_of,
    definitions_of,
)
from linnet.nnx.graph.flatten import Walk
from linnet.nnx.graph.states import FlatState, from_flat_state, items_of, raw
from linnet.nnx.objects.variable import raw_value_of

Node = TypeVar("Node")


class GraphDef(Generic[Node]):
    """The structure of an object graph: all but its values.

    Comparing structures costs nothing.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> one, two = (nnx.graphdef(nnx.Param(jnp.ones(n))) for n in (1, 2))
    >>> one == two
    True
    """

    __slots__ = ("has_references", "kin", "num_leaves", "root")

    def __init__(self, root: Any, num_leaves: int, has_references: bool) -> None:
        self.root = root
        self.num_leaves = num_leaves
        self.has_references = has_references
        found = _interned.get(root)
        if found is None:
            found = _interned[root] = _Kin(hash(root))
        self.kin = found

    def __hash__(self) -> int:
        return self.kin.hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, GraphDef) and self.kin is other.kin)

    def __reduce__(self) -> Any:
        return GraphDef, (self.root, self.num_leaves, self.has_references)

    def __copy__(self) -> "GraphDef[Node]":
        return self

    def __deepcopy__(self, memo: Any) -> "GraphDef[Node]":
        return self

    @property
    def nodes(self) -> list[Any]:
        """The definitions of objects, containers, variables and references, in walk order."""
        return [
            each for _, each in definitions_of((), self.root) if not isinstance(each, StaticDef)
        ]

    @property
    def attributes(self) -> list[tuple[Any, Any]]:
        """The keys of all attributes and items with their definitions, in walk order."""
        found: list[tuple[Any, Any]] = []
        for path, each in definitions_of((), self.root):
            if path:
                found.append((path[-1], each))
        return found

    def apply(self, state: Any, *states: Any, graph: bool | None = None) -> Any:
        """Call a method of the object on a state: ``y, (graphdef, state) = g.apply(state)(x)``."""
        return CallProxy(self, (state, *states))

    def with_no_outer_index(self) -> "GraphDef[Node]":
        """Return the structure itself, which knows nothing of an outer one."""
        return self

    with_same_outer_index = with_no_outer_index

    def __repr__(self) -> str:
        inside = "\n".join(_lines(None, self.root, 1))
        return f"GraphDef( # {self.num_leaves} leaves\n{inside}\n)"


jax.tree_util.register_static(GraphDef)


class _Kin:
    """What equal structures have in common.

    Attributes:
        places: the paths of the leaves, with their numbers; worked out when asked for.
    """

    __slots__ = ("__weakref__", "hash", "places")

    def __init__(self, hashed: int) -> None:
        self.hash = hashed
        self.places: Any = None


_interned: "weakref.WeakValueDictionary[Any, _Kin]" = weakref.WeakValueDictionary()


def _lines(key: Any, definition: Any, depth: int) -> Iterator[str]:
    """Write a definition, one line for each part, indented by depth."""
    lead = "  " * depth + (f"{key}=" if key is not None else "")
    if isinstance(definition, VariableDef):
        yield f"{lead}{definition.type.__name__}({definition.metadata!r})"
    elif isinstance(definition, ArrayDef):
        yield f"{lead}array"
    elif isinstance(definition, Reference):
        yield f"{lead}<{definition.to} {definition.index} again>"
    elif isinstance(definition, StaticDef):
        yield f"{lead}{definition.value!r}"
    else:
        kind = getattr(definition, "type", None)
        name = kind.__name__ if kind is not None else str(definition.treedef)
        statics = getattr(definition, "statics", "")
        yield f"{lead}{name}({statics!r})" if statics != "" else f"{lead}{name}"
        for name, child in zip(definition.keys, definition.children, strict=True):
            yield from _lines(name, child, depth + 1)


def walk(node: Any) -> tuple[GraphDef[Any], Walk]:
    """Flatten an object graph: return its structure and the walk over it."""
    done = Walk()
    root = done.visit(node, (), None, ())
    return GraphDef(root, len(done.cells), done.has_references), done


def walk_each(
    nodes: tuple[Any, ...],
) -> tuple[GraphDef[Any], Walk, list[tuple[list[Any], ...]]]:
    """Walk over several object graphs together, and tell what was first met in each.

    Returns:
        The structure and the walk, as of the tuple of them; and for each the part of what the walk
        found.
    """
    done = Walk()
    children: list[Any] = []
    parts: list[tuple[list[Any], ...]] = []
    for number, node in enumerate(nodes):
        before = [*map(len, done.found())]
        children.append(done.visit(node, (number,), None, ()))
        parts.append(tuple(f[n:] for f, n in zip(done.found(), before, strict=True)))
    root = ContainerDef(tuple, tuple(range(len(nodes))), tuple(children))
    return GraphDef(root, len(done.cells), done.has_references), done, parts


def rebuild(
    graphdef: GraphDef[Any],
    values: Any,
    make: Callable[[VariableDef, Any], Any] = new_variable,
) -> tuple[Any, Builder]:
    """Build an object graph from its structure and as many values as it has leaves."""
    builder = Builder(iter(values), make)
    return builder.build(graphdef.root), builder


def joined(states: tuple[Any, ...]) -> Any:
    """Return several states as one."""
    if len(states) == 1:
        return states[0]
    flat: dict[Path, Any] = {}
    for each in states:
        if not isinstance(each, Mapping | FlatState):
            return each
        flat.update(each if isinstance(each, FlatState) else items_of(each))
    return FlatState(flat.items(), sort=True)


def copied_variable(definition: VariableDef, value: Any) -> Any:
    """Make the variable of a definition, sharing none with the state that the value is from."""
    return new_variable(definition, raw_value_of(value))


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
        return [state.leaves[0] if isinstance(state, FlatState) else state]
    leaves: list[Any] = [_ABSENT] * graphdef.num_leaves
    unknown: list[Path] = []
    if isinstance(state, FlatState):
        state = from_flat_state(state)
    if not isinstance(state, Mapping):
        raise TypeError(_no_state(graphdef, state))
    placed = _sort_in(tree, raw(state), (), leaves, unknown)
    if placed != graphdef.num_leaves or unknown:
        cells = zip(cells_of(graphdef.root), leaves, strict=True)
        absent = [path for (path, _), leaf in cells if leaf is _ABSENT]
        raise ValueError(_misfit(graphdef, absent, unknown))
    return leaves


_ABSENT: Any = object()


def _places(graphdef: GraphDef[Any]) -> dict[Any, Any]:
    """Return the paths of the leaves of a structure, with their numbers."""
    kin = graphdef.kin
    if kin.places is None:
        paths = [path for path, _ in cells_of(graphdef.root)]
        numbered = zip(paths, range(len(paths)), strict=True)
        kin.places = {(): 0} if paths == [()] else from_flat_state(numbered, cls=dict)
    return kin.places


def _sort_in(
    tree: dict[Any, Any], state: Any, path: Path, leaves: list[Any], unknown: list[Path]
) -> int:
    """Put the leaves of a state in their places; return how many there were."""
    placed = 0
    for key, held in state.items():
        place, value = tree.get(key, _ABSENT), raw(held)
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


def _misfit(graphdef: GraphDef[Any], absent: list[Path], unknown: list[Path]) -> str:
    told = [f"{len(absent)} leaves are missing: {_paths(absent)}"] if absent else []
    told += [f"{len(unknown)} do not belong to it: {_paths(unknown)}"] if unknown else []
    return (
        f"Incorrect number of leaves: the structure has {graphdef.num_leaves}. Of the states "
        f"given, {'; '.join(told)}. Pass all the states that nnx.split returned with this GraphDef."
    )


def _no_state(graphdef: GraphDef[Any], state: Any) -> str:
    return (
        f"A structure with {graphdef.num_leaves} leaves was given a {type(state).__name__} as its "
        "state. Pass the states that nnx.split returned with this GraphDef."
    )


def _paths(paths: list[Path]) -> str:
    return ", ".join([errors.path_text(p) for p in paths[:8]]) + (" …" if len(paths) > 8 else "")


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
        node, _ = rebuild(graphdef, leaves_in_order(graphdef, joined(states)), copied_variable)
        target = node
        for step in way:
            target = target[step[0]] if isinstance(step, tuple) else getattr(target, step)
        result = target(*args, **kwargs)
        after, done = walk(node)
        return result, (after, from_flat_state(list(zip(done.paths, done.leaves(), strict=True))))
