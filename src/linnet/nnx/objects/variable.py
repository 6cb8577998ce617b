"""Variables: cells that hold the state of NNX models.

A module of NNX is an ordinary Python object, and what of it may change or be trained stands in
variables: cells with a value, a type that says what the value is for (``Param``, ``BatchStat``),
and metadata. Whoever holds the variable may read it, ``v[...]``, and set it, ``v[...] = x``;
everybody else who holds it sees the new value. That is the difference between a variable and an
array, which never changes.

Three rules:

* *Setting a value is no structural change.* Programs compiled for a model go on serving it. A
  change of metadata is one (see ``graph/layout.py``).
* *A variable belongs to the level of tracing at which it was made.* Setting it inside a JAX
  transformation that did not receive it would leave a dead tracer in it; that is an error which
  names the place of the variable (``trace_level.py``).
* *A variable is read like its value.* It has its value's attributes and operators, and JAX takes it
  for an array. A metadata entry, too, is read as an attribute, and comes first.
"""

import copy
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, cast

import jax

from linnet.base import errors
from linnet.base.errors import listing, near
from linnet.base.jaxcompat import current_trace
from linnet.base.static_keys import static_key
from linnet.base.typing import MISSING, is_of_a_library
from linnet.display import notebook
from linnet.display.outline import Outline, text_of
from linnet.nnx.objects import sharding, trace_level
from linnet.nnx.objects.nodes import Node
from linnet.nnx.objects.operators import install_operators
from linnet.nnx.objects.versions import note_change
from linnet.nnx.objects.written import written
from linnet.tree.measure import size_of

A = TypeVar("A")
V = TypeVar("V", bound="Variable[Any]")


_HOOKS = ("on_get_value", "on_set_value", "on_create_value", "on_add_axis", "on_remove_axis")
_OLD_NAMES = ("sharding_names", "sharding")  # of out_sharding, where metadata is given


@dataclasses.dataclass
class VariableMetadata(Generic[A]):
    """A value and the metadata that the variable made of it will have.

    Initializers return it (see :func:`with_metadata`), so that who draws a value can also say
    something about it.
    """

    raw_value: A
    on_set_value: tuple[Callable[..., Any], ...] = ()
    on_get_value: tuple[Callable[..., Any], ...] = ()
    on_create_value: tuple[Callable[..., Any], ...] = ()
    on_add_axis: tuple[Callable[..., Any], ...] = ()
    on_remove_axis: tuple[Callable[..., Any], ...] = ()
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Variable(Node, Generic[A]):
    """A cell with a value and metadata.

    Args:
        value: an array or a pytree of arrays; a ``VariableMetadata`` brings metadata along.
        **metadata: anything that should be known about the value. Known names: ``out_sharding``
            (axis names, or a spec, sharding or format of JAX), ``mesh``, ``sharding_rules``,
            ``optimizer_sharding``, ``eager_sharding``, ``tag``, and the hooks ``on_get_value``,
            ``on_set_value``, ``on_create_value`` (each a function ``(variable, value) -> value`` or
            several) and ``on_add_axis``, ``on_remove_axis`` (functions ``(variable, axis, name)``).
            Methods of these names in a subclass are its hooks where none are given.

    Example:
    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> count = nnx.Variable(jnp.array(0.0), unit="calls")
    >>> count[...] = count[...] + 1.0
    >>> print(count[...], count.unit)
    1.0 calls
    """

    __slots__ = ("__weakref__", "_level", "_lost", "_metadata", "_raw_value", "_version")

    _may_have_hooks: ClassVar[bool] = False  # as methods

    if TYPE_CHECKING:  # what a checker cannot know: the attributes of the value

        def __getattr__(self, name: str) -> Any: ...

    def __init__(
        self,
        value: Any,
        *,
        hijax: bool | None = None,
        ref: bool | None = None,
        **metadata: Any,
    ) -> None:
        if hijax or ref:
            raise errors.VariableSortError(type(self).__name__, hijax, ref)
        _put_level(self, current_trace())
        _put_version(self, 0)
        _put_lost(self, None)
        kept: dict[str, Any] = {}
        if metadata:
            kept = _normalised(metadata)
        if isinstance(value, VariableMetadata):
            kept = {**_metadata_of(value), **kept}
            value = value.raw_value
        elif isinstance(value, Variable):
            value = value.get_raw_value()
        cls = type(self)
        if cls._may_have_hooks:
            own = {name: (getattr(cls, name),) for name in _HOOKS if hasattr(cls, name)}
            kept = {**own, **kept}
        _put_metadata(self, kept)
        if kept or cls.create_value is not Variable.create_value:
            value = self.create_value(value)
            if "out_sharding" in kept:
                value = sharding.placed(kept, value, cls.__name__)
        _put_value(self, value)

    # --- the value ---------------------------------------------------------------------------

    def create_value(self, value: A) -> A:
        """Return the first value: what ``value`` becomes when the variable is made."""
        for hook in self._metadata.get("on_create_value", ()):
            value = hook(self, value)
        return value

    def get_value(self, *, index: Any = MISSING) -> A:
        """Return the value, or the part of it at an index; hooks see what is returned."""
        value = self._raw_value
        if index is not MISSING and index is not ...:
            value = value[index]
        metadata = self._metadata
        if metadata and "on_get_value" in metadata:
            for hook in metadata["on_get_value"]:
                value = hook(self, value)
        return value

    def set_value(self, value: A, *, index: Any = MISSING) -> None:
        """Set the value, or the part of it at an index.

        ``v[...] = x`` is ``set_value(x, index=...)``. It fills the array that is there, which keeps
        its shape and dtype; ``set_value(x)`` and ``v.value = x`` put another one in its place.
        Hooks see what was given.

        Raises:
            TraceContextError: the variable was made at another level of tracing.
            ValueError: the value does not have the shape of the part that it is for.
        """
        if isinstance(value, Variable):
            value = value.get_value()
        metadata = self._metadata
        if metadata and "on_set_value" in metadata:
            for hook in metadata["on_set_value"]:
                value = hook(self, value)
        if index is not MISSING:
            value = written(type(self).__name__, self._raw_value, index, value)
        self.set_raw_value(value)

    def get_raw_value(self) -> A:
        """Return the value as it is stored, without hooks."""
        return self._raw_value

    def set_raw_value(self, value: A, *, _unsafe_bypass_check: bool = False) -> None:
        """Store a value, without hooks.

        Raises:
            TraceContextError: the variable was made at another level of tracing.
        """
        if self._level is not current_trace() and not _unsafe_bypass_check:
            trace_level.refuse(self, "sets the value of")
        if self._lost is not None:
            self._lost.wrote(self)
        _put_value(self, value)

    if TYPE_CHECKING:
        value: A
        raw_value: A
    else:

        @property
        def value(self) -> A:
            """The value; ``v.value = x`` sets it. ``v[...]`` is the same in fewer letters."""
            return self.get_value()

        @value.setter
        def value(self, value: A) -> None:
            self.set_value(value)

        @property
        def raw_value(self) -> A:
            """The value as it is stored, without hooks."""
            return self._raw_value

        @raw_value.setter
        def raw_value(self, value: A) -> None:
            self.set_raw_value(value)

    @property
    def _leaf(self) -> Self:
        """What a state holds of it; an array beside variables has it under the same name."""
        return self

    def copy_from(self, other: "Variable[A]") -> None:
        """Take over value and metadata of another variable of the same type.

        Raises:
            ValueError: the other is of another type.
        """
        if type(self) is not type(other):
            raise ValueError(
                f"{type(self).__name__}.copy_from was given a {type(other).__name__}: a variable "
                "takes over value and metadata of its own type only. To set just the value, write "
                "`v[...] = other[...]`."
            )
        self.update_from_state(other)

    def update_from_state(self, variable_state: "Variable[A]") -> None:
        """Take over value and metadata of a variable of a state."""
        if self is variable_state:
            return
        self.set_raw_value(variable_state._raw_value)
        self._replace_metadata(dict(variable_state._metadata))

    def copy(self, value: Any = MISSING, *, _copy_ref: bool = True, **updates: Any) -> Self:
        """Make a new variable of the same type, value and metadata.

        Args:
            value: another value.
            **updates: metadata to change.
        """
        return self.replace(value, **updates)

    def replace(self, value: Any = MISSING, *, _copy_ref: bool = True, **updates: Any) -> Self:
        """Make a new variable of the same type with another value or other metadata.

        Raises:
            ValueError: the value is a variable of another type.
        """
        if isinstance(value, Variable):
            if type(value) is not type(self):
                raise ValueError(
                    f"{type(self).__name__}.replace was given a {type(value).__name__} as its "
                    "value: types of variables are not mixed. Pass `other[...]`."
                )
            value = value.get_raw_value()
        kept = self._raw_value if value is MISSING else value
        metadata = {**self._metadata, **_with_hooks(updates)} if updates else dict(self._metadata)
        return self.from_metadata(kept, metadata)

    def to_state(self, value: Any = MISSING, *, _copy_ref: bool = True, **updates: Any) -> Self:
        """Make a new variable with the same contents, as a state holds it."""
        return self.replace(value, **updates)

    @classmethod
    def from_metadata(cls, value: Any, attributes: dict[str, Any]) -> Self:
        """Make a variable of a stored value and metadata, without running hooks."""
        made = object.__new__(cls)
        _put_value(made, value)
        _put_metadata(made, attributes)
        _put_level(made, current_trace())
        _put_version(made, 0)
        _put_lost(made, None)
        return made

    # --- metadata ----------------------------------------------------------------------------

    @property
    def type(self) -> type[Self]:
        """The type of the variable."""
        return type(self)

    @property
    def var_type(self) -> Any:
        """The type of the variable."""
        return type(self)

    @property
    def hijax(self) -> bool:
        """Whether the value lives in a JAX type of its own: never."""
        return False

    @property
    def ref(self) -> bool:
        """Whether the value is a JAX reference: never."""
        return False

    @property
    def sharding_names(self) -> Any:
        """The metadata entry ``out_sharding``, or ``None``."""
        return self._metadata.get("out_sharding")

    def get_metadata(
        self,
        name: str | None = None,
        default: Any = MISSING,
        *,
        exclude_required: bool | None = None,
    ) -> Any:
        """Return one entry of the metadata, or all of them as a dictionary.

        Raises:
            KeyError: there is no such entry, and no default.
        """
        if name is None:
            return dict(self._metadata)
        if name in self._metadata:
            return self._metadata[name]
        if default is MISSING:
            raise KeyError(_no_metadata(self, name))
        return default

    def has_metadata(self, name: str) -> bool:
        """Tell whether there is an entry of this name."""
        return name in self._metadata

    def set_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Set metadata: ``set_metadata(name, value)``, or several entries as keywords.

        One positional mapping replaces all metadata.

        Raises:
            TypeError: other arguments.
            TraceContextError: the variable was made at another level of tracing.
        """
        if len(args) == 1 and isinstance(args[0], Mapping) and not kwargs:
            self._replace_metadata(_normalised(cast("Mapping[str, Any]", args[0])))
        elif len(args) == 2 and not kwargs:
            name, value = cast("tuple[str, Any]", args)
            self._replace_metadata({**self._metadata, **_normalised({name: value})})
        elif kwargs and not args:
            self._replace_metadata({**self._metadata, **_normalised(kwargs)})
        else:
            raise TypeError(
                f"set_metadata was given {len(args)} positional and {len(kwargs)} keyword "
                "arguments. Write set_metadata('name', value), set_metadata(name=value, ...), or "
                "set_metadata({...}) to replace all of it."
            )

    def del_metadata(self, name: str) -> None:
        """Remove an entry.

        Raises:
            KeyError: there is no such entry.
        """
        if name not in self._metadata:
            raise KeyError(_no_metadata(self, name))
        self._replace_metadata({k: v for k, v in self._metadata.items() if k != name})

    def _replace_metadata(self, metadata: dict[str, Any]) -> None:
        old = self._metadata
        if len(old) == len(metadata) and all(old.get(k, MISSING) is v for k, v in metadata.items()):
            return
        if static_key(metadata) == static_key(old):
            return
        if self._level is not current_trace():
            trace_level.refuse(self, "changes the metadata of")
        object.__setattr__(self, "_metadata", metadata)
        note_change(self)

    def add_axis(self, axis_index: int, axis_name: Any) -> None:
        """Run the hooks ``on_add_axis``: the value got an axis."""
        for hook in self._metadata.get("on_add_axis", ()):
            hook(self, axis_index, axis_name)

    def remove_axis(self, axis_index: int, axis_name: Any) -> None:
        """Run the hooks ``on_remove_axis``: the value lost an axis."""
        for hook in self._metadata.get("on_remove_axis", ()):
            hook(self, axis_index, axis_name)

    # --- being read like the value -----------------------------------------------------------

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") and name in Variable.__slots__:
                raise AttributeError(f"{type(self).__name__} is not initialised yet")
            metadata = self._metadata
            if name in metadata:
                return metadata[name]
            try:
                return getattr(self.get_raw_value(), name)  # without hooks, as Flax has it
            except AttributeError as error:
                raise AttributeError(
                    f"{type(self).__name__} has no metadata {name!r}, and its value, a "
                    f"{type(self._raw_value).__name__}, has no such attribute either."
                ) from error

        def __setattr__(self, name: str, value: Any) -> None:
            if not hasattr(inspect.getattr_static(type(self), name, None), "__set__"):
                raise AttributeError(_not_settable(self, name))
            object.__setattr__(self, name, value)
            if name == "__class__":
                note_change(self)

        def __delattr__(self, name: str) -> None:
            if name not in self._metadata:
                raise AttributeError(_no_metadata(self, name))
            self.del_metadata(name)

    def __jax_array__(self) -> Any:
        return self.get_value()

    def __getitem__(self, key: Any) -> Any:
        return self.get_value(index=key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.set_value(value, index=key)

    def __delitem__(self, key: Any) -> None:
        value = self.get_value()
        del value[key]  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the value."""
        return self.get_value()(*args, **kwargs)  # type: ignore[operator]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.get_value())  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.get_value())  # type: ignore[arg-type]

    def __contains__(self, item: Any) -> bool:
        return item in self.get_value()  # type: ignore[operator]

    def __bool__(self) -> bool:
        value: Any = self.get_value()
        # as of a list: whether there is anything in it, so that `if layer.bias:` can be written
        return len(value) > 0 if getattr(value, "ndim", 0) else bool(value)

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Self:
        made = self.from_metadata(copy.deepcopy(self._raw_value, memo), dict(self._metadata))
        memo[id(self)] = made
        return made

    def __reduce__(self) -> Any:
        return _restored, (type(self), self._raw_value, self._metadata)

    def __repr__(self) -> str:
        return text_of(self)

    def _outline_(self) -> Outline:
        return Outline(f"{type(self).__name__}(", self._parts(), ")", self._size_note())

    def _parts(self) -> dict[str, Any]:
        return {"value": self._raw_value, **self._metadata}

    def _size_note(self) -> str:
        size = size_of(self._raw_value)
        return f" # {size}" if size else ""

    def __treescope_repr__(self, path: Any, subtree_renderer: Any) -> Any:
        note = self._size_note()
        return notebook.constructor(type(self), self._parts(), note, path, subtree_renderer)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._may_have_hooks = not is_of_a_library(cls)
        _register_pytree(cls)


# slots are set by their descriptors, past `__setattr__` and without a look at the class
_put_level = Variable.__dict__["_level"].__set__
_put_version = Variable.__dict__["_version"].__set__
_put_lost = Variable.__dict__["_lost"].__set__
_put_metadata = Variable.__dict__["_metadata"].__set__
_put_value = Variable.__dict__["_raw_value"].__set__


def _restored(cls: Any, value: Any, metadata: dict[str, Any]) -> Any:
    """Make a variable again that was pickled."""
    return cls.from_metadata(value, dict(metadata))


def _normalised(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with old names brought to new ones and hooks as tuples."""
    kept = _with_hooks(metadata)
    for name in _OLD_NAMES:
        if name in kept:
            kept["out_sharding"] = kept.pop(name)
    return kept


def _with_hooks(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata with hooks as tuples."""
    kept: dict[str, Any] = {}
    for name, value in metadata.items():
        if name in _HOOKS:
            hooks = tuple(value) if isinstance(value, list | tuple) else (value,)
            if hooks:
                kept[name] = hooks
        elif name in {"value", "raw_value"}:
            raise ValueError(
                f"{name!r} cannot be metadata: it is how the value of a variable is read. Choose "
                "another name."
            )
        else:
            kept[name] = value
    return kept


def _metadata_of(boxed: VariableMetadata[Any]) -> dict[str, Any]:
    hooks = {name: getattr(boxed, name) for name in _HOOKS if getattr(boxed, name)}
    return {**_normalised(boxed.metadata), **hooks}


def _not_settable(variable: Variable[Any], name: str) -> str:
    kind = type(variable).__name__
    return (
        f"{kind}.{name} cannot be assigned to.{near(name, ['value', *variable._metadata])} The "
        f"value is set with `variable[...] = x`, metadata with `variable.set_metadata({name}=x)`."
    )


def is_variable(value: Any) -> bool:
    """Tell whether a value is a variable."""
    return isinstance(value, Variable)


def value_of(leaf: Any) -> Any:
    """Return the value of a variable; anything else as it is."""
    return leaf.get_value() if isinstance(leaf, Variable) else leaf


def raw_value_of(leaf: Any) -> Any:
    """Return the stored value of a variable; anything else as it is."""
    return leaf._raw_value if isinstance(leaf, Variable) else leaf


def with_value(leaf: Any, value: Any) -> Any:
    """Return a variable like a given one with another value; of anything else, the value."""
    return leaf.replace(value) if isinstance(leaf, Variable) else value


def boxed(value: Any, metadata: dict[str, Any]) -> VariableMetadata[Any]:
    """Return a value with metadata for the variable that it will be put in."""
    kept = _normalised(metadata)
    if isinstance(value, VariableMetadata):
        kept = {**_metadata_of(value), **kept}
        value = value.raw_value
    hooks = {name: kept.pop(name) for name in _HOOKS if name in kept}
    return VariableMetadata(value, metadata=kept, **hooks)


def _no_metadata(variable: Variable[Any], name: str) -> str:
    have = list(variable._metadata)
    return (
        f"{type(variable).__name__} has no metadata {name!r}; it has {listing(have)}."
        f"{near(name, have)}"
    )


install_operators(Variable)

# --- as pytrees ------------------------------------------------------------------------------


def _flatten(variable: Variable[Any]) -> tuple[tuple[Any], tuple[tuple[str, Any], ...]]:
    if variable._lost is not None:
        variable._lost.flattened(variable)
    metadata = variable._metadata
    return (variable._raw_value,), tuple(sorted(metadata.items())) if metadata else ()


_VALUE_KEY = jax.tree_util.GetAttrKey("value")


def _flatten_with_keys(variable: Variable[Any]) -> Any:
    children, static = _flatten(variable)
    return ((_VALUE_KEY, children[0]),), static


def _register_pytree(cls: Any) -> None:
    def unflatten(static: tuple[tuple[str, Any], ...], children: Any) -> Any:
        made = cls.from_metadata(children[0], dict(static))
        trace_level.watch_copy(made)
        return made

    jax.tree_util.register_pytree_with_keys(cls, _flatten_with_keys, unflatten, _flatten)


_register_pytree(Variable)
