"""How what is captured crosses a transformation.

The modules that a function under ``nnx.capture`` passes to a transformed one are others inside of
it, so a capture that runs outside has one of its own inside, for as long as the function runs. What
that has kept comes out with the changes, as the last group of the plan, and is put where the one
outside keeps the values of the same module. What was there before goes in the same way: to a second
value that is sown under one name, and to perturbations, at which a gradient is taken.

Where instances are mapped, each has values of its own, whatever the axis of the module.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from linnet.lift.engine import Group, Plan
from linnet.nnx.objects.sown import Capture, running_captures
from linnet.nnx.objects.variable import with_value
from linnet.state.filters import Nothing

Kept = tuple[int, int, str, Any]
"""A value by the number of the capture, that of the module, its name and its kind."""


def plan(groups: Iterable[Group], transform: str, placement: Any = None) -> Plan:
    """Return a plan whose last group is for what is captured, which no filter picks."""
    return Plan((*groups, Group(Nothing(), placement)), transform)


@dataclasses.dataclass(frozen=True)
class Captured:
    """What is static about the running captures of the modules in a graph.

    Attributes:
        asked: of each capture the types and the type of outputs.
        modules: of each capture the modules, by their numbers in the graph.
        kept: the values that go in.
    """

    asked: tuple[tuple[Any, Any], ...] = ()
    modules: tuple[tuple[int, ...], ...] = ()
    kept: tuple[Kept, ...] = ()

    def enter(self, values: Sequence[Any], members: Any) -> "CapturedInside":
        """Make captures of the modules inside, given those by their numbers."""
        captures = [Capture(*asked) for asked in self.asked]
        for capture, numbers in zip(captures, self.modules, strict=True):
            for number in numbers:
                capture.add(members[number], {})
        entered: set[int] = set()
        for (number, module, name, kind), value in zip(self.kept, values, strict=True):
            variable = kind.from_metadata(value, {})
            captures[number].kept(members[module])[name] = variable
            entered.add(id(variable))
        return CapturedInside(self, captures, entered)


NOTHING = Captured()


@dataclasses.dataclass
class CapturedInside:
    """The captures that run inside a transformation."""

    structure: Captured
    captures: list[Capture]
    entered: set[int]

    def leave(self) -> tuple[tuple[Kept, ...], list[Any]]:
        """Return what was captured, and the values of it."""
        kept: list[Kept] = []
        values: list[Any] = []
        for number, capture in enumerate(self.captures):
            places = zip(self.structure.modules[number], capture.places.values(), strict=True)
            for module, (_, place) in places:
                for name, variable in place.items():
                    if id(variable) not in self.entered:
                        kept.append((number, module, name, type(variable)))
                        values.append(variable._raw_value)
        return tuple(kept), values


class Places:
    """Where the running captures keep what the modules of a graph sow."""

    def __init__(self, members: Sequence[Any]) -> None:
        self._members = members
        running = {
            capture: tuple(n for n, m in enumerate(members) if capture.place(m) is not None)
            for capture in running_captures.get()
        }
        self._captures = [capture for capture, numbers in running.items() if numbers]
        modules = tuple(map(running.__getitem__, self._captures))
        kept = [
            ((number, module, name, type(variable)), variable._raw_value)
            for number, capture in enumerate(self._captures)
            for module in modules[number]
            for name, variable in capture.kept(members[module]).items()
        ]
        asked = tuple((capture.types, capture.outputs) for capture in self._captures)
        self.structure = Captured(asked, modules, tuple(each for each, _ in kept))
        self.values = [value for _, value in kept]

    def publish(self, kept: Sequence[Kept], values: Sequence[Any]) -> None:
        """Keep what was captured inside."""
        for (number, module, name, kind), value in zip(kept, values, strict=True):
            place = self._captures[number].kept(self._members[module])
            old = place.get(name)
            place[name] = kind.from_metadata(value, {}) if old is None else with_value(old, value)
