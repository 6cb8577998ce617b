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

import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any

from linnet.base.remembered import Remembered
from linnet.nnx.graph.changing import Snapshot
from linnet.nnx.graph.graphdef import GraphDef, walk, walk_each
from linnet.nnx.graph.states import from_flat_state
from linnet.nnx.objects.pytree import Pytree, put
from linnet.nnx.objects.variable import Variable
from linnet.nnx.objects.versions import clock


class _Part:
    """What a layout has of one object graph, and whether that is still true.

    The root holds its layout, so what the layout has must not hold the root.
    """

    __slots__ = ("__weakref__", "_members", "_versions", "cells", "snapshot")

    def __init__(self, found: tuple[list[Any], ...], roots: set[int]) -> None:
        self.cells, members, watched, attributes = found
        for member in members:
            if not member._version:
                put(member, "_version", 1)
        self._members = [member for member in members if id(member) not in roots]
        self._versions = [member._version for member in self._members]
        # of what changes without telling
        self.snapshot = Snapshot(watched, attributes) if watched or attributes else None

    def has_versions(self) -> bool:
        """Tell whether no member has told of a change."""
        return self._versions == [member._version for member in self._members]


class Layout:
    """The flattened form of an object graph, or of several together.

    Attributes:
        graphdef: the structure.
        cells: what holds the values, in the order of the walk.
        paths: where each cell stands.
        joint: layouts of this object together with others, by the identities of all.
        notes: what others have worked out about this layout, under keys of their own.
        shares: for each layout of this object together with others, what it has of this object.
    """

    __slots__ = (
        *("__weakref__", "_roots", "_seen", "_tree"),
        *("graphdef", "joint", "notes", "only_variables", "paths", "shares"),
    )

    graphdef: GraphDef[Any]
    cells: Any

    def is_current(self) -> bool:
        """Tell whether nothing structural has changed since the walk."""
        raise NotImplementedError

    def values(self) -> list[Any]:
        """Return the values of the cells, as they are stored."""
        raise NotImplementedError

    def picker(self, numbers: tuple[int, ...]) -> Callable[[], Sequence[Any]]:
        """Return what returns some of the cells, and may be kept in the notes."""
        raise NotImplementedError

    def _finish(self, done: Any, roots: tuple[Any, ...]) -> None:
        self.paths = done.paths
        self.only_variables = all(isinstance(cell, Variable) for cell in done.cells)
        self._roots = [(weakref.ref(root), root._version) for root in roots]
        self._tree: Any = None
        # one is forgotten with the first of the others that dies, lest it keep their variables
        # alive; they know nothing of it, lest what a short-lived model was passed with keep it
        self.joint: Remembered[tuple[int, ...], Layout] = Remembered()
        self.notes: dict[Any, Any] = {}
        self.shares: Any = weakref.WeakKeyDictionary()

    def _has_versions(self, parts: list[_Part]) -> bool:
        for ref, version in self._roots:
            root = ref()
            if root is not None and root._version != version:
                return False
        for part in parts:
            if not part.has_versions():
                return False
        self._seen = clock.now
        return True

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


class _OneLayout(Layout):
    """The flattened form of one object graph."""

    __slots__ = ("_part", "cells")

    def __init__(self, node: Any, roots: tuple[Any, ...] = ()) -> None:
        self._seen = clock.now
        self.graphdef, done = walk(node)
        self._part = _Part(done.found(), set(map(id, roots)))
        self.cells = done.cells
        self._finish(done, roots)

    def is_current(self) -> bool:
        if self._seen != clock.now and not self._has_versions([self._part]):
            return False
        snapshot = self._part.snapshot
        return snapshot is None or snapshot.is_true()

    def values(self) -> list[Any]:
        return [cell._raw_value for cell in self.cells]

    def picker(self, numbers: tuple[int, ...]) -> Callable[[], Sequence[Any]]:
        picked = [self.cells[number] for number in numbers]
        return lambda: picked


class _JointLayout(Layout):
    """The flattened form of several object graphs together: what they share is met once.

    What it has of each is held by that one, so that none is kept alive by another.
    """

    __slots__ = ("_refs",)

    def __init__(self, roots: tuple[Any, ...]) -> None:
        self._seen = clock.now
        self.graphdef, done, found = walk_each(roots)
        self._finish(done, roots)
        held = set(map(id, roots))
        self._refs: list[weakref.ref[_Part]] = []
        for root, each in zip(roots, found, strict=True):
            part, layout = _Part(each, held), layout_of(root)
            self._refs.append(weakref.ref(part))
            layout.shares.setdefault(self, []).append(part)

    def _parts(self) -> list[Any]:
        return [ref() for ref in self._refs]

    @property
    def cells(self) -> list[Any]:
        return _cells_of(self._refs)

    def is_current(self) -> bool:
        for ref in self._refs:
            part = ref()
            if part is None or not (part.snapshot is None or part.snapshot.is_true()):
                return False
        return self._seen == clock.now or self._has_versions(self._parts())

    def values(self) -> list[Any]:
        return [cell._raw_value for part in self._parts() for cell in part.cells]

    def picker(self, numbers: tuple[int, ...]) -> Callable[[], Sequence[Any]]:
        first = 0
        for ref in self._refs:
            end = first + len(_cells_of([ref]))
            if first <= min(numbers) and max(numbers) < end:
                return partial(_pick, [ref], _getter([number - first for number in numbers]))
            first = end
        return partial(_pick, self._refs, _getter(numbers))


def _cells_of(refs: list[Any]) -> list[Any]:
    if len(refs) == 1:
        return refs[0]().cells
    return [*chain.from_iterable([ref().cells for ref in refs])]


def _pick(refs: list[Any], getter: Any) -> Sequence[Any]:
    return getter(_cells_of(refs))


def _getter(numbers: Sequence[int]) -> Any:
    if [*numbers] == [*range(numbers[0], numbers[-1] + 1)]:
        return itemgetter(slice(numbers[0], numbers[-1] + 1))
    return itemgetter(*numbers)


# what calls share of an object must not be lost where two threads lay it out at once
_making = threading.RLock()


def layout_of(node: Any) -> Layout:
    """Return the layout of an object graph, from memory if it is still true."""
    if not isinstance(node, Pytree):
        return _OneLayout(node)
    known: Layout | None = node._layout
    if known is not None and known.is_current():
        return known
    with _making:
        known = node._layout
        made = _OneLayout(node, (node,))
        if known is not None:
            made.shares = known.shares  # of calls that are still running, in any thread
        put(node, "_layout", made)
        return made


_EMPTY = _OneLayout(())


def joint_layout(nodes: tuple[Any, ...]) -> Layout:
    """Return the layout of several object graphs together: what they share is met once.

    The layout is that of the tuple of them, so the first key of every path is a number.
    """
    if not nodes:
        return _EMPTY
    if not all(isinstance(node, Pytree) for node in nodes):
        return _OneLayout(nodes)
    joint = layout_of(nodes[0]).joint
    key = tuple(map(id, nodes))
    known = joint.get(key)
    if known is not None and known.is_current():
        return known
    made = _JointLayout(nodes) if len(nodes) > 1 else _OneLayout(nodes, nodes)
    joint.put(key, made, nodes[1:])
    return made
