"""What is computed once for a module class, when Python makes it.

A class that derives from ``Module`` is turned into a dataclass, its methods are wrapped, and the
facts that calls will ask for are gathered: which fields it has, which of them may hold modules.
Nothing of this is looked at again while a model runs.
"""

import dataclasses
import inspect
from typing import Any

from linnet.base import errors
from linnet.linen.modules.methods import is_wrapped, wrap_method


@dataclasses.dataclass(frozen=True, slots=True)
class ClassFacts:
    """What calls ask of a module class.

    Attributes:
        set_by_init: the names of the fields that the constructor sets.
        init_fields: those that the constructor takes, without ``parent`` and ``name``.
        adoptable: those whose value may hold modules.
        setters: the attributes that are set by a property, or another descriptor.
    """

    set_by_init: frozenset[str]
    init_fields: tuple[str, ...]
    adoptable: tuple[str, ...]
    setters: frozenset[str]


_RESERVED = ("parent", "name")

# of Python's own methods those that compute; the others run when a module has no place yet
_COMPUTING = frozenset(
    {"__call__", "__getitem__", "__len__", "__iter__", "__contains__"}
    | {"__add__", "__mul__", "__matmul__", "__rshift__", "__or__"}
)


def prepare_class(cls: type, *, kw_only: bool) -> None:
    """Turn a subclass of ``Module`` into a dataclass with wrapped methods and gathered facts.

    Raises:
        ReservedModuleAttributeError: it declares a field ``parent``.
    """
    _check_annotations(cls)
    own_hash = "__hash__" in vars(cls)
    if "__eq__" not in vars(cls):
        setattr(cls, "__eq__", _equal)  # noqa: B010 - which pyright takes for a bound method
    _restore_missing(cls)
    dataclasses.dataclass(repr=False, eq=True, kw_only=kw_only)(cls)
    if not own_hash:
        # dataclasses unset it when they add __eq__
        cls.__hash__ = _inherited(cls, "__hash__")
    _put_last(cls)
    _wrap_attributes(cls, frozenset(field.name for field in dataclasses.fields(cls)))
    cls._facts = facts_of(cls)


def facts_of(cls: Any) -> ClassFacts:
    """Gather the facts of a module class that is a dataclass already."""
    all_fields = dataclasses.fields(cls)
    init_fields = tuple(f.name for f in all_fields if f.init and f.name not in _RESERVED)
    return ClassFacts(
        set_by_init=frozenset((*init_fields, *_RESERVED)),
        init_fields=init_fields,
        adoptable=init_fields,
        setters=frozenset(
            name
            for base in cls.__mro__
            for name, value in vars(base).items()
            if hasattr(type(value), "__set__")
        ),
    )


def _equal(self: Any, other: Any) -> Any:
    """Tell whether two modules are described alike and, if bound, stand at the same place."""
    if type(self) is not type(other):
        return NotImplemented
    if self.scope is not other.scope:
        return False
    names = [field.name for field in dataclasses.fields(self) if field.compare]
    one, two = (tuple(getattr(module, name) for name in names) for module in (self, other))
    return one == two


def _inherited(cls: type, name: str) -> Any:
    return next(vars(base)[name] for base in cls.__mro__[1:] if vars(base).get(name) is not None)


def _check_annotations(cls: type) -> None:
    annotations = inspect.get_annotations(cls)
    if "parent" in annotations:
        raise errors.ReservedModuleAttributeError({"parent": annotations["parent"]})
    if "name" in annotations:
        # a subclass may write `name: str` for the reader; it stays the field that all modules have
        cls.name = dataclasses.field(default=None, kw_only=True)


def _restore_missing(cls: type) -> None:
    """Mend the inherited fields of classes that were pickled by value.

    What says that a field has no default is copied then, and the copy would be taken for one.
    """
    missing = type(dataclasses.MISSING)
    for base in cls.__mro__[1:]:
        for field in vars(base).get("__dataclass_fields__", {}).values():
            for name in ("default", "default_factory", "kw_only"):
                if isinstance(getattr(field, name), missing):
                    setattr(field, name, dataclasses.MISSING)


def _put_last(cls: type) -> None:
    """List ``parent`` and ``name`` after the fields of the class, where signatures show them."""
    listed = cls.__dataclass_fields__
    for name in _RESERVED:
        listed[name] = listed.pop(name)
    annotations = inspect.get_annotations(cls)
    cls.__annotations__ = annotations | {name: listed[name].type for name in _RESERVED}


def _wrap_attributes(cls: type, fields: frozenset[str]) -> None:
    for name, value in list(vars(cls).items()):
        if name in fields or (name.startswith("__") and name not in _COMPUTING):
            continue
        if inspect.isfunction(value) and not (is_wrapped(value) or hasattr(value, "nowrap")):
            setattr(cls, name, wrap_method(name, value))
