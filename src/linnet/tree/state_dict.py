"""State dicts: any tree as nested plain dicts with strings for keys, and back.

A *state dict* holds what changes while a program runs and nothing else: the children of structs and
tuples by name or number, the leaves as they are. What is static, classes and functions among it,
stays in the program, so restoring needs a *target*: a tree of the structure that was saved, whose
leaves are replaced. ``to_state_dict`` and ``from_state_dict`` are inverse, given the target.

A class takes part through two functions, registered with ``register_serialization_state``; dicts,
lists, tuples, named tuples, ``FrozenDict``, structs and ``jax.tree_util.Partial`` need none. A
subclass of a registered class is not registered by that. Anything else is a leaf.

Restoring does not stop where the state dict first differs from the target. The differences of all
containers are collected and reported together: as an error where a value is missing, as a warning
where the target has no place for one.
"""

import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import jax

from linnet.base.errors import (
    LinnetWarning,
    SerializationError,
    StateDictMismatchError,
    endless_text,
    misspelt,
    unread_state,
)
from linnet.tree.frozen_dict import FrozenDict
from linnet.tree.paths import empty_node
from linnet.tree.struct import child_fields

StateDict = dict[str, Any]


class _Handler(NamedTuple):
    """The two functions of a class: instance to state dict, and instance and state dict back."""

    save: Callable[[Any], StateDict]
    restore: Callable[[Any, Any], Any]


@dataclass
class _Restoration:
    """Where a call of ``from_state_dict`` stands, and what did not fit so far."""

    path: list[str]
    fatal: list[str] = field(default_factory=list[str])
    tolerated: list[str] = field(default_factory=list[str])

    def at(self, *keys: Any) -> str:
        return "/".join([*self.path, *map(str, keys)])


_restoration: ContextVar[_Restoration | None] = ContextVar("restoration", default=None)


def to_state_dict(target: Any) -> Any:
    """Returns the state of a tree as nested dicts whose keys are strings.

    Args:
        target: the tree. A leaf is returned as it is.

    Raises:
        SerializationError: two keys of a dict are the same once they are strings, or a registered
            function returned a dict with other keys than strings.

    >>> to_state_dict({"layers": [1, (2, 3)]})
    {'layers': {'0': 1, '1': {'0': 2, '1': 3}}}
    """
    handler = _handler_of(target)
    if handler is None:
        return target
    try:
        state: Any = handler.save(target)
    except RecursionError:
        raise SerializationError(endless_text("to_state_dict", target)) from None
    if isinstance(state, dict) and not all(isinstance(key, str) for key in cast("Any", state)):
        raise SerializationError(
            f"the function registered for the state of {type(target).__name__} returned {state!r}, "
            "but the keys of a state dict are strings, so that it can be written and "
            "found again; return {'name': to_state_dict(value), ...}"
        )
    return cast("Any", state)


def from_state_dict(target: Any, state: Any, name: str = ".") -> Any:
    """Returns a copy of a tree with the leaves of a state dict.

    A key of a dict that the target does not have is left out with a warning; an array of another
    shape than the target's is taken with a warning.

    Args:
        target: a tree of the structure that was saved; of its leaves only the shapes are looked at.
            A leaf, ``None`` for one, takes what stands in its place, whatever that is.
        state: the state dict.
        name: how the target is called in messages; a function that restores a class passes the
            name of the child.

    Raises:
        StateDictMismatchError: values are missing, or containers differ. The message lists every
            difference with its path.

    >>> from_state_dict({"layers": [0, 0]}, {"layers": {"0": 1, "1": 2}})
    {'layers': [1, 2]}
    """
    outer = _restoration.get()
    here = _Restoration([*(outer.path if outer else ()), name])
    token = _restoration.set(here)
    try:
        restored = _restored(target, state, here)
    finally:
        _restoration.reset(token)
    if here.fatal:
        raise StateDictMismatchError(type(target).__name__, [*here.fatal, *here.tolerated])
    if outer is not None:
        outer.tolerated += here.tolerated
    elif here.tolerated:
        message = unread_state(type(target).__name__, here.tolerated)
        warnings.warn(message, LinnetWarning, stacklevel=2)
    return restored


def current_path() -> str:
    """Returns the path of what is being restored, for messages; empty outside of restoring."""
    here = _restoration.get()
    return here.at() if here else ""


def is_serializable(target: Any) -> bool:
    """Says whether a class, or that of an instance, has functions that save and restore it.

    Args:
        target: the class or instance. A leaf, which needs none, has none, nor has a named tuple.
    """
    return _handler_for(target if isinstance(target, type) else type(target)) is not None


def register_serialization_state(
    ty: type[Any],
    ty_to_state_dict: Callable[[Any], StateDict],
    ty_from_state_dict: Callable[[Any, Any], Any],
    override: bool = False,
) -> None:
    """Registers how a class is saved and restored.

    Args:
        ty: the class; subclasses are not registered with it.
        ty_to_state_dict: takes an instance and returns its state dict, children included: it calls
            ``to_state_dict`` on them.
        ty_from_state_dict: takes an instance and a state dict and returns a restored copy; it calls
            ``from_state_dict`` on the children.
        override: whether to replace the functions that the class has already.

    Raises:
        SerializationError: the class has some already, and ``override`` is not set.
    """
    if not override and is_serializable(ty):
        raise SerializationError(
            f"functions to save and restore {ty.__name__} are registered already, and others would "
            "make what was saved unreadable; pass override=True to replace them"
        )
    _REGISTRY[ty] = _Handler(ty_to_state_dict, ty_from_state_dict)


# --- finding the functions, and running them ----------------------------------------------------


def _handler_for(clz: type[Any]) -> _Handler | None:
    handler = _REGISTRY.get(clz)
    return _STRUCT if handler is None and child_fields(clz) is not None else handler


def _handler_of(value: Any) -> _Handler | None:
    clz = type(value)
    handler = _handler_for(clz)
    return _NAMED_TUPLE if handler is None and _is_named_tuple(clz) else handler


def _is_named_tuple(clz: type[Any]) -> bool:
    return issubclass(clz, tuple) and hasattr(clz, "_fields")


def _restored(target: Any, state: Any, here: _Restoration) -> Any:
    """Restores one value; what does not fit is noted, and the target stands in for it."""
    handler = _handler_of(target)
    if handler is None:
        _check_leaf(target, state, here)
        return state
    try:
        return handler.restore(target, state)
    except StateDictMismatchError as error:  # from a registered function, which called us again
        here.fatal += error.misfits
        return target
    except Exception as error:
        if not getattr(error, "__notes__", None):  # the innermost place is the one to name
            error.add_note(f"while restoring {here.at()}, a {type(target).__name__}")
        raise


def _here() -> _Restoration:
    here = _restoration.get()
    if here is None:
        raise RuntimeError("a container is restored by from_state_dict only")
    return here


@contextmanager
def _entered(key: str) -> Generator[_Restoration]:
    here = _here()
    here.path.append(key)
    try:
        yield here
    finally:
        here.path.pop()


def _check_leaf(target: Any, state: Any, here: _Restoration) -> None:
    """Notes where an array is replaced by something that is not an array of its shape."""
    wanted = getattr(target, "shape", None)
    if not isinstance(wanted, tuple):
        return
    found = getattr(state, "shape", () if isinstance(state, bool | int | float | complex) else None)
    if found != wanted:
        here.tolerated.append(
            f"{here.at()}: the target has shape {wanted}, the state dict has {_described(state)}"
        )


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return f"shape {shape}"
    if isinstance(value, Mapping):
        keys = ", ".join(map(repr, cast("Mapping[Any, Any]", value)))
        return f"a dict with the keys {keys}" if keys else "an empty dict"
    return f"{value!r:.60} ({type(value).__name__})"


def _children(target: Any, children: StateDict, state: Any, *, lenient: bool = False) -> StateDict:
    """Restores children by name, as many as there are, and notes those that do not match.

    Args:
        target: the container, for messages.
        children: its children.
        state: the state dict of the container.
        lenient: whether a key without a child is only warned about.
    """
    here = _here()
    kind = type(target).__name__
    if not isinstance(state, Mapping):
        here.fatal.append(f"{here.at()}: the target is a {kind}, the state is {_described(state)}")
        return children
    given = cast("Mapping[Any, Any]", state)
    unknown = [key for key in given if key not in children]
    for key in children:
        if key not in given:
            hint = misspelt(key, [name for name in unknown if isinstance(name, str)])
            here.fatal.append(f"{here.at(key)}: missing from the state of the {kind}.{hint}")
    for key in unknown:
        noted = here.tolerated if lenient else here.fatal
        noted.append(f"{here.at(key)}: unknown to the target, a {kind}")
    restored = dict(children)
    for key, child in children.items():
        if key in given:
            with _entered(key) as inside:
                restored[key] = _restored(child, given[key], inside)
    return restored


# --- the classes known from the start -----------------------------------------------------------


def _numbered(items: Any) -> StateDict:
    return {str(index): item for index, item in enumerate(items)}


def _saved(children: Mapping[str, Any]) -> StateDict:
    return {key: to_state_dict(child) for key, child in children.items()}


def _save_dict(target: Mapping[Any, Any]) -> StateDict:
    state = {str(key): to_state_dict(value) for key, value in target.items()}
    if len(state) != len(target):
        raise SerializationError(
            f"a dict has the keys {list(target)}, which are not all different as strings, so "
            "values would be lost in a state dict; rename one of them"
        )
    return state


def _restore_dict(target: Mapping[Any, Any], state: Any) -> dict[Any, Any]:
    named = {str(key): value for key, value in target.items()}
    restored = _children(target, named, state, lenient=True)
    return {key: restored[str(key)] for key in target}


def _restore_list(target: list[Any], state: Any) -> list[Any]:
    return list(_children(target, _numbered(target), state).values())


def _restore_tuple(target: tuple[Any, ...], state: Any) -> tuple[Any, ...]:
    return tuple(_children(target, _numbered(target), state).values())


def _save_named_tuple(target: Any) -> StateDict:
    return _saved(dict(zip(target._fields, target, strict=True)))


def _restore_named_tuple(target: Any, state: Any) -> Any:
    children = dict(zip(target._fields, target, strict=True))
    return type(target)(**_children(target, children, _by_field(state)))


def _by_field(state: Any) -> Any:
    """Brings the layout that old checkpoints have for named tuples into that of today.

    They hold the names of the fields and the values apart, each by number.
    """
    if not isinstance(state, Mapping) or set(cast("Any", state)) != {"name", "fields", "values"}:
        return state
    fields, values = state["fields"], state["values"]
    if not isinstance(fields, Mapping) or not isinstance(values, Mapping):
        return state
    if set(cast("Any", fields)) != set(cast("Any", values)):
        return state
    return {fields[index]: values[index] for index in cast("Any", fields)}


def _struct_children(target: Any) -> StateDict:
    return {name: getattr(target, name) for name in child_fields(type(target)) or ()}


def _restore_struct(target: Any, state: Any) -> Any:
    return target.replace(**_children(target, _struct_children(target), state))


def _save_partial(target: Any) -> StateDict:
    return {"args": to_state_dict(target.args), "keywords": to_state_dict(target.keywords)}


def _restore_partial(target: Any, state: Any) -> Any:
    children = {"args": target.args, "keywords": target.keywords}
    restored = _children(target, children, state)
    return jax.tree_util.Partial(target.func, *restored["args"], **restored["keywords"])


_STRUCT = _Handler(lambda target: _saved(_struct_children(target)), _restore_struct)
_NAMED_TUPLE = _Handler(_save_named_tuple, _restore_named_tuple)
_REGISTRY: dict[type[Any], _Handler] = {
    dict: _Handler(_save_dict, _restore_dict),
    FrozenDict: _Handler(
        _save_dict, lambda target, state: FrozenDict(_restore_dict(target, state))
    ),
    list: _Handler(lambda target: _saved(_numbered(target)), _restore_list),
    tuple: _Handler(lambda target: _saved(_numbered(target)), _restore_tuple),
    jax.tree_util.Partial: _Handler(_save_partial, _restore_partial),
    type(empty_node): _Handler(lambda _: {}, lambda target, _: target),
}
