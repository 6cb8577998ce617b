"""How NNX's objects cross a transformation: the store of the engine, over objects in arguments.

A transformed function is called with arguments in which objects and variables stand, alone or in
lists, dictionaries and other pytrees. The snapshot takes the values out of the graphs below them,
as one graph, so that what two of them share crosses once. Inside, the graph is built again of the
values that JAX hands in.

When the function has run, the graph is walked again, with the objects in the result as further
roots. Mostly its structure is what it was, and only some variables have other values: these values
come out, with their numbers as the description. Otherwise the description is the whole structure
after the call, and for each object in it which one before it was; publishing then changes the
objects of the caller until they have that structure. Objects that the function made are made again
outside; those it was given and returns are the caller's own.
"""

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax

from linnet.base import errors
from linnet.base.jaxcompat import current_trace, is_mapped
from linnet.base.typing import Path
from linnet.lift.arguments import reveal_static
from linnet.lift.engine import Changes, Groups, Plan, Snapshot
from linnet.nnx.graph.build import new_variable
from linnet.nnx.graph.definitions import VariableDef, cells_of
from linnet.nnx.graph.graphdef import GraphDef, rebuild, walk
from linnet.nnx.graph.layout import Layout, joint_layout
from linnet.nnx.objects import sharding, trace_level
from linnet.nnx.objects.attributes import nature
from linnet.nnx.objects.nodes import Node, children_of, is_node, key_of
from linnet.nnx.objects.sown import running, running_captures
from linnet.nnx.objects.variable import Variable
from linnet.nnx.random.streams import RngState
from linnet.nnx.transforms.arguments import (
    RESULT,
    Home,
    home_of,
    is_for_result,
    is_stand,
    put_objects,
    take_objects,
)
from linnet.nnx.transforms.captured import NOTHING, Captured, CapturedInside, Places
from linnet.nnx.transforms.publish import Outcome, publish


class ObjectStore:
    """The store of one call of a transformed function."""

    def __init__(self) -> None:
        self.roots: tuple[Any, ...] = ()
        self.layout: Any = None
        self.structure: Any = None
        self.captures: Places | None = None

    def snapshot(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Snapshot:
        """Take the objects out of the arguments, and the values out of the objects."""
        arguments, roots, paths = take_objects((args, kwargs))
        self.roots = tuple(roots)
        self.layout = joint_layout(self.roots)
        homes = tuple(map(home_of, paths))
        places = places_of(self.layout, self.roots, homes, plan)
        groups: list[list[Any]] = [[] for _ in plan.groups]
        for place, value in zip(places, self.layout.values(), strict=True):
            groups[place].append(value)
        self.structure = ObjectStructure(self.layout.graphdef, homes, places)
        if self._captures_outside():
            self.captures = Places(walk(self.roots)[1].members)
            groups[-1] = self.captures.values
            self.structure = dataclasses.replace(self.structure, captured=self.captures.structure)
        return Snapshot(tuple(groups), arguments, self.structure)

    def publish(self, changes: Changes, result: Any) -> Any:
        """Set what changed, and put the objects back into the result."""
        outcome: Any = changes.description
        groups = changes.groups
        if outcome.captured:
            groups = (*groups[:-1], [])
            if self.captures is not None:
                self.captures.publish(outcome.captured, changes.groups[-1])
        return publish(self.roots, self.layout, outcome, groups, result)

    def _captures_outside(self) -> bool:
        return bool(running_captures.get())


def places_of(
    layout: Layout, roots: tuple[Any, ...], homes: tuple[Home, ...], plan: Plan
) -> tuple[int, ...]:
    """Return the group of each cell.

    Raises:
        UnplacedVariableError: no group takes a cell.
        ConflictingPlacementError: a variable is reached at places that two groups take.
    """
    known = layout.notes.get((plan, homes))
    if known is None:
        leaves = layout.leaves()
        known = tuple(
            plan.group_of((homes[path[0]], *path[1:]), leaf)
            for path, leaf in zip(layout.paths, leaves, strict=True)
        )
        if layout.graphdef.has_references:
            _check_placements(roots, homes, plan)
        layout.notes[plan, homes] = known
    return known


def _check_placements(roots: tuple[Any, ...], homes: tuple[Home, ...], plan: Plan) -> None:
    found: dict[int, tuple[Path, Any]] = {}
    for home, root in zip(homes, roots, strict=True):
        for path, variable in _every_path((home,), root, set()):
            placement = plan.groups[plan.group_of(path, variable)].placement
            first = found.setdefault(id(variable), (path, placement))
            if first[1] != placement:
                told = [(errors.path_text(p), shown) for p, shown in (first, (path, placement))]
                raise errors.ConflictingPlacementError(plan.transform, told)


def _every_path(path: Path, node: Any, above: set[int]) -> Iterator[tuple[Path, Any]]:
    """Iterate over variables by every path that leads to them, not going round in circles."""
    if isinstance(node, Variable):
        yield path, node
    elif id(node) not in above and (isinstance(node, Node) or nature(node) is None):
        for key, child in children_of(node):
            yield from _every_path((*path, key), child, above | {id(node)})


@dataclasses.dataclass(frozen=True)
class ObjectStructure:
    """What is static about a snapshot: the structure of the roots, as one graph.

    Attributes:
        graphdef: that structure, of the tuple of the roots.
        homes: where each root stands.
        places: the group of each cell.
        captured: the captures that run outside.
    """

    graphdef: GraphDef[Any]
    homes: tuple[Home, ...]
    places: tuple[int, ...]
    captured: Captured = NOTHING

    def in_cell_order(self, groups: Groups) -> list[Any]:
        """Return the values of the groups in the order of the cells."""
        sources = [iter(group) for group in groups]
        return [next(sources[place]) for place in self.places]

    def of_variables(self, by_cell: Sequence[Any]) -> dict[int, Any]:
        """Return what is given for each cell by the index of the variable; arrays are left out."""
        cells = zip(cells_of(self.graphdef.root), by_cell, strict=True)
        return {each.index: given for (_, each), given in cells if isinstance(each, VariableDef)}

    def enter(self, plan: Plan, groups: Groups, arguments: Any) -> "ObjectInside":
        """Build the objects of the values, and put them into the arguments."""
        values = self.in_cell_order(groups)
        roots, builder = rebuild(self.graphdef, values, new_variable)
        args, kwargs = put_objects(arguments, roots)
        if any(group.loses_axis for group in plan.groups):
            for index, place in self.of_variables(self.places).items():
                group = plan.groups[place]
                if group.loses_axis:
                    variable = builder.members[index]
                    sharding.remove_axis(variable, group.placement, dict(group.axis_metadata))
        captures = self.captured.enter(groups[-1] if self.captured.asked else (), builder.members)
        return ObjectInside(self, plan, roots, builder.members, values, args, kwargs, captures)


@dataclasses.dataclass
class ObjectInside:
    """The objects inside a transformation."""

    structure: ObjectStructure
    plan: Plan
    roots: tuple[Any, ...]
    members: dict[int, Any]
    values: list[Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    captures: CapturedInside

    def call(self, function: Callable[..., Any]) -> Any:
        """Call the function on the arguments, while what it is to be captured is."""
        args, kwargs = reveal_static(self.args, self.kwargs)
        with running(*self.captures.captures):
            return function(*args, **kwargs)

    def leave(self, result: Any) -> tuple[Changes, Any]:
        """Walk the graph again; return what is other than it was."""
        before = {id(member): index for index, member in self.members.items()}
        numbers = {id(root): number for number, root in reversed([*enumerate(self.roots)])}
        freed, more, paths = take_objects(result, len(self.roots), numbers)
        homes = (*self.structure.homes, *(Home((RESULT, *path)) for path in paths))
        all_roots = (*self.roots, *more)
        graphdef, seen = walk(all_roots)
        places = self._places_after(seen, before, homes)
        if any(is_for_result(group.picks) for group in self.plan.groups):
            self._check_result(result, seen, places, before, homes)
        if self._gain_axes(seen, places):
            graphdef, seen = walk(all_roots)
        origins = tuple([before.get(id(member), -1) for member in seen.members])
        same = graphdef == self.structure.graphdef and origins == tuple(range(len(origins)))
        values_before = self.structure.of_variables(self.values)
        entered = {id(self.members[index]): value for index, value in values_before.items()}
        handed: list[list[int]] = [[] for _ in self.plan.groups]
        values: list[list[Any]] = [[] for _ in self.plan.groups]
        for number, (cell, place) in enumerate(zip(seen.cells, places, strict=True)):
            value = cell._raw_value
            old = entered.get(id(cell), _ABSENT)
            if same and not isinstance(cell, Variable):
                old = self.values[number]
            group = self.plan.groups[place]
            if value is old and not group.whole:
                continue
            if not group.leaves:
                self._warn_of_loss(seen.paths[number], homes, cell)
                continue
            if value is not old and group.placement is None:
                self._check_same_everywhere(seen.paths[number], homes, cell, value)
            handed[place].append(number)
            values[place].append(value)
        captured, values_captured = self.captures.leave()
        if captured:
            values[-1] = values_captured
        outcome = Outcome(
            tuple(map(tuple, handed)),
            None if same else graphdef,
            () if same else origins,
            any(map(is_stand, jax.tree.leaves(freed, is_leaf=is_stand))),
            captured,
        )
        for cell in seen.cells:
            if isinstance(cell, Variable):
                trace_level.forget_copy(cell)
        return Changes(tuple(values), outcome), freed

    def _check_result(
        self,
        result: Any,
        seen: Any,
        places: list[int],
        before: dict[int, int],
        homes: tuple[Home, ...],
    ) -> None:
        """Check that variables of the caller come out of a loop or map as they went in.

        Raises:
            ConflictingPlacementError: one is to lie along another axis in the result.
            CapturedResultError: one is not of the arguments.
        """
        numbers = {id(cell): number for number, cell in enumerate(seen.cells)}
        for way, leaf in jax.tree_util.tree_leaves_with_path(result, is_leaf=is_node):
            home = Home((RESULT, *map(key_of, way)))
            for path, variable in _every_path((home,), leaf, set()) if is_node(leaf) else ():
                number = numbers[id(variable)]
                asked, given = (
                    self.plan.groups[group].placement
                    for group in (self.plan.group_of(path, variable), places[number])
                )
                if id(variable) in before and asked != given:
                    first = seen.paths[number]
                    at = errors.path_text((homes[first[0]], *first[1:]))
                    told = [(at, given), (errors.path_text(path), asked)]
                    raise errors.ConflictingPlacementError(self.plan.transform, told)
                if id(variable) not in before and variable._level is not current_trace():
                    name = errors.path_text(path)
                    raise errors.CapturedResultError(self.plan.transform, name, type(variable))

    def _places_after(
        self, seen: Any, before: dict[int, int], homes: tuple[Home, ...]
    ) -> list[int]:
        """Return the group of each cell after the call; what came in stays in its group."""
        known = self.structure.of_variables(self.structure.places)
        places: list[int] = []
        for path, cell in zip(seen.paths, seen.cells, strict=True):
            place = known.get(before.get(id(cell), -1))
            if place is None:
                place = self.plan.group_of((homes[path[0]], *path[1:]), cell._leaf)
            places.append(place)
        return places

    def _gain_axes(self, seen: Any, places: list[int]) -> bool:
        """Have variables say in their metadata that they get their axis back; tell if any do."""
        gaining = [
            (cell, group)
            for group, cell in zip(
                map(self.plan.groups.__getitem__, places), seen.cells, strict=True
            )
            if group.loses_axis and isinstance(cell, Variable)
        ]
        for variable, group in gaining:
            sharding.add_axis(variable, group.placement, dict(group.axis_metadata))
        return bool(gaining)

    def _warn_of_loss(self, path: Path, homes: tuple[Home, ...], cell: Any) -> None:
        """Warn of an update that is not handed out; streams are read so on purpose."""
        if not isinstance(cell, RngState):
            name = errors.path_text((homes[path[0]], *path[1:]))
            warnings.warn(
                errors.UncarriedUpdateWarning(self.plan.transform, name, type(cell).__name__),
                stacklevel=2,
            )

    def _check_same_everywhere(
        self, path: Path, homes: tuple[Home, ...], cell: Any, value: Any
    ) -> None:
        """Check that what is not mapped was not set to something that is.

        Raises:
            MappedUpdateError: it was.
        """
        if any(is_mapped(leaf) for leaf in jax.tree.leaves(value)):
            name = errors.path_text((homes[path[0]], *path[1:]))
            raise errors.MappedUpdateError(self.plan.transform, name, type(cell).__name__)


_ABSENT: Any = object()
