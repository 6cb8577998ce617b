"""What comes out of a transformation, and how it is given to the objects of the caller.

Mostly the structure of the objects is what it was, and some cells have other values. Otherwise the
outcome is the whole structure after the call; a :class:`Settler` changes the caller's objects until
they have it, makes those that are new, and leaves every object that was there before what it is.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from linnet.lift.engine import Groups
from linnet.nnx.graph.graphdef import GraphDef, walk
from linnet.nnx.graph.layout import Layout
from linnet.nnx.graph.reconcile import Settler
from linnet.nnx.transforms.arguments import put_objects
from linnet.nnx.transforms.captured import Kept


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What is known of a call when it has been traced.

    Attributes:
        handed: for each group the numbers of the cells whose values come out.
        graphdef: the structure after the call; ``None`` if it is what it was.
        origins: for each object and variable of that structure, which one before it was, or -1.
        returns_objects: whether objects stand in the result.
        captured: what the values of the last group are, that were captured.
        number: that of no other outcome.
    """

    handed: tuple[tuple[int, ...], ...]
    graphdef: GraphDef[Any] | None = None
    origins: tuple[int, ...] = ()
    returns_objects: bool = False
    captured: tuple[Kept, ...] = ()
    number: int = dataclasses.field(default_factory=itertools.count().__next__, compare=False)

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
            layout.cells[number].set_raw_value(value)
        return put_objects(result, roots) if outcome.returns_objects else result
    settled = Settler(outcome.origins, dict(outcome.values(groups)), walk(roots)[1].members)
    after = [settled.settle(child) for child in outcome.graphdef.root.children]
    return put_objects(result, after)
