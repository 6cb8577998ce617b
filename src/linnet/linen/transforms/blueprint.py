"""Modules without their place: what is needed to build them again in another store.

A bound module holds a scope, the scope its store, the store the variables of a call. None of that
may be kept with a compiled function, and none of it is needed to trace the function anew: a module
is its class, its fields and its path. A :class:`Blueprint` is that. It hashes and compares by what
a trace can depend on, so equal models find the same compiled function, whatever objects they are.
Among arguments it is a node without leaves: it travels in their treedef.

A transformed function may be called while a compact method of its module is running: submodules
made inside continue the numbering. So a blueprint also says how far the module has come, and what
was reached inside is written back to the module outside. Names that the user gives are free inside,
and stay free: a function that is called once as it is and once transformed shares what it makes.
"""

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

import jax

from linnet.base.static_keys import Identity, static_key
from linnet.linen.modules.scope import Store
from linnet.linen.modules.structure import ModuleStructure, bind, copied, map_modules
from linnet.linen.modules.variable import Variable
from linnet.tree.state_dict import is_serializable, to_state_dict


@jax.tree_util.register_static
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
    progress: Any
    key: Hashable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blueprint) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class VariablePlace:
    """A variable without its scope: where it is.

    Attributes:
        path: the path of its scope.
        collection: its collection.
        name: its name.
        unbox: whether it hides boxes.
    """

    path: tuple[str, ...]
    collection: str
    name: str
    unbox: bool

    @property
    def key(self) -> Hashable:
        """What a trace can depend on."""
        return self


BLUEPRINTS = (Blueprint, VariablePlace)


def is_blueprint(value: Any) -> bool:
    """Tell whether a value is the blueprint of a module, or the place of a variable."""
    return isinstance(value, BLUEPRINTS)


def place_of(variable: Variable[Any]) -> VariablePlace:
    """Return the place of a variable."""
    return VariablePlace(variable.scope.path, variable.collection, variable.name, variable.unbox)


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
        progress = each._state.progress()
        for name, field in fields.items():
            fields[name] = map_modules(lambda found: _noted(found, memo), field, Variable)
        key = (built, each.name, path, progress, *map(_key_of, fields.values()))
        return Blueprint(built, each.name, path, fields, progress, key)

    return copied(module, settle, memo)


def _noted(variable: Variable[Any], memo: dict[int, Any]) -> VariablePlace:
    return memo.setdefault(id(variable), place_of(variable))


def _key_of(field: Any) -> Hashable:
    """Return the key of a field; what has a state dict of its own, and no hash, counts by that."""
    key = static_key(field)
    by_identity = isinstance(key, tuple) and isinstance(key[-1], Identity)
    if by_identity and is_serializable(field):
        return type(field), static_key(to_state_dict(field))
    return key


def build(value: Any, store: Store, memo: dict[int, Any]) -> Any:
    """Build the modules of the blueprints in a value, each at its path of a store.

    Args:
        value: a blueprint, or anything that may hold some.
        store: where to bind them.
        memo: the modules built so far, by the identity of their blueprints.
    """
    if isinstance(value, VariablePlace):
        scope = store.root.at(value.path)
        return Variable(scope, value.collection, value.name, value.unbox)
    if not isinstance(value, Blueprint):
        return map_modules(lambda inner: build(inner, store, memo), value, BLUEPRINTS)
    if id(value) not in memo:
        fields = {name: build(field, store, memo) for name, field in value.fields.items()}
        module = value.cls(**fields, name=value.name, parent=None)
        if value.path is not None:
            scope = store.root.at(value.path)
            if scope.parent is not None:
                scope.parent.reserve(scope.name, None)
            bind(module, scope)
            module._state.resume(value.progress)
        memo[id(value)] = module
    return memo[id(value)]
