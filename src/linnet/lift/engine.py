"""How state crosses a JAX transformation: the one engine under every lifted one.

JAX transforms pure functions. A function of a module is not pure: it reads and writes variables
that somebody else owns, a scope in Linen, the objects among the arguments in NNX. To transform it,
its state has to cross the boundary of the transformation as ordinary values, in four steps:

1. *snapshot*: take the state out of the store, split into groups, one for each way of crossing;
2. *run inside*: make a store of the values that JAX hands in, and call the user's function on it;
3. *diff*: see which state changed, appeared or vanished, and hand it to JAX as values again;
4. *publish*: write it back to the store of the caller.

What crosses how is a :class:`Plan`: an ordered list of :class:`Group`, each a filter and a
*placement*. What a placement is, an axis, ``broadcast``, "carried", "differentiated", is the
business of the transformation; the engine only sorts.

Who owns the state is a :class:`Store`. There are two, Linen's over a tree of scopes and NNX's over
objects, and neither engine nor transformations know which one they have. A snapshot has two halves:
the values, which JAX sees, and the *structure*, which it does not: everything that has to be known
to rebuild the store, and which is hashable, so that it can be part of the key under which a
compiled function is remembered. The way back is made alike: :class:`Changes` is a pytree whose
leaves are the values and whose treedef carries the description of what they are; JAX keeps treedefs
with its compiled functions, so the description comes out of a cache hit too, where no Python ran.

:func:`carry` does the four steps. A lifted transformation is what it has of its own: how its
options become a plan, and what *runs* the pure function, one of JAX's transformations, in a file of
this folder that both façades use.
"""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeAlias

import jax

from linnet.base import errors
from linnet.base.typing import Path
from linnet.state.filters import Nothing, Predicate

Groups = tuple[Any, ...]
"""The values of a store, one pytree for each group of a plan, in the plan's order."""


@dataclasses.dataclass(frozen=True)
class Group:
    """The variables that a filter picks, and how they cross.

    Attributes:
        picks: which variables, as a predicate over (path, variable).
        placement: how they cross; its meaning is the transformation's.
        enters: whether their values are handed in.
        leaves: whether what becomes of them is handed out.
        whole: whether all of them are handed out, in the form in which they came in, and not only
            those that changed; a loop needs it of what it carries.
        axis_metadata: where a placement is an axis, what the metadata of variables is told of it:
            they lose it on the way in and get it back on the way out. ``None`` tells them nothing.
        donated: whether the memory of their values is lent to the result.
    """

    picks: Predicate
    placement: Any = None
    enters: bool = True
    leaves: bool = True
    whole: bool = False
    axis_metadata: Any = None
    donated: bool = False

    @property
    def loses_axis(self) -> bool:
        """Whether the metadata of its variables is told of an axis."""
        return self.axis_metadata is not None and isinstance(self.placement, int)


@dataclasses.dataclass(frozen=True)
class Plan:
    """How each group of state crosses a transformation.

    Attributes:
        groups: the first group whose filter matches a variable takes it.
        transform: the name of the transformation, for messages.
    """

    groups: tuple[Group, ...]
    transform: str

    def group_of(self, path: Path, variable: Any) -> int:
        """Return the number of the group that a variable belongs to.

        Raises:
            UnplacedVariableError: no group takes it.
        """
        for number, group in enumerate(self.groups):
            if group.picks(path, variable):
                return number
        picks = [group.picks for group in self.groups if not isinstance(group.picks, Nothing)]
        raise errors.UnplacedVariableError(path, type(variable).__name__, self.transform, picks)

    def placements(self) -> tuple[Any, ...]:
        """Return the placement of every group."""
        return tuple(group.placement for group in self.groups)


@jax.tree_util.register_pytree_node_class
class Changes:
    """What comes out of a transformation besides the result.

    Attributes:
        groups: the values, one pytree for each group of the plan.
        description: what they are; hashable, and known when the function has been traced.
    """

    __slots__ = ("description", "groups")

    def __init__(self, groups: Groups, description: Hashable) -> None:
        self.groups = groups
        self.description = description

    def tree_flatten(self) -> tuple[tuple[Groups], Hashable]:
        """Return the values as children and the description as part of the treedef."""
        return (self.groups,), self.description

    @classmethod
    def tree_unflatten(cls, description: Hashable, children: Any) -> "Changes":
        """Put values and description together again."""
        return cls(children[0], description)


class Inside(Protocol):
    """A store rebuilt inside a transformation, for one call of the user's function."""

    def call(self, function: Callable[..., Any]) -> Any:
        """Call the user's function on the arguments."""
        ...

    def leave(self, result: Any) -> tuple[Changes, Any]:
        """End the call: return what changed, and the result freed of what the store owns."""
        ...


class Structure(Protocol):
    """What is static about a snapshot: hashable, equal for stores that are built alike."""

    def __hash__(self) -> int: ...

    def enter(self, plan: Plan, groups: Groups, arguments: Any) -> Inside:
        """Rebuild the store, and the arguments, from the values that JAX hands in."""
        ...


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The state of a store, taken out of it.

    Attributes:
        groups: its values, by group.
        arguments: the arguments of the call without what the store owns, a pytree.
        structure: all the rest.
    """

    groups: Groups
    arguments: Any
    structure: Structure


class Store(Protocol):
    """Whatever owns the variables of a call."""

    def snapshot(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Snapshot:
        """Take the state out, split into the groups of a plan."""
        ...

    def publish(self, changes: Changes, result: Any) -> Any:
        """Write back what changed; return the result with what the store owns put back in."""
        ...


@dataclasses.dataclass(frozen=True)
class Pure:
    """A function of stateful objects as a pure function of values.

    Hashable and comparable, if the function is: a key for compiled functions.

    Attributes:
        function: the user's function.
        structure: what the store was when the snapshot was taken.
        plan: how its state crosses.
    """

    function: Callable[..., Any]
    structure: Structure
    plan: Plan

    def __call__(self, groups: Groups, arguments: Any) -> tuple[Changes, Any]:
        """Run the function on a store made of these values.

        Args:
            groups: the values of the store, by group.
            arguments: the other arguments, as the snapshot has them.

        Returns:
            What changed, and the result.
        """
        inside = self.structure.enter(self.plan, groups, arguments)
        return inside.leave(inside.call(self.function))


PureFunction: TypeAlias = Callable[[Groups, Any], tuple[Changes, Any]]
Run: TypeAlias = Callable[[PureFunction, Plan, Groups, Any], tuple[Changes, Any]]
"""Runs a pure function under one of JAX's transformations: given it, the plan of its state, the
state by group and the arguments; returns what changed, and the result."""


def carry(
    store: Store,
    plan: Plan,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    run: Run,
) -> Any:
    """Carry a function of stateful objects across a transformation.

    Args:
        store: what owns the state.
        plan: how it crosses.
        function: the function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        run: the transformation.

    Returns:
        The result of ``run``, with what the store owns put back in.
    """
    taken = store.snapshot(plan, args, kwargs)
    pure = Pure(function, taken.structure, plan)
    changes, result = run(pure, plan, taken.groups, taken.arguments)
    return store.publish(changes, result)
