"""Building an object graph from its structure and values; undoes ``flatten.py``."""

from collections.abc import Callable, Iterator
from typing import Any

from linnet.nnx.graph.definitions import (
    ArrayDef,
    ContainerDef,
    ObjectDef,
    Reference,
    StaticDef,
    VariableDef,
)
from linnet.nnx.objects.pytree import Pytree, attributes_of, blank, put
from linnet.nnx.objects.variable import Variable


class Builder:
    """Builds an object graph from its structure.

    Attributes:
        members: the objects and variables built, in the order of their indices.
    """

    __slots__ = ("_make", "_values", "members")

    def __init__(self, values: Iterator[Any], make: Callable[[VariableDef, Any], Any]) -> None:
        self._values = values
        self._make = make
        self.members: dict[int, Any] = {}

    def build(self, definition: Any) -> Any:
        """Build what a definition defines."""
        kind = type(definition)
        if kind is VariableDef:
            made = self._make(definition, next(self._values))
            self.members[definition.index] = made
            return made
        if kind is ObjectDef:
            return self._object(definition)
        if kind is ArrayDef:
            return next(self._values)
        if kind is StaticDef:
            return definition.fresh()
        if kind is Reference:
            return self.members[definition.index]
        if kind is ContainerDef:
            items = [self.build(child) for child in definition.children]
            if definition.type is list:
                return items
            if definition.type is tuple:
                return tuple(items)
            return dict(zip(definition.keys, items, strict=True))
        return definition.treedef.unflatten([self.build(child) for child in definition.children])

    def _object(self, definition: ObjectDef) -> Any:
        made = blank(definition.type)
        # known before its attributes are built: a path may lead back to it
        self.members[definition.index] = made
        put(made, "_statuses", definition.known.copy())
        made._fill(definition.statics.fresh())
        if made._put_child.__func__ is _plain_put:
            attributes = attributes_of(made)
            for key, child in definition.pairs:
                # past `build`, as in `_object` of the walk: a frame less for each level
                deeper = type(child) is ObjectDef
                attributes[key] = self._object(child) if deeper else self.build(child)
        else:
            for key, child in definition.pairs:
                made._put_child(key, self.build(child))
        return made


_plain_put = Pytree._put_child


def new_variable(definition: VariableDef, value: Any) -> Any:
    """Make the variable of a definition; a variable for its value serves as it is."""
    if isinstance(value, Variable):
        return value
    return definition.type.from_metadata(value, dict(definition.metadata.fresh()))
