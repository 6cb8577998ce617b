"""Frozen dataclasses that are pytrees.

A field is a child of the tree, or, declared with ``field(pytree_node=False)``, part of its
structure: JAX then compares it and compiles anew when it changes, and never traces it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar, cast, dataclass_transform, overload

import jax

T = TypeVar("T")

_REGISTERED = "_linnet_struct"


def field(
    pytree_node: bool = True, *, metadata: Mapping[str, Any] | None = None, **kwargs: Any
) -> Any:
    """Declares a field of a struct.

    Args:
        pytree_node: whether it is a child of the tree, or part of its structure.
        metadata: metadata of the field, as ``dataclasses.field`` takes it.
        **kwargs: what else ``dataclasses.field`` takes.
    """
    return dataclasses.field(metadata={**(metadata or {}), "pytree_node": pytree_node}, **kwargs)


@overload
def dataclass(clz: type[T], **kwargs: Any) -> type[T]: ...
@overload
def dataclass(clz: None = None, **kwargs: Any) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field, dataclasses.field))
def dataclass(clz: type[T] | None = None, **kwargs: Any) -> type[T] | Callable[[type[T]], type[T]]:
    """Makes a class a frozen dataclass and a pytree, with a method ``replace``.

    Args:
        clz: the class.
        **kwargs: what ``dataclasses.dataclass`` takes; ``frozen`` is true unless given.

    >>> @dataclass
    ... class Point:
    ...     x: float
    ...     name: str = field(pytree_node=False, default="origin")
    >>> Point(1.0).replace(x=2.0)
    Point(x=2.0, name='origin')
    >>> jax.tree.leaves(Point(1.0))
    [1.0]
    """
    if clz is None:
        return lambda clz: _struct(clz, kwargs)
    return _struct(clz, kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(field, dataclasses.field))
class PyTreeNode:
    """A base class whose subclasses are structs without being decorated.

    Keyword arguments beside the bases go to ``dataclasses.dataclass``.

    >>> class Point(PyTreeNode):
    ...     x: float
    >>> jax.tree.map(lambda leaf: leaf + 1, Point(1.0))
    Point(x=2.0)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()
        _struct(cls, kwargs)

    def replace(self, **updates: Any) -> Self:
        """Returns a copy with some fields replaced.

        Args:
            **updates: the new values, by field.
        """
        return dataclasses.replace(cast("Any", self), **updates)


def _struct(clz: type[T], options: Mapping[str, Any]) -> type[T]:
    # Looked up on the class itself: a subclass of a struct still has to be made one.
    if _REGISTERED in vars(clz):
        return clz
    made: Any = dataclasses.dataclass(**{"frozen": True, **options})(clz)
    if "replace" not in vars(clz) and not issubclass(clz, PyTreeNode):
        made.replace = dataclasses.replace
    children: list[str] = []
    structure: list[str] = []
    for each in dataclasses.fields(made):
        if each.init:
            (children if each.metadata.get("pytree_node", True) else structure).append(each.name)
    jax.tree_util.register_dataclass(made, children, structure)
    setattr(made, _REGISTERED, tuple(children))
    made._flax_dataclass = True  # the mark by which programs tell structs
    return made


def child_fields(clz: type[Any]) -> tuple[str, ...] | None:
    """Names the fields of a struct that are children of the tree; ``None`` for any other class.

    Args:
        clz: the class. A subclass of a struct that was not made one itself counts as another class.
    """
    return vars(clz).get(_REGISTERED)
