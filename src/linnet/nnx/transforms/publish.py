"""What comes out of a transformation, and how it is given to the objects of the caller.

Mostly the structure of the objects is what it was, and some cells have other values. Otherwise the
outcome is the whole structure after the call; a :class:`Settler` changes the caller's objects until
they have it, makes those that are new, and leaves every object that was there before what it is.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from linnet.base import errors
from linnet.base.jaxcompat import current_trace
from linnet.lift.engine import Groups
from linnet.nnx.graph.definitions import (
    ArrayDef,
    ContainerDef,
    GraphDef,
    ObjectDef,
    PytreeDef,
    Reference,
    VariableDef,
)
from linnet.nnx.graph.flatten import (
    walk,
)
from linnet.nnx.graph.layout import (
    Layout,
)
from linnet.nnx.objects import (
    trace_level as levels,
)
from linnet.nnx.objects.pytree import (
    blank,
    put,
    static_key,
)
from linnet.nnx.objects.variable import (
    Variable,
)
from linnet.nnx.objects.versions import (
    note_change,
)
from linnet.nnx.transforms.arguments import put_objects


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What is known of a call when it has been traced.

    Attributes:
        handed: for each group the numbers of the cells whose values come out.
        graphdef: the structure after the call; ``None`` if it is what it was.
        origins: for each object and variable of that structure, which one before it was, or -1.
        returns_objects: whether objects stand in the result.
    """

    handed: tuple[tuple[int, ...], ...]
    graphdef: GraphDef[Any] | None = None
    origins: tuple[int, ...] = ()
    returns_objects: bool = False

    def values(self, groups: Groups) -> Iterator[tuple[int, Any]]:
        """Iterate over the values that came out, with the numbers of their cells."""
        for numbers, values in zip(self.handed, groups, strict=True):
            yield from zip(numbers, values, strict=True)


def publish(
    roots: tuple[Any, ...], layout: Layout, outcome: Outcome, groups: Groups, result: Any
) -> Any:
    """Give the objects of the caller the values, and the structure, that they have after a call.

    Returns:
        The result, with objects in the places of the stands.
    """
    if outcome.graphdef is None:
        for number, value in outcome.values(groups):
            cell = layout.cells[number]
            if isinstance(cell, Variable):
                cell.set_raw_value(value)
            else:
                cell.set(value)
        return put_objects(result, roots) if outcome.returns_objects else result
    settled = Settler(outcome, dict(outcome.values(groups)), walk(roots)[1].members)
    after = [settled.settle(child) for child in outcome.graphdef.root.children]
    return put_objects(result, after)


_NO_PLACE: Any = object()


class Settler:
    """Changes objects until they have a given structure."""

    def __init__(self, outcome: Outcome, values: dict[int, Any], before: list[Any]) -> None:
        self.outcome = outcome
        self.values = values
        self.before = before
        self.members: dict[int, Any] = {}
        self.cells = 0

    def settle(self, definition: Any, present: Any = None) -> Any:
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
        return definition.value

    def _variable(self, definition: VariableDef) -> Any:
        number, self.cells = self.cells, self.cells + 1
        origin = self.outcome.origins[definition.index]
        metadata = dict(definition.metadata.values)
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
        origin = self.outcome.origins[definition.index]
        obj = blank(definition.type) if origin < 0 else self.before[origin]
        self.members[definition.index] = obj
        if origin < 0:
            obj._fill({})
            present: dict[Any, Any] = {}
        else:
            if obj._level is not current_trace():
                raise errors.TraceContextError(
                    "A function changes", levels.name_of(obj), type(obj).__name__
                )
            present = dict(obj._children())
        fresh = definition.statics.fresh()
        wanted = {
            key: self.settle(child, present.get(key, _NO_PLACE))
            for key, child in zip(definition.keys, definition.children, strict=True)
        }
        for key, value in fresh.items():
            wanted[key] = present[key] if _same(present.get(key, _NO_PLACE), value) else value
        for key in [key for key in present if key not in wanted][::-1]:
            obj._drop_child(key)
        for key in sorted(wanted, key=lambda key: (isinstance(key, str), key)):
            obj._put_child(key, wanted[key])
        put(obj, "_statuses", definition.known.copy())
        note_change(obj)
        return obj


def _same(present: Any, value: Any) -> bool:
    return present is not _NO_PLACE and static_key(present) == static_key(value)


def _refilled(present: Any, made: Any) -> Any:
    """Return a list or dictionary as the one that stands in its place, filled anew."""
    if type(present) is not type(made):
        return made
    present.clear()
    present.extend(made) if isinstance(made, list) else present.update(made)
    return present
