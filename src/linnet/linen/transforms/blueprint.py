"""Modules without their place: what is needed to build them again in another store.

A bound module holds a scope, the scope its store, the store the variables of a call. None of that
may be kept with a compiled function, and none of it is needed to trace the function anew: a module
is its class, its fields and its path. A :class:`Blueprint` is that. It hashes and compares by what
a trace can depend on, so equal models find the same compiled function, whatever objects they are.

A transformed function may be called while a compact method of its module is running: submodules
made inside continue the numbering. So a blueprint also says how far the module has come, and what
was reached inside is written back to the module outside. Names that the user gives are free inside,
and stay free: a function that is called once as it is and once transformed shares what it makes.
"""

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

from linnet.linen.modules.scope import Store
from linnet.linen.modules.structure import ModuleStructure, bind, copied, map_modules


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the running compact method of a module has come.

    Attributes:
        method: the name of the method, "" if none is running.
        autonames: class name → how many submodules are named so, as pairs.
        made: automatic name → the method that made it, as pairs.
    """

    method: str = ""
    autonames: tuple[tuple[str, int], ...] = ()
    made: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(module: ModuleStructure) -> "Progress":
        """Read it off a module."""
        state = module._state
        return Progress(
            state.in_compact,
            tuple(state.autonames.items()),
            tuple(state.made.items()),
        )

    def resume(self, module: ModuleStructure) -> None:
        """Bring a module as far."""
        state = module._state
        state.in_compact = self.method
        state.autonames = dict(self.autonames)
        state.made = dict(self.made)


@dataclasses.dataclass(frozen=True, eq=False)
class Blueprint:
    """A module without its place.

    Attributes:
        cls: its class.
        name: its name in its parent.
        path: where it is bound; None if it is not.
        fields: the values of its fields, modules in them as blueprints.
        progress: how far its running compact method has come.
        key: what a trace can depend on.
    """

    cls: type
    name: str | None
    path: tuple[str, ...] | None
    fields: Mapping[str, Any]
    progress: Progress
    key: Hashable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blueprint) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


class Same:
    """A value that cannot be hashed, as part of a key: equal to itself only."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def key_of(value: Any) -> Hashable:
    """Return what stands for a value in the key of a compiled function.

    Types count: a field that is ``1`` and one that is ``1.0`` compare equal, but compute otherwise.
    """
    if isinstance(value, tuple | list):
        return (type(value), *map(key_of, value))
    if isinstance(value, Mapping):
        return (type(value), *((key, key_of(item)) for key, item in value.items()))
    try:
        hash(value)
    except TypeError:
        return Same(value)
    return (type(value), value)


def describe_module(
    module: ModuleStructure, memo: dict[int, Any], cls: type | None = None
) -> Blueprint:
    """Return the blueprint of a module and of those in its fields.

    Args:
        module: the module, bound or not.
        memo: the blueprints made so far, by the identity of their modules.
        cls: its class, where it is to be built as one that its class derives from.
    """

    def settle(each: ModuleStructure, fields: dict[str, Any]) -> Blueprint:
        built = type(each) if cls is None or each is not module else cls
        path = None if each.scope is None else each.scope.path
        progress = Progress.of(each)
        key = (built, each.name, path, progress, *map(key_of, fields.values()))
        return Blueprint(built, each.name, path, fields, progress, key)

    return copied(module, settle, memo)


def build(value: Any, store: Store, memo: dict[int, Any]) -> Any:
    """Build the modules of the blueprints in a value, each at its path of a store.

    Args:
        value: a blueprint, or anything that may hold some.
        store: where to bind them.
        memo: the modules built so far, by the identity of their blueprints.
    """
    if not isinstance(value, Blueprint):
        return map_modules(lambda inner: build(inner, store, memo), value, Blueprint)
    if id(value) not in memo:
        fields = {name: build(field, store, memo) for name, field in value.fields.items()}
        module = value.cls(**fields, name=value.name, parent=None)
        if value.path is not None:
            bind(module, store.root.at(value.path))
            value.progress.resume(module)
        memo[id(value)] = module
    return memo[id(value)]
