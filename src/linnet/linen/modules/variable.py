"""``Variable``: what ``Module.variable`` returns, a place in a collection to read and write."""

from contextlib import suppress
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import jax

from linnet.base import errors
from linnet.state.metadata import is_axis_metadata, replace_boxed, unbox

T = TypeVar("T")


class Holder(Protocol):
    """What a variable asks of the scope that holds it."""

    path: tuple[str, ...]

    def get_variable(self, col: str, name: str, default: Any = None) -> Any:
        """Return the value of a variable, boxed as it is, or ``default``."""
        ...

    def put_variable(self, col: str, name: str, value: Any) -> None:
        """Write a variable."""
        ...

    def is_mutable_collection(self, col: str) -> bool:
        """Tell whether variables of a collection may be written."""
        ...


class Variable(Generic[T]):
    """A named value in a collection, read and written through its scope.

    Attributes:
        scope: the scope that holds it.
        collection: the name of its collection.
        name: its name.
        unbox: whether ``value`` hides axis metadata.
    """

    __slots__ = ("collection", "name", "scope", "unbox")
    __hash__: ClassVar[Any] = object.__hash__

    def __init__(self, scope: Holder, collection: str, name: str, unbox: bool = True) -> None:
        self.scope = scope
        self.collection = collection
        self.name = name
        self.unbox = unbox

    @property
    def value(self) -> T:
        """The value, without axis metadata unless ``unbox`` is off."""
        value = self.scope.get_variable(self.collection, self.name)
        return unboxed(value) if self.unbox else value

    @value.setter
    def value(self, value: T) -> None:
        scope = self.scope
        current = scope.get_variable(self.collection, self.name)
        if self.unbox and not is_array(current) and _has_boxes(current):
            # a value of another structure has no use for the boxes of the old one
            with suppress(ValueError):
                value = replace_boxed(current, value)
        scope.put_variable(self.collection, self.name, value)

    def is_mutable(self) -> bool:
        """Tell whether the variable may be written in this call."""
        return self.scope.is_mutable_collection(self.collection)

    def __repr__(self) -> str:
        where = errors.place((self.collection, *self.scope.path, self.name))
        return f"Variable({where}: {self.value!r})"


def is_array(value: Any) -> bool:
    """Tell whether a value is an array, as almost every variable is."""
    return isinstance(value, jax.Array)


def _has_boxes(value: Any) -> bool:
    return any(map(is_axis_metadata, jax.tree.leaves(value, is_leaf=is_axis_metadata)))


def unboxed(value: Any) -> Any:
    """Return a value without axis metadata; an array needs no walk through a tree for that."""
    return value if is_array(value) else unbox(value)
