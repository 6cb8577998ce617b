"""Changing a model by states and filters: ``update``, ``pop``, ``set_metadata``."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from linnet.base import errors
from linnet.base.typing import Path
from linnet.nnx.graph.flatten import Slot
from linnet.nnx.graph.layout import layout_of
from linnet.nnx.graph.states import FlatState, from_flat_state, items_of, raw
from linnet.nnx.objects.attributes import nature
from linnet.nnx.objects.nodes import Node, child_of, children_of
from linnet.nnx.objects.pytree import Pytree
from linnet.nnx.objects.variable import Variable, raw_value_of
from linnet.nnx.objects.versions import note_change
from linnet.state.filters import Filter, predicates_of, to_predicate

_ABSENT: Any = object()


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
        _collect(node, tree, cells, raw(flat), (), pairs, wrong)
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
        place, value = tree.get(key, _ABSENT), raw(held)
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
    if isinstance(value, Mapping) and not isinstance(cell._raw_value, Mapping):
        return "a variable stands there, but the state has a dictionary"
    old: Any = cell._raw_value
    new = raw_value_of(value)
    if hasattr(old, "shape") and hasattr(new, "shape") and old.shape != new.shape:
        return f"the model has shape {tuple(old.shape)}, the state {tuple(new.shape)}"
    return ""


def _assign(cell: Any, leaf: Any) -> None:
    if isinstance(cell, Variable) and isinstance(leaf, Variable):
        cell.update_from_state(leaf)
    elif isinstance(cell, Variable | Slot):
        cell.set_raw_value(leaf)
    else:
        target = _static_place(cell.node, cell.path)
        if isinstance(target, Variable):
            _assign(target, leaf)
            return
        owner = cell.node
        for key in cell.path[:-1]:
            owner = child_of(owner, key)
        if isinstance(owner, list | dict):
            owner[cell.path[-1]] = leaf
        elif isinstance(owner, Node):
            setattr(owner, cell.path[-1], leaf)
        else:
            raise ValueError(
                f"nnx.update was given a value for {errors.path_text(cell.path)}, which stands in "
                f"a {type(owner).__name__}: that cannot be changed."
            )


def pop(node: Any, *filters: Filter) -> Any:
    """Remove variables, and arrays, from a model and return them.

    Args:
        node: the model.
        *filters: which; return one state for each.

    Returns:
        One state, or a tuple of states for several filters.

    Raises:
        ValueError: no filter was given, or something matches that stands in a tuple. Nothing is
            removed then.
    """
    if not filters:
        raise ValueError(
            "nnx.pop was not told what to remove. Name the types: nnx.pop(model, nnx.Intermediate)."
        )
    found: list[_Found] = []
    _find(node, (), predicates_of(filters), found, set())
    for each in found:
        if not isinstance(each.holder, Node | list | dict):
            raise ValueError(_not_removable(each))
    parts: dict[int, dict[int, tuple[Path, Any]]] = {number: {} for number in range(len(filters))}
    for each in found:
        parts[each.filter].setdefault(id(each.child), (each.path, each.child))
    # from the back, so that what was found in a list stays where it was found until it is removed
    for each in reversed(found):
        if isinstance(each.holder, Node):
            each.holder._drop_child(each.path[-1])
            note_change(each.holder)
        else:
            del each.holder[each.path[-1]]
    states = tuple(from_flat_state(part.values()) for part in parts.values())
    return states[0] if len(filters) == 1 else states


class _Found(NamedTuple):
    """What is to be removed: where it stands, and which filter matched it."""

    holder: Any
    path: Path
    child: Any
    filter: int


def _find(node: Any, path: Path, predicates: Any, found: list[_Found], seen: set[int]) -> None:
    if id(node) in seen:
        return
    seen.add(id(node))
    for key, child in children_of(node):
        if isinstance(child, Variable | jax.Array | np.ndarray):
            number = next((n for n, p in enumerate(predicates) if p((*path, key), child)), None)
            if number is not None:
                found.append(_Found(node, (*path, key), child, number))
        elif isinstance(child, Pytree) or nature(child) is None:
            _find(child, (*path, key), predicates, found, seen)


def _not_removable(found: _Found) -> str:
    return (
        f"nnx.pop was asked to remove {errors.path_text(found.path)}, which stands in a "
        f"{type(found.holder).__name__}: that cannot be changed, so nothing was removed. Keep what "
        "is to be removed in an attribute, a list or a dictionary."
    )


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
