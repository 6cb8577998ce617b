"""Object graphs: a model as a structure and a list of values.

A model is a graph: objects refer to objects and variables, two paths may lead to the same one, and
a path may lead back. A :class:`Walk` flattens it once, in the order of sorted attribute names, and
finds

* the structure: everything but the values. It is a tree of definitions, one for each object,
  container, variable, array and static attribute; the second time the walk meets an object or
  variable, it leaves a reference to the first;
* the *cells*: what holds the values, in the order of the walk. A cell is a variable, or a
  :class:`Slot`, the place of an array that is an attribute or an item itself.

``build.py`` is the inverse; ``graphdef.py`` interns structures.
"""

from collections.abc import MutableMapping
from typing import Any

from linnet.base.errors import path_text
from linnet.base.static_keys import is_mutable, mutable_in
from linnet.base.typing import Path
from linnet.nnx.graph.changing import Attributes, changing_in
from linnet.nnx.graph.definitions import (
    ARRAY,
    ContainerDef,
    ObjectDef,
    PytreeDef,
    Reference,
    StaticDef,
    VariableDef,
)
from linnet.nnx.objects.attributes import holds_data, is_tree, nature
from linnet.nnx.objects.nodes import Node, child_of, put_child, pytree_children, sort_key
from linnet.nnx.objects.pytree import Pytree
from linnet.nnx.objects.statics import Statics
from linnet.nnx.objects.variable import Variable
from linnet.nnx.objects.versions import note_change

# --- cells -----------------------------------------------------------------------------------


class Slot:
    """The place of an array that stands in an object or a container, not in a variable.

    Attributes:
        holder: the nearest object, list or dictionary that can be changed in place.
        keys: the way from there; more than one key leads through tuples and other pytrees.
    """

    __slots__ = ("holder", "keys")

    def __init__(self, holder: Any, keys: Path) -> None:
        self.holder = holder
        self.keys = keys

    @property
    def _raw_value(self) -> Any:
        """The array; a variable has its value under the same name."""
        value = self.holder
        for key in self.keys:
            value = child_of(value, key)
        return value

    _leaf = _raw_value

    def set_raw_value(self, array: Any) -> None:
        """Put another array in its place."""
        put_child(self.holder, self.keys, array)
        if len(self.keys) > 1 and isinstance(self.holder, Node):
            made = child_of(self.holder, self.keys[0])
            if next(changing_in(made), None) is not None:
                # what was made anew may be changed in place, so it is to be looked at
                note_change(self.holder)


# --- flatten ---------------------------------------------------------------------------------


class Walk:
    """One walk over an object graph.

    Attributes:
        cells: the variables and slots met, in order.
        paths: the path of each.
        members: the objects and variables met, in order; a definition's index counts them.
        watched: the containers met in attributes, which change without telling.
        attributes: the attributes of objects that may change past ``__setattr__``.
    """

    __slots__ = (
        *("attributes", "cells", "entered", "has_references", "index", "members", "paths"),
        "watched",
    )

    def __init__(self) -> None:
        self.cells: list[Any] = []
        self.paths: list[Path] = []
        self.members: list[Any] = []
        self.watched: list[Any] = []
        self.attributes: list[Attributes] = []
        self.index: dict[int, int] = {}
        self.has_references = False
        self.entered: set[int] = set()  # lists and dictionaries on the path

    def visit(self, value: Any, path: Path, holder: Any, way: Path) -> Any:
        """Return the definition of a value, and note its cells.

        Args:
            value: what was met.
            path: where, from the root.
            holder: the nearest thing on the path that can be changed in place.
            way: from there.
        """
        if isinstance(value, Variable):
            return self._variable(value, path)
        if isinstance(value, Pytree):
            return self._object(value, path)
        kind = nature(value)
        if kind is None:
            return self._container(value, path, holder, way)
        if kind or hasattr(value, "shape"):
            if kind and is_tree(value):
                return self._taken_apart(value, path, holder, way)
            return self._slot(path, *((holder, way) if holder is not None else ([value], (0,))))
        if not path and holder is None and value is not None:  # a number alone is its own state
            return self._slot(path, [value], (0,))
        return self._static(value)

    def leaves(self) -> list[Any]:
        """Return what a state holds of each cell: the variable itself, or the array."""
        return [cell._leaf for cell in self.cells]

    def found(self) -> tuple[list[Any], ...]:
        """Return what was met so far: cells, members, watched containers and attributes."""
        return self.cells, self.members, self.watched, self.attributes

    def _variable(self, variable: Variable[Any], path: Path) -> Any:
        known = self.index.get(id(variable))
        if known is not None:
            self.has_references = True
            return Reference("variable", known)
        index = self._enter(variable)
        self.cells.append(variable)
        self.paths.append(path)
        metadata = variable._metadata
        return VariableDef(index, type(variable), self._statics(metadata) if metadata else _EMPTY)

    def _statics(self, values: dict[str, Any]) -> Statics:
        made = Statics(values)
        for name in made.mutable:
            self.watched.extend(mutable_in(values[name]))
        return made

    def _static(self, value: Any) -> Any:
        if is_mutable(value):
            self.watched.extend(mutable_in(value))
        return StaticDef.of(value)

    def _has_slots(self, obj: Pytree, first: int) -> bool:
        """Tell whether arrays of an object itself are among the cells from a number on."""
        return any(type(cell) is Slot and cell.holder is obj for cell in self.cells[first:])

    def _enter(self, member: Any) -> int:
        index = len(self.members)
        self.index[id(member)] = index
        self.members.append(member)
        return index

    def _object(self, obj: Pytree, path: Path) -> Any:
        known = self.index.get(id(obj))
        if known is not None:
            self.has_references = True
            return Reference("object", known)
        index = self._enter(obj)
        keys: list[Any] = []
        children: list[Any] = []
        statics: dict[str, Any] = {}
        arrays: list[Any] = []
        # that a child is data is said by its being one, unless it is a container
        explicit: list[tuple[Any, bool]] = []
        statuses = obj._statuses
        for key, value in obj._children():
            status = statuses.get(key)
            if status is False or (status and nature(value) is None):
                explicit.append((key, status))
            if holds_data(value) if status is None else status:
                keys.append(key)
                if status and nature(value) is False and value is not None:
                    # data only because it was said to be: a number
                    children.append(self._slot((*path, key), obj, (key,)))
                    arrays.append(key)
                elif isinstance(value, Pytree):
                    # past `visit`: a frame less for each level of a deep model
                    children.append(self._object(value, (*path, key)))
                else:
                    first = len(self.cells)
                    child = self.visit(value, (*path, key), obj, (key,))
                    children.append(child)
                    if type(child) is not VariableDef and self._has_slots(obj, first):
                        arrays.append(key)
            else:
                statics[key] = value
        if obj._is_open or not obj._keeps_to_setattr:
            self.attributes.append(Attributes(obj, arrays))
        return ObjectDef(
            index,
            type(obj),
            tuple(keys),
            tuple(children),
            self._statics(statics),
            tuple(explicit),
        )

    def _slot(self, path: Path, holder: Any, way: Path) -> Any:
        self.cells.append(Slot(holder, way))
        self.paths.append(path)
        return ARRAY

    def _container(self, value: Any, path: Path, holder: Any, way: Path) -> Any:
        cls = type(value)
        if not holds_data(value):
            return self._static(value)
        if cls is list or cls is dict:
            if holder is not None:
                self.watched.append(value)
            holder, way = value, ()
            if id(value) in self.entered:
                raise ValueError(_holds_itself(value, path))
            self.entered.add(id(value))
        if cls is list or cls is tuple:
            keys: tuple[Any, ...] = tuple(range(len(value)))
            items = value
        elif cls is dict:
            keys = tuple(sorted(value, key=sort_key))
            items = [value[key] for key in keys]
        else:
            return self._taken_apart(value, path, holder, way)
        if holder is None:
            holder, way = list(value), ()
        children = [
            self.visit(item, (*path, key), holder, (*way, key))
            for key, item in zip(keys, items, strict=True)
        ]
        self.entered.discard(id(value))
        return ContainerDef(cls, keys, tuple(children))

    def _taken_apart(self, value: Any, path: Path, holder: Any, way: Path) -> Any:
        treedef, children = pytree_children(value)
        if holder is None:
            holder, way = dict(children), ()
        else:
            self.watched.extend(changing_in(value))
            if isinstance(value, MutableMapping) and all(key in value for key, _ in children):
                holder, way = value, ()  # changed in place, as a dictionary is
        defined = [self.visit(child, (*path, key), holder, (*way, key)) for key, child in children]
        return PytreeDef(treedef, tuple(key for key, _ in children), tuple(defined))


def _holds_itself(value: Any, path: Path) -> str:
    return (
        f"The {type(value).__name__} at {path_text(path)} is one that it stands in: lists and "
        "dictionaries have no end then. Let an object refer back, such as an nnx.List, or take the "
        "reference out."
    )


_EMPTY = Statics({})
