"""Maps over models, and what in them is shared."""

from collections.abc import Callable
from typing import Any, TypeVar

from linnet.base.typing import Path
from linnet.nnx.graph.definitions import VariableDef
from linnet.nnx.graph.graphdef import rebuild
from linnet.nnx.graph.layout import layout_of
from linnet.nnx.graph.split import clone
from linnet.nnx.objects.attributes import nature
from linnet.nnx.objects.nodes import children_of
from linnet.nnx.objects.pytree import Pytree
from linnet.nnx.objects.variable import Variable
from linnet.nnx.objects.versions import note_change
from linnet.state.filters import Filter, to_predicate

A = TypeVar("A")


def recursive_map(f: Callable[[Path, Any], Any], node: Any, /, *, graph: bool | None = None) -> Any:
    """Return a copy of a model with ``f(path, part)`` in the place of every part, leaves first.

    Shared parts are mapped once and stay shared.
    """
    return map_in_place(f, clone(node, variables=True))


def map_in_place(f: Callable[[Path, Any], Any], node: Any) -> Any:
    """Put ``f(path, part)`` in the place of every part of a model, leaves first."""
    return _mapped(f, (), node, {})


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
    layout = layout_of(node)
    leaves = [f(p, leaf) for p, leaf in zip(layout.paths, layout.leaves(), strict=True)]

    def as_given(definition: VariableDef, value: Any) -> Any:
        return value

    made, _ = rebuild(layout.graphdef, leaves, as_given)
    return made


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
