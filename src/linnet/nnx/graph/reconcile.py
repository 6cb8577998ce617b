"""Changing objects until they have a given structure.

What was there before stays the object it is; what is new is made.
"""

from typing import Any

from linnet.base import errors
from linnet.base.jaxcompat import current_trace
from linnet.base.static_keys import static_key
from linnet.nnx.graph.definitions import (
    ArrayDef,
    ContainerDef,
    ObjectDef,
    PytreeDef,
    Reference,
    VariableDef,
)
from linnet.nnx.objects import trace_level
from linnet.nnx.objects.pytree import blank, put
from linnet.nnx.objects.versions import note_change

_NO_PLACE: Any = object()


class Settler:
    """Changes objects until they have a given structure.

    Args:
        origins: for each object and variable of the structure, which one before it was, or -1.
        values: the number of a cell → its value, where it has a new one.
        before: the objects and variables that there were.
    """

    def __init__(self, origins: tuple[int, ...], values: dict[int, Any], before: list[Any]) -> None:
        self.origins = origins
        self.values = values
        self.before = before
        self.members: dict[int, Any] = {}
        self.cells = 0

    def settle(self, definition: Any, present: Any = _NO_PLACE) -> Any:
        """Return what a definition defines, made of what there was; ``present`` is in its place."""
        if isinstance(definition, VariableDef):
            return self._variable(definition)
        if isinstance(definition, ObjectDef):
            return self._object(definition)
        if isinstance(definition, ArrayDef):
            number, self.cells = self.cells, self.cells + 1
            return self.values[number]
        if isinstance(definition, Reference):
            return self.members[definition.index]
        if isinstance(definition, ContainerDef):
            items = [self.settle(child) for child in definition.children]
            if definition.type is tuple:
                return tuple(items)
            if definition.type is list:
                made: Any = items
            else:
                made = dict(zip(definition.keys, items, strict=True))
            return _refilled(present, made)
        if isinstance(definition, PytreeDef):
            return definition.treedef.unflatten(
                [self.settle(child) for child in definition.children]
            )
        return _kept(present, definition.fresh())

    def _variable(self, definition: VariableDef) -> Any:
        number, self.cells = self.cells, self.cells + 1
        origin = self.origins[definition.index]
        metadata = dict(definition.metadata.fresh())
        if origin < 0:
            variable = definition.type.from_metadata(self.values[number], metadata)
        else:
            variable = self.before[origin]
            if number in self.values:
                variable.set_raw_value(self.values[number])
            variable._replace_metadata(metadata)
        self.members[definition.index] = variable
        return variable

    def _object(self, definition: ObjectDef) -> Any:
        origin = self.origins[definition.index]
        obj = blank(definition.type) if origin < 0 else self.before[origin]
        self.members[definition.index] = obj
        if origin < 0:
            obj._fill({})
            present: dict[Any, Any] = {}
        else:
            if obj._level is not current_trace():
                raise errors.TraceContextError(
                    "A function changes", trace_level.name_of(obj), type(obj).__name__
                )
            present = dict(obj._children())
        wanted = {
            key: self.settle(child, present.get(key, _NO_PLACE))
            for key, child in zip(definition.keys, definition.children, strict=True)
        }
        for key, value in definition.statics.fresh().items():
            wanted[key] = _kept(present.get(key, _NO_PLACE), value)
        for key in [key for key in present if key not in wanted][::-1]:
            obj._drop_child(key)
        for key in sorted(wanted, key=lambda key: (isinstance(key, str), key)):
            obj._put_child(key, wanted[key])
        put(obj, "_statuses", definition.known.copy())
        note_change(obj)
        return obj


def _kept(present: Any, value: Any) -> Any:
    """Return a static value as the one that stands in its place, if that is equal."""
    if present is not _NO_PLACE and static_key(present) == static_key(value):
        return present
    return _refilled(present, value)


def _refilled(present: Any, made: Any) -> Any:
    """Return a list or dictionary as the one that stands in its place, filled anew."""
    if type(present) is not type(made) or not isinstance(made, list | dict):
        return made
    present.clear()
    present.extend(made) if isinstance(made, list) else present.update(made)
    return present
