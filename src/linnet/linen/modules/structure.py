"""How modules find their place in a model.

A Linen module is a dataclass: its fields are its configuration. Made by its constructor at top
level it is *unbound*: a description, that holds no variables and belongs to nobody. A model is
brought to life by *binding*: a copy of the description is given a ``Scope``, and with it a path,
variables and random keys. The life of a bound module is short, usually one call.

A module becomes a submodule, with a name in its parent, in one of four ways:

* it is created inside a compact method: it is bound at once, under the name given or one counted
  out by class, ``Dense_0``, ``Dense_1``;
* it is created inside ``setup`` with a name: it is bound at once;
* it is created inside ``setup`` without one: it waits, and is bound when it is assigned to an
  attribute (``self.encoder = ...`` makes it ``encoder``), or adopted by a module that is;
* it stands in a field of a module that is being bound, alone or in lists, tuples, dictionaries and
  other pytrees: it is *adopted* under the field's name, ``layers_0``. A module that belongs to
  nobody is copied for that, so that one description can serve in many models; the copies are
  remembered for the length of the call, so that a description that stands in two places is one
  module with one set of variables.

:class:`ModuleStructure` is the part of ``Module`` that carries this out. What happens on a call of
a method stands in ``methods.py``, what is computed once for a class in ``classes.py``.
"""

import dataclasses
import types
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import jax
import numpy as np

from linnet.base import errors
from linnet.base.config import config
from linnet.base.typing import is_of_a_library
from linnet.linen.modules.context import UNSET, ModuleState, Phase, context
from linnet.linen.modules.scope import Scope, Store
from linnet.tree.frozen_dict import FrozenDict

M = TypeVar("M", bound="ModuleStructure")


@dataclasses.dataclass(repr=False, eq=False)
class ModuleStructure:
    """The fields that every module has, and its place in a model."""

    parent: "ModuleStructure | Scope | None" = dataclasses.field(
        default=UNSET, kw_only=True, repr=False, compare=False
    )
    name: str | None = dataclasses.field(default=None, kw_only=True)

    # not annotated at run time, as a dataclass would list them beside the fields of users
    if TYPE_CHECKING:
        scope: ClassVar[Any]
        setup: ClassVar[Any]
        _state: ClassVar[ModuleState]
        _facts: ClassVar[Any]
    else:
        # the scope of a bound module; None while unbound, which every use has ruled out by then
        scope = None

    def __post_init__(self) -> None:
        parent = self.parent
        fields = self.__dict__
        fields["_state"] = ModuleState()
        if parent is UNSET:
            parent = fields["parent"] = context.module_stack[-1]
        if parent is None:
            return
        if isinstance(parent, ModuleStructure):
            _join(self, parent)
        elif isinstance(parent, Scope):
            bind(self, parent)
        else:
            raise ValueError(
                f"parent of {type(self).__name__} must be a module, a scope or None, but is "
                f"{parent!r}. Leave it out to make a submodule of the module being set up."
            )

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__.get("_state")
        if state is None or self.scope is None or name == "__class__":
            # under construction, or a description that nobody uses yet
            if name in self._facts.setters:
                object.__setattr__(self, name, value)
            else:
                self.__dict__[name] = value
        elif not state.in_setup:
            raise errors.SetAttributeFrozenModuleError(
                type(self).__name__, name, value, path=self.scope.path, method=state.in_compact
            )
        elif name in self._facts.set_by_init:
            raise errors.SetAttributeInModuleSetupError(
                type(self).__name__, name, path=self.scope.path
            )
        else:
            object.__setattr__(self, name, adopt(self, name, value))

    if not TYPE_CHECKING:  # so that a type checker finds mistyped attributes

        def __getattr__(self, name: str) -> Any:
            # Python calls this only for what is missing: before `setup` has run, or for good
            state = self.__dict__.get("_state")
            if state is None:
                if name == "_state":
                    raise errors.IncorrectPostInitOverrideError(type(self).__name__)
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            if self.scope is not None and state.phase is Phase.NEW and not name.startswith("__"):
                run_setup(self)
                if name in self.__dict__:
                    return self.__dict__[name]
            raise _descriptor_error(self, name) or _no_attribute(self, name)

    def __dir__(self) -> list[str]:
        if self.__dict__.get("_state") is not None and self.scope is not None:
            run_setup(self)
        return sorted({*super().__dir__(), *self.__dict__})

    def clone(
        self,
        *,
        parent: "Scope | ModuleStructure | None" = None,
        _deep_clone: bool = False,
        _reset_names: bool = False,
        **updates: Any,
    ) -> Self:
        """Create a copy of this module with the same fields.

        Args:
            parent: the parent of the copy; by default it has none.
            _deep_clone: copy the modules in the fields too, even those of a living model.
            _reset_names: forget the names of the modules in the fields.
            **updates: fields to give other values.

        Returns:
            The copy. Unlike ``copy`` it keeps the name.
        """
        fields: dict[str, Any] = {name: getattr(self, name) for name in self._facts.init_fields}
        if _deep_clone:
            memo: dict[int, Any] = {}

            def unbound(value: Any, fields: dict[str, Any]) -> Any:
                return type(value)(**fields, name=None if _reset_names else value.name, parent=None)

            fields = {name: copied(value, unbound, memo) for name, value in fields.items()}
        fields |= {"name": self.name, **updates, "parent": parent}
        return type(self)(**fields)


# --- binding ---------------------------------------------------------------------------------


def _join(child: ModuleStructure, parent: ModuleStructure) -> None:
    """Give a module that was just created its place in its parent, if it has a name already."""
    state = parent._state
    if state.in_setup:
        if child.name is not None:
            _register(child, parent)
    elif state.in_compact:
        if child.name is None:
            child.__dict__["name"] = _count_out(child, parent)
        _register(child, parent)
    else:
        calls = context.methods_of(parent)
        raise errors.AssignSubModuleError(
            type(child).__name__, parent=type(parent).__name__, method=calls[-1] if calls else ""
        )


def _count_out(child: ModuleStructure, parent: ModuleStructure) -> str:
    """Return the next automatic name of a class in the running compact method: ``Dense_1``."""
    state = parent._state
    prefix = type(child).__name__
    number = state.autonames.get(prefix, 0)
    state.autonames[prefix] = number + 1
    name = f"{prefix}_{number}"
    first = state.made.setdefault(name, state.in_compact)
    if first != state.in_compact:
        raise errors.MultipleMethodsCompactError(
            type(parent).__name__, first, state.in_compact, name, parent.scope.path_text
        )
    return name


def _register(child: ModuleStructure, parent: ModuleStructure) -> None:
    name = str(child.name)
    reserve(parent, name, None, "submodule")
    parent._state.children[name] = child
    bind(child, parent.scope.push(name))


def reserve(module: ModuleStructure, name: str, col: str | None, what: str) -> None:
    """Use up a name in a module, for a variable of collection ``col`` or a submodule (``None``).

    Names used by a compact method are free again when it ends; those of ``setup`` stay.

    Raises:
        NameInUseError: the name is taken.
    """
    scope, state = module.scope, module._state
    if scope.name_taken(name, col):
        uses = scope.names[name]
        by = "a submodule" if None in uses else f"a variable of {errors.listing(sorted(uses))}"
        raise errors.NameInUseError(what, name, type(module).__name__, path=scope.path, taken_by=by)
    if scope.declared_by is not None:
        other = scope.declared_by.setdefault((name, col), module)
        if other is not module:
            by = f"{type(other).__name__}, which shares the scope"
            raise errors.NameInUseError(
                what, name, type(module).__name__, path=scope.path, taken_by=by
            )
    scope.reserve(name, col)
    if state.in_compact and not state.in_setup:
        state.reserved.append((name, col))


def bind(module: ModuleStructure, scope: Scope) -> None:
    """Give a module its scope, and a place to the modules in its fields."""
    fields = module.__dict__
    fields["scope"] = scope
    scope.owner = type(module).__name__
    if getattr(module.setup, "_is_default", False):  # asked now: programs patch it
        module._state.phase = Phase.DONE
    for name in module._facts.adoptable:
        value = fields[name] if name in fields else getattr(module, name)
        if type(value) not in _PLAIN:
            object.__setattr__(module, name, adopt(module, name, value))  # past no descriptor


def _rebind(module: ModuleStructure, scope: Scope) -> None:
    """Move a bound module, with its submodules, to another scope of the same model."""
    module.__dict__["scope"] = scope
    for name, child in module._state.children.items():
        scope.reserve(name, None)
        moved = scope.push(name)
        moved.drawn_at = child.scope.drawn_at
        _rebind(child, moved)


def transplant(module: M, store: Store) -> M:
    """Bind a copy of a bound module at the same path of another store.

    The modules in its fields go along, each to its own path: one that the module shares with
    another stays outside it.
    """

    def settle(value: Any, fields: dict[str, Any]) -> Any:
        if value.scope is None:
            return value
        copy = type(value)(**fields, name=value.name, parent=None)
        bind(copy, store.root.at(value.scope.path))
        return copy

    return copied(module, settle, {})


def share_scope(module: ModuleStructure, other: ModuleStructure, /) -> None:
    """Let two modules have one scope: one path, one set of variables.

    Called in ``setup``. If ``other`` is a submodule of ``module``, it moves up into the scope of
    ``module``, and its name disappears from the paths; otherwise ``module`` moves into the scope of
    ``other``.

    Raises:
        CallShareScopeOnUnboundModuleError: one of them is not bound.

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> class WithBias(nn.Module):
    ...     inner: nn.Module
    ...     def setup(self):
    ...         nn.share_scope(self, self.inner)
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         return self.inner(x) + self.param("extra", nn.initializers.zeros, ())
    >>> model = WithBias(nn.Dense(2))
    >>> sorted(model.init(jax.random.key(0), jnp.ones((1, 3)))["params"])
    ['bias', 'extra', 'kernel']
    """
    for each in (module, other):
        if each.scope is None:
            raise errors.CallShareScopeOnUnboundModuleError(type(each).__name__)
    own, theirs = module.scope, other.scope
    shared = own if theirs.path[: len(own.path)] == own.path else theirs
    if shared.declared_by is None:
        shared.declared_by = {}
    if shared is own:
        own.names.pop(theirs.name, None)
        _rebind(other, own)
    else:
        _rebind(module, theirs)


def run_setup(module: Any) -> None:
    """Run ``setup``, unless it has run already."""
    state = module._state
    if state.phase is not Phase.NEW:
        return
    state.phase, state.in_setup = Phase.RUNNING, True
    try:
        module.setup()
        state.phase = Phase.DONE
    except BaseException:
        state.phase = Phase.NEW
        raise
    finally:
        state.in_setup = False


# --- adoption --------------------------------------------------------------------------------

# values of these types hold no modules; what is learnt of libraries' at run time joins them
_PLAIN: set[type] = {
    int,
    float,
    complex,
    bool,
    str,
    bytes,
    type(None),
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    np.ndarray,
    type(jax.numpy.float32),
    np.dtype,
}


def adopt(module: ModuleStructure, name: str, value: Any) -> Any:
    """Make the modules in a value submodules of ``module``, named after the attribute.

    Args:
        module: a bound module.
        name: the attribute that the value is assigned to.
        value: a module, or lists, tuples, dictionaries and other pytrees that may hold modules.

    Returns:
        The value with its modules bound, lists as tuples and dictionaries as ``FrozenDict``.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, ModuleStructure):
        return _adopt_module(module, name, value)
    if type(value) is tuple or type(value) is list:
        return tuple(adopt(module, f"{name}_{i}", item) for i, item in enumerate(value))
    if isinstance(value, dict | FrozenDict):
        # a module that stands at two keys is named after the first in sorted order
        order = sorted(value, key=str)
        adopted = {key: adopt(module, f"{name}_{key}", value[key]) for key in order}
        return FrozenDict({key: adopted[key] for key in value})
    return _map_nodes(value, lambda suffix, leaf: adopt(module, f"{name}_{suffix}", leaf))


def _adopt_module(parent: ModuleStructure, name: str, child: ModuleStructure) -> ModuleStructure:
    store = parent.scope.store
    if child.scope is not None and child.scope.store is store:
        return child
    waiting = child.scope is None and isinstance(child.parent, ModuleStructure)
    if not waiting:
        known = store.adopted.get(id(child))
        if known is not None:
            return known[1]
        preserve = getattr(
            type(parent), "preserve_adopted_names", config.flax_preserve_adopted_names
        )
        keep = preserve and child.name is not None
        copy = child.clone(name=child.name if keep else None)
        # the original is remembered too, lest its id be given to another object
        store.adopted[id(child)] = (child, copy)
        child = copy
    child.__dict__["parent"] = parent
    if child.name is None:
        child.__dict__["name"] = name
    _register(child, parent)
    return child


def _map_nodes(value: Any, fn: Any) -> Any:
    """Map the leaves of a pytree that is neither list, tuple nor dictionary, by path suffix."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(
        value, is_leaf=lambda node: node is not value and isinstance(node, _CONTAINERS)
    )
    if jax.tree_util.treedef_is_leaf(treedef):
        if is_of_a_library(type(value)):
            _PLAIN.add(type(value))
        return value
    named = [fn("_".join(map(_key_text, path)), leaf) for path, leaf in leaves]
    return jax.tree_util.tree_unflatten(treedef, named)


_CONTAINERS = (ModuleStructure, list, tuple, dict, FrozenDict)


def _key_text(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def copied(value: Any, settle: Any, memo: dict[int, Any]) -> Any:
    """Copy a value with the modules in it, at any depth; one that stands twice is copied once.

    Args:
        value: a module, a container of modules, or anything else.
        settle: makes what stands for a module in the copy, given the copies of its fields.
        memo: the copies made so far, by the identity of the original.
    """
    if not isinstance(value, ModuleStructure):
        return map_modules(lambda inner: copied(inner, settle, memo), value)
    if id(value) not in memo:
        names = value._facts.init_fields
        fields = {name: copied(getattr(value, name), settle, memo) for name in names}
        memo[id(value)] = settle(value, fields)
    return memo[id(value)]


def map_modules(fn: Any, value: Any, kind: type | tuple[type, ...] = ModuleStructure) -> Any:
    """Map the modules in a container; what is no container, or holds none, is returned as it is.

    Args:
        fn: what to put in the place of a module.
        value: a module, a container or anything else.
        kind: what counts as a module.
    """
    if type(value) in _PLAIN and not isinstance(value, kind):
        return value
    leaves, treedef = jax.tree.flatten(
        value, is_leaf=lambda node: isinstance(node, kind) or node is None
    )
    if not any(isinstance(leaf, kind) for leaf in leaves):
        return value
    mapped = [fn(leaf) if isinstance(leaf, kind) else leaf for leaf in leaves]
    return jax.tree.unflatten(treedef, mapped)


def _descriptor_error(module: ModuleStructure, name: str) -> Exception | None:
    """Return the error of a property, or another descriptor, that failed with AttributeError.

    Python asks for a missing attribute then as if there were no such descriptor, so it is run again
    to see what it says.
    """
    cls = type(module)
    found: Any = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    if not hasattr(type(found), "__get__"):
        return None
    try:
        type(found).__get__(found, module, cls)
    except AttributeError as error:
        made = errors.DescriptorAttributeError(cls.__name__, name, str(error))
        made.__cause__ = error
        return made
    return None


def _no_attribute(module: ModuleStructure, name: str) -> errors.MissingAttributeError:
    """Return the error of an attribute that is not there, whose message is made when it is read."""
    cls, own = type(module), tuple(module.__dict__)

    def known() -> list[str]:
        return [key for key in (*own, *dir(cls)) if not key.startswith("_") and key != "scope"]

    hint = ""
    if module.scope is None:
        hint = (
            f" If {name!r} is defined in `setup`, it exists only while the module is bound: "
            "use it inside a method called by `init` or `apply`, or on `model.bind(variables)`."
        )
    elif module._state.in_setup:
        hint = f" `setup` has not assigned it yet: assign self.{name} before reading it."
    elif module.scope.path:
        hint = f" It is at {errors.place(module.scope.path)}."
    return errors.MissingAttributeError(cls.__name__, name, known, hint)
