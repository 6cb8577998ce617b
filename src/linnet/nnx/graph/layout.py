"""Layouts: the flattened form of a model, remembered for as long as it is true.

Walking an object graph costs time in the size of the model, and ``nnx.jit`` and its kin need the
result on every call. So the result of a walk is kept on the object it started from, and used again
until something structural has changed:

* every object and variable counts its structural changes, and one clock counts all of them
  (``objects/versions.py``). While the clock stands still nothing has to be looked at; when it has
  moved, the versions are compared, and the layout is made anew if one differs;
* lists and dictionaries of Python do not tell when they are changed. The few that a model holds are
  compared with what they held (``changing.py``).

Values are not part of a layout: setting a variable, or an array attribute to another array, changes
nothing in it.
"""

import weakref
from typing import Any

from linnet.nnx.graph.changing import Snapshot
from linnet.nnx.graph.graphdef import walk
from linnet.nnx.graph.states import from_flat_state
from linnet.nnx.objects.pytree import Pytree, put
from linnet.nnx.objects.variable import Variable
from linnet.nnx.objects.versions import clock


class Layout:
    """The flattened form of one object graph.

    Attributes:
        graphdef: its structure.
        cells: what holds its values, in the order of the walk.
        paths: where each cell stands.
        joint: layouts of this object together with others.
        notes: what others have worked out about this layout, under keys of their own.
    """

    __slots__ = (
        "_parts",
        "_roots",
        "_seen",
        "_snapshot",
        "_tree",
        "_versions",
        "cells",
        "graphdef",
        "joint",
        "notes",
        "only_variables",
        "paths",
    )

    def __init__(self, node: Any, roots: tuple[Any, ...] = ()) -> None:
        self._seen = clock.now
        self.graphdef, done = walk(node)
        self.cells = done.cells
        self.paths = done.paths
        self.only_variables = all(isinstance(cell, Variable) for cell in done.cells)
        changing = done.watched or done.attributes
        self._snapshot = Snapshot(done.watched, done.attributes) if changing else None
        for member in done.members:
            if not member._version:
                put(member, "_version", 1)
        # the roots hold their layouts, so a layout must not hold its roots
        self._roots = [(weakref.ref(root), root._version) for root in roots]
        held = set(map(id, roots))
        self._parts = [member for member in done.members if id(member) not in held]
        self._versions = [part._version for part in self._parts]
        self._tree: Any = None
        self.joint = _Joint()
        self.notes: dict[Any, Any] = {}

    def is_current(self) -> bool:
        """Tell whether nothing structural has changed since the walk."""
        if self._seen != clock.now:
            for ref, version in self._roots:
                root = ref()
                if root is not None and root._version != version:
                    return False
            if self._versions != [part._version for part in self._parts]:
                return False
            self._seen = clock.now
        return self._snapshot is None or self._snapshot.is_true()

    def values(self) -> list[Any]:
        """Return the values of the cells, as they are stored."""
        return [cell._raw_value for cell in self.cells]

    def leaves(self) -> list[Any]:
        """Return what a state holds of each cell: the variable itself, or the array."""
        if self.only_variables:
            return self.cells
        return [cell._leaf for cell in self.cells]

    def tree(self) -> Any:
        """Return the paths as nested dictionaries, with the number of the cell as leaves."""
        if self._tree is None:
            numbered = zip(self.paths, range(len(self.paths)), strict=True)
            self._tree = from_flat_state(numbered, cls=dict)
        return self._tree


class _Joint:
    """The layouts of an object together with others, by the identities of all.

    One is forgotten with the first of the others that dies, lest it keep their variables alive. The
    others know nothing of it: a short-lived model is not kept alive by what it was passed with.
    """

    __slots__ = ("__weakref__", "_layouts", "_refs")

    def __init__(self) -> None:
        self._layouts: dict[tuple[int, ...], Layout] = {}
        self._refs: dict[tuple[int, ...], list[weakref.ref[Any]]] = {}

    def get(self, key: tuple[int, ...]) -> "Layout | None":
        """Return the layout of these objects, if it is known."""
        return self._layouts.get(key)

    def put(self, key: tuple[int, ...], layout: Layout, others: tuple[Any, ...]) -> None:
        """Remember the layout of these objects."""
        if key not in self._layouts:
            mine = weakref.ref(self)

            def forget(_: Any) -> None:
                joint = mine()
                if joint is not None:
                    joint._layouts.pop(key, None)
                    joint._refs.pop(key, None)

            self._refs[key] = [weakref.ref(other, forget) for other in others]
        self._layouts[key] = layout


def layout_of(node: Any) -> Layout:
    """Return the layout of an object graph, from memory if it is still true."""
    if not isinstance(node, Pytree):
        return Layout(node)
    known: Layout | None = node._layout
    if known is not None and known.is_current():
        return known
    made = Layout(node, (node,))
    put(node, "_layout", made)
    return made


_EMPTY = Layout(())


def joint_layout(nodes: tuple[Any, ...]) -> Layout:
    """Return the layout of several object graphs together: what they share is met once.

    The layout is that of the tuple of them, so the first key of every path is a number.
    """
    if not nodes:
        return _EMPTY
    if not all(isinstance(node, Pytree) for node in nodes):
        return Layout(nodes)
    joint = layout_of(nodes[0]).joint
    key = tuple(map(id, nodes))
    known = joint.get(key)
    if known is not None and known.is_current():
        return known
    made = Layout(nodes, nodes)
    joint.put(key, made, nodes[1:])
    return made
