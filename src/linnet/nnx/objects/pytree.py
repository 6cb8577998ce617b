"""Objects whose attributes JAX can see.

:class:`Pytree` is the base of everything that NNX builds models of. An instance is an ordinary,
mutable Python object. To JAX it is a pytree, with the attributes that are data (see
``attributes.py``) as children and the others as part of the structure. To the functions of NNX
it is a node of a graph, in which the same object, or variable, may be reached by several paths
(see ``graph/flatten.py``).

Two rules watch over assignments. An object may be changed only at the level of tracing at which it
was made, since an attribute set elsewhere would hold a dead tracer. And every change to the set of
attributes, or to a static one, is noted (``versions.py``), so that what was remembered about the
structure of a model is not used when it is no longer true.
"""

import abc
import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, dataclass_transform

import jax
import numpy as np

from linnet.base import errors
from linnet.base.errors import near
from linnet.base.jaxcompat import current_trace
from linnet.display import notebook
from linnet.display.outline import Outline, text_of
from linnet.nnx.objects import attributes, trace_level
from linnet.nnx.objects.attributes import data, nature, static
from linnet.nnx.objects.nodes import Node
from linnet.nnx.objects.sizes import sizes_text
from linnet.nnx.objects.statics import Statics
from linnet.nnx.objects.variable import Variable
from linnet.nnx.objects.versions import note_change

T = TypeVar("T")
put = object.__setattr__


class _Attributes:
    """What has the dictionary of attributes; below it the name ``__dict__`` is free."""

    __slots__ = ("__dict__",)


_dict = vars(_Attributes)["__dict__"]
attributes_of: Callable[[Any], dict[str, Any]] = _dict.__get__


class Pytree(Node, _Attributes, metaclass=abc.ABCMeta):
    """An object whose attributes are data or static.

    Subclasses are registered with JAX as pytrees. With the class argument ``pytree=False`` they are
    not: JAX takes an instance for one opaque leaf, and only the functions of NNX look inside.

    >>> import jax, jax.numpy as jnp
    >>> from linnet import nnx
    >>> class Ball(nnx.Pytree):
    ...     def __init__(self):
    ...         self.height, self.name = jnp.array(2.0), "red"
    >>> half = jax.tree.map(lambda x: x / 2, Ball())
    >>> print(half.height, half.name)
    1.0 red
    """

    __slots__ = ("_is_open", "_layout", "_level", "_statuses", "_version")

    # attributes that the class body marks as data or static
    _declared: ClassVar[dict[str, bool]] = {}
    _is_pytree: ClassVar[bool] = True
    # whether no method of the class sets attributes past `__setattr__`
    _keeps_to_setattr: ClassVar[bool] = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make an object without attributes; ``__init__`` sets them.

        Raises:
            TypeError: there is no ``__init__`` to take the arguments.
        """
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise _no_init(cls)
        return blank(cls)

    setattr(__new__, "_completes", True)  # noqa: B010 - which pyright takes for a bound method

    def __init_subclass__(cls, *, pytree: bool = True, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declared = attributes.declared_in(cls)
        if declared:
            cls._declared = {**cls._declared, **declared}
        cls._is_pytree = pytree
        cls._keeps_to_setattr = cls.__module__.startswith("linnet.")
        if vars(cls).get("__slots__") and not cls._keeps_to_setattr:
            raise TypeError(_slots_refused(cls))
        if not getattr(cls.__new__, "_completes", False):
            cls.__new__ = _completing(cls.__new__)
        if pytree:
            jax.tree_util.register_pytree_with_keys(
                cls, _flatten_with_keys, cls._unflatten, _flatten
            )

    @classmethod
    def _unflatten(cls, static: "tuple[Any, ...]", children: Any) -> Any:
        names, statuses, statics = static
        made = blank(cls)
        made._fill(statics.fresh())
        known = dict(statuses)
        for name, child in zip(names, children, strict=True):
            made._put_child(name, child)
            if nature(child) is not None:
                known[name] = True
        put(made, "_statuses", known)
        return made

    # --- attributes --------------------------------------------------------------------------

    if not TYPE_CHECKING:

        @property
        def __dict__(self) -> dict[str, Any]:
            """The attributes.

            Who asks for it may change it past ``__setattr__``, so from then on it is compared
            with what it held (``graph/changing.py``).
            """
            if not self._is_open:
                _put_open(self, True)
                note_change(self)
            return attributes_of(self)

        @__dict__.setter
        def __dict__(self, attributes: dict[str, Any]) -> None:
            _dict.__set__(self, attributes)
            _put_open(self, True)
            note_change(self)

        def __setattr__(self, name: str, value: Any) -> None:
            if self._level is not current_trace():
                raise wrong_level(self, name)
            kind = nature(value)
            if attributes.is_marker(value):
                value, kind = _marked(self, name, value)
            elif name in self._declared:
                kind = _checked(self, name, value, self._declared[name])
            elif kind and self._statuses.get(name) is False:
                raise ValueError(_explicitly_static(self, name, value))
            elif kind:
                self._statuses[name] = True
            _note_assignment(self, name, value, kind)
            put(self, name, value)

        def __delattr__(self, name: str) -> None:
            if self._level is not current_trace():
                raise wrong_level(self, name)
            object.__delattr__(self, name)
            self._statuses.pop(name, None)
            note_change(self)

    def _holds(self, name: str, value: Any) -> bool:
        """Tell whether an attribute is data."""
        status = self._statuses.get(name)
        return attributes.holds_data(value) if status is None else status

    def _children(self) -> list[tuple[Any, Any]]:
        fields = attributes_of(self)
        return [(name, fields[name]) for name in sorted(fields)]

    def _get_child(self, key: Any) -> Any:
        return attributes_of(self)[key]

    def _put_child(self, key: Any, value: Any) -> None:
        attributes_of(self)[key] = value

    def _fill(self, statics: dict[str, Any]) -> None:
        """Set the static attributes of a new object."""
        attributes_of(self).update(statics)

    def _drop_child(self, key: Any) -> None:
        del attributes_of(self)[key]
        self._statuses.pop(key, None)

    @staticmethod
    def _key_entry(key: Any) -> Any:
        """Return the entry that stands for an attribute in key paths of JAX."""
        return jax.tree_util.GetAttrKey(key)

    # --- Python's own protocols --------------------------------------------------------------

    def __getstate__(self) -> Any:
        """Return the attributes; what was remembered about them stays behind."""
        return {**attributes_of(self), "_statuses": dict(self._statuses)}

    def __setstate__(self, state: Any) -> None:
        attributes = dict(state)
        put(self, "_statuses", attributes.pop("_statuses", {}))
        attributes_of(self).update(attributes)
        note_change(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # older protocols make objects past `__new__`
        return super().__reduce_ex__(max(protocol, 2))

    def __repr__(self) -> str:
        return text_of(self, arrays=False)

    def _outline_(self) -> Outline:
        name = type(self).__name__
        return Outline(f"{name}(", self._shown(), ")", sizes_text(self), again=f"{name}(...)")

    def _shown(self) -> dict[str, Any]:
        """Return the attributes that a reader is shown."""
        return {name: v for name, v in attributes_of(self).items() if not name.startswith("_")}

    def __treescope_repr__(self, path: Any, subtree_renderer: Any) -> Any:
        note = sizes_text(self)
        return notebook.constructor(type(self), self._shown(), note, path, subtree_renderer)


attributes.register_data_type(Variable)
attributes.register_data_type(Pytree)


# slots are set by their descriptors, past `__setattr__` and without a look at the class
_put_level = Pytree.__dict__["_level"].__set__
_put_version = Pytree.__dict__["_version"].__set__
_put_statuses = Pytree.__dict__["_statuses"].__set__
_put_layout = Pytree.__dict__["_layout"].__set__
_put_open = Pytree.__dict__["_is_open"].__set__
_get_level = Pytree.__dict__["_level"].__get__


def blank(cls: type[T]) -> T:
    """Make an object of a class, at the present level of tracing, without running ``__init__``."""
    made = object.__new__(cls)
    _complete(made)
    return made


def _complete(made: Any) -> None:
    """Set the slots of a new object."""
    _put_level(made, current_trace())
    _put_version(made, 0)
    _put_statuses(made, {})
    _put_layout(made, None)
    _put_open(made, False)


def _completing(new: Callable[..., Any]) -> Any:
    """Return a ``__new__`` that may make objects in any way, such as by ``object.__new__``."""

    @functools.wraps(new)
    def completing(cls: Any, *args: Any, **kwargs: Any) -> Any:
        made = new(cls, *args, **kwargs)
        if isinstance(made, Pytree) and not _has_slots(made):
            _complete(made)
        return made

    setattr(completing, "_completes", True)  # noqa: B010
    return staticmethod(completing)


def _has_slots(made: Any) -> bool:
    try:
        _get_level(made)
    except AttributeError:
        return False
    return True


# --- assigning -------------------------------------------------------------------------------


def _note_assignment(owner: Any, name: str, value: Any, kind: bool | None) -> None:
    """Note an assignment as a structural change, if it is one, and warn if it drops a variable."""
    old = attributes_of(owner).get(name)
    if isinstance(old, Variable) and not isinstance(value, Variable) and _is_array(value):
        warnings.warn(errors.VariableReplacedWarning(name, type(old).__name__), stacklevel=3)
    if owner._version and not (kind and _is_array(old) and _is_array(value)):
        # one array for another is a new value of the same structure
        note_change(owner)


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray)


def _marked(owner: Any, name: str, field: Any) -> tuple[Any, bool]:
    value, as_data = attributes.read_marker(field)
    return value, _checked(owner, name, value, as_data)


def read_mark(owner: Any, name: Any, value: Any) -> tuple[Any, bool | None]:
    """Return an item without its marker, and what the marker said.

    Raises:
        ValueError: it is marked as static, and holds data.
    """
    if not attributes.is_marker(value):
        return value, None
    item, as_data = attributes.read_marker(value)
    if not as_data and attributes.holds_data(item):
        raise ValueError(_static_with_data(owner, name, item))
    return item, as_data


def _checked(owner: Any, name: str, value: Any, as_data: bool) -> bool:
    if not as_data and attributes.holds_data(value):
        raise ValueError(_static_with_data(owner, name, value))
    owner._statuses[name] = as_data
    return as_data


def _static_with_data(owner: Any, name: str, value: Any) -> str:
    return (
        f"{type(owner).__name__}.{name} is marked as static, but its value "
        f"({type(value).__name__}) is or holds data: arrays, variables, modules. Static attributes "
        f"are part of what programs are compiled for. Write nnx.data(...) in place of "
        f"nnx.static(...), or leave the marker out."
    )


def _explicitly_static(owner: Any, name: str, value: Any) -> str:
    return (
        f"{type(owner).__name__}.{name} was marked with nnx.static, and is now set to "
        f"data ({type(value).__name__}). Write `self.{name} = nnx.data(...)` to change "
        "what it is."
    )


def _no_init(cls: type) -> TypeError:
    error = TypeError(f"{cls.__name__}() takes no arguments")
    meant = near("__init__", [name for name in vars(cls) if name.startswith("_")])
    error.add_note(
        f"{cls.__name__} has no __init__ that could take them.{meant} Write one, or declare the "
        "attributes in a class under @nnx.dataclass."
    )
    return error


def _slots_refused(cls: type) -> str:
    return (
        f"{cls.__name__} declares __slots__. The attributes of a Pytree are found in its __dict__, "
        "so one in a slot would be no part of the model. Leave __slots__ out."
    )


def wrong_level(owner: Any, name: str) -> Exception:
    """Return the error of an attribute set at another level of tracing than the object's own."""
    return errors.TraceContextError(
        "A function sets attribute",
        f"{name!r} of {trace_level.name_of(owner)}",
        type(owner).__name__,
    )


# --- as pytrees ------------------------------------------------------------------------------


def _flatten(obj: Any) -> tuple[list[Any], Any]:
    names: list[Any] = []
    children: list[Any] = []
    statics: dict[str, Any] = {}
    # that a child is data is said by its being one, unless it is a container
    explicit: list[tuple[Any, bool]] = []
    for name, value in obj._children():
        status = obj._statuses.get(name)
        if status is False or (status and nature(value) is None):
            explicit.append((name, status))
        if obj._holds(name, value):
            names.append(name)
            children.append(value)
        else:
            statics[name] = value
    return children, (tuple(names), tuple(explicit), Statics(statics))


def _flatten_with_keys(obj: Any) -> Any:
    children, static = _flatten(obj)
    keys = map(obj._key_entry, static[0])
    return list(zip(keys, children, strict=True)), static


def check_pytree(pytree: Any) -> None:
    """Check that the marks on the attributes of an object agree with their values.

    Raises:
        TypeError: it is not a ``Pytree``.
        ValueError: an attribute marked as static holds data.
    """
    if not isinstance(pytree, Pytree):
        raise TypeError(
            f"check_pytree was given a {type(pytree).__name__}; it checks objects whose class "
            "derives from nnx.Pytree, such as modules."
        )
    for name, value in attributes_of(pytree).items():
        if pytree._statuses.get(name) is False and attributes.holds_data(value):
            raise ValueError(_static_with_data(pytree, name, value))


@dataclass_transform(field_specifiers=(dataclasses.field, data, static))
def dataclass(
    cls: Any = None,
    /,
    *,
    init: bool = True,
    eq: bool = True,
    order: bool = False,
    unsafe_hash: bool = False,
    match_args: bool = True,
    kw_only: bool = False,
    slots: bool = False,
    weakref_slot: bool = False,
) -> Any:
    """Make a dataclass of a subclass of ``Pytree``, with ``nnx.data`` and ``nnx.static`` as fields.

    Args are those of ``dataclasses.dataclass``.

    >>> import jax
    >>> from linnet import nnx
    >>> @nnx.dataclass
    ... class Point(nnx.Pytree):
    ...     x: float = nnx.data()
    ...     name: str = nnx.static(default="p")
    >>> jax.tree.leaves(Point(2.0))
    [2.0]
    """
    options = {name: value for name, value in locals().items() if name != "cls"}

    def make(cls: Any) -> Any:
        declared = attributes.declared_in(cls)
        made = dataclasses.dataclass(repr=False, **options)(cls)
        made._declared = {**made._declared, **declared, **attributes.declared_in(made)}
        return made

    return make if cls is None else make(cls)
