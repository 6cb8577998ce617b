"""``jax.lax.scan`` of a pure function of state.

A placement is an axis, along which a group is read and written step by step; :data:`broadcast`, for
what is the same in all steps; or :data:`carried`, for what goes from one step to the next.

What is broadcast cannot come out of ``lax.scan``, whose body knows only of steps. So it is found in
a run of its own, before (:func:`run_once`): the body is traced for one step whose inputs are
unknown, and what comes out without depending on them is what it is in every step.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from linnet.base import errors, jaxcompat
from linnet.lift.axes import broadcast, spread
from linnet.lift.engine import Changes, Groups, Plan, PureFunction


@dataclasses.dataclass(frozen=True)
class Carried:
    """The type of :data:`carried`."""

    def __repr__(self) -> str:
        return "carried"


carried = Carried()


@dataclasses.dataclass(frozen=True)
class Placed:
    """A tree taken apart by axes: what is scanned over, first axis first, and what is not.

    Attributes:
        scanned: the leaves that have an axis, which was moved to the front.
        constant: the leaves that are broadcast.
        axes: the axis of every leaf.
        treedef: the tree.
    """

    scanned: list[Any]
    constant: list[Any]
    axes: list[Any]
    treedef: Any

    def restore(self, scanned: Sequence[Any]) -> Any:
        """Put the tree together again, with one step of what is scanned over."""
        steps, constants = iter(scanned), iter(self.constant)
        leaves = [next(constants) if axis is broadcast else next(steps) for axis in self.axes]
        return jax.tree.unflatten(self.treedef, leaves)


def place(axes: Any, tree: Any) -> Placed:
    """Take a tree apart by axes, a prefix of it."""
    leaves, treedef = jax.tree.flatten(tree)
    each = spread(axes, tree)
    pairs = list(zip(leaves, each, strict=True))
    scanned = [_to_front(leaf, axis) for leaf, axis in pairs if axis is not broadcast]
    constant = [leaf for leaf, axis in pairs if axis is broadcast]
    return Placed(scanned, constant, each, treedef)


def _to_front(leaf: Any, axis: int) -> Any:
    return leaf if axis == 0 else jnp.moveaxis(leaf, axis, 0)


def _from_front(leaf: Any, axis: int) -> Any:
    return leaf if axis == 0 else jnp.moveaxis(leaf, 0, axis)


@dataclasses.dataclass(frozen=True)
class Loop:
    """A scan, taken apart: what each step gets, and where.

    Attributes:
        pure: ``(groups, (carry, xs)) → (changes, (carry, ys))``. Groups that are carried are
            ``whole`` in the plan.
        plan: its placements are axes, ``broadcast`` or ``carried``.
        groups: the state, by group; ``Placed``, or as it is where it is carried.
        carry: the first carry.
        inputs: the inputs of all steps.
        out_axes: the axes of the outputs, a prefix of their tree.
    """

    pure: PureFunction
    plan: Plan
    groups: list[Any]
    carry: Any
    inputs: Placed
    out_axes: Any

    @staticmethod
    def over(
        pure: PureFunction,
        plan: Plan,
        groups: Groups,
        carry: Any,
        xs: Any,
        in_axes: Any,
        out_axes: Any,
    ) -> "Loop":
        """Take groups and inputs apart; ``in_axes`` are those of ``xs``, a prefix of its tree."""
        placed = [
            group if placement is carried else place(placement, group)
            for placement, group in zip(plan.placements(), groups, strict=True)
        ]
        return Loop(pure, plan, placed, carry, place(in_axes, xs), out_axes)

    def first(self) -> Any:
        """Return what the first step is given by the one before: carried groups, and the carry."""
        return [group for group in self.groups if not isinstance(group, Placed)], self.carry

    def steps(self) -> Any:
        """Return what is scanned over: groups, and inputs."""
        return [g.scanned for g in self.groups if isinstance(g, Placed)], self.inputs.scanned

    def step(self, before: Any, scanned: Any) -> tuple[Changes, tuple[Any, Any]]:
        """Run the function for one step."""
        carried_groups, carry = before
        group_steps, xs = scanned
        parts, carries = iter(group_steps), iter(carried_groups)
        entering = tuple(
            group.restore(next(parts)) if isinstance(group, Placed) else next(carries)
            for group in self.groups
        )
        return self.pure(entering, (carry, self.inputs.restore(xs)))

    def changed(self, changes: Changes, placement: Any) -> list[Any]:
        """Return what a step changed in the groups of one placement, or of all that have axes."""
        axes = placement is None
        return [
            group
            for where, group in zip(self.plan.placements(), changes.groups, strict=True)
            if (where not in {carried, broadcast} if axes else where is placement)
        ]


def run_once(loop: Loop) -> tuple[Changes, list[Any]]:
    """Find out what is the same in all steps.

    Returns:
        The changes of a step with the values of the groups that are broadcast, and nothing else;
        and the outputs that are broadcast, leaf by leaf.

    Raises:
        LoopDependenceError: something is not the same in all steps.
    """
    steps = jax.eval_shape(lambda steps: jax.tree.map(lambda leaf: leaf[0], steps), loop.steps())
    unknown, treedef = jax.tree.flatten((loop.first(), steps))
    traced: list[Any] = []

    def run(unknown: list[Any]) -> list[Any]:
        changes, (_, ys) = loop.step(*jax.tree.unflatten(treedef, unknown))
        leaves = jax.tree_util.tree_leaves_with_path(ys)
        axes = spread(loop.out_axes, ys)
        constant = {
            f"output{jax.tree_util.keystr(path)}": leaf
            for (path, leaf), axis in zip(leaves, axes, strict=True)
            if axis is broadcast
        }
        found = (loop.changed(changes, broadcast), constant)
        named = jax.tree_util.tree_leaves_with_path(found)
        traced[:] = [
            changes.description,
            jax.tree.structure(found),
            [_name(path) for path, _ in named],
        ]
        return [leaf for _, leaf in named]

    values = jaxcompat.evaluate_known(jax.make_jaxpr(run)(unknown), len(unknown))
    description, structure, names = traced
    lost = [n for n, v in zip(names, values, strict=True) if isinstance(v, jax.ShapeDtypeStruct)]
    if lost:
        raise errors.LoopDependenceError(loop.plan.transform, lost)
    found, constant = jax.tree.unflatten(structure, values)
    shared = iter(found)
    groups = tuple(next(shared) if at is broadcast else {} for at in loop.plan.placements())
    return Changes(groups, description), list(constant.values())


def scan(loop: Loop, constants: list[Any], **options: Any) -> tuple[Changes, Any]:
    """Run a loop.

    Args:
        loop: the loop.
        constants: the outputs that are broadcast, leaf by leaf.
        **options: for ``jax.lax.scan``.

    Returns:
        What changed, and the last carry with the outputs of all steps.

    Raises:
        CarryStructureError: the carry changes its structure, a shape or a dtype.
    """
    traced: list[Any] = []

    def body(before: Any, scanned: Any) -> tuple[Any, Any]:
        changes, (carry, ys) = loop.step(before, scanned)
        after = (loop.changed(changes, carried), carry)
        check_carry(loop.plan.transform, before, after)
        leaves, treedef = jax.tree.flatten(ys)
        axes = spread(loop.out_axes, ys)
        traced[:] = [changes.description, treedef, axes]
        stacked = [leaf for leaf, axis in zip(leaves, axes, strict=True) if axis is not broadcast]
        return after, (loop.changed(changes, None), stacked)

    last, (groups, stacked) = jax.lax.scan(body, loop.first(), loop.steps(), **options)
    description, treedef, axes = traced
    if axes.count(broadcast) != len(constants):
        raise ValueError(
            f"{loop.plan.transform} is to broadcast outputs, which are found in a run before the "
            "loop, and that run was switched off. Leave out check_constancy_invariants=False, or "
            "stack the outputs, with an axis in out_axes."
        )
    carries, axial = iter(last[0]), iter(groups)
    out: list[Any] = []
    for placement in loop.plan.placements():
        if placement is carried:
            out.append(next(carries))
        elif placement is broadcast:
            out.append({})
        else:
            out.append(jax.tree.map(lambda leaf, at=placement: _from_front(leaf, at), next(axial)))
    steps, shared = iter(stacked), iter(constants)
    ys = [next(shared) if at is broadcast else _from_front(next(steps), at) for at in axes]
    return Changes(tuple(out), description), (last[1], jax.tree.unflatten(treedef, ys))


def check_carry(transform: str, before: Any, after: Any) -> None:
    """Raise if a carry is not like the one before; ignore dtype changes that JAX promotes.

    Raises:
        CarryStructureError: it is not; all differences are named.
    """
    one, other = (dict(jax.tree_util.tree_leaves_with_path(tree)) for tree in (before, after))
    differences = [f"{_name(path)} is gone" for path in one if path not in other]
    differences += [f"{_name(path)} is new" for path in other if path not in one]
    for path in one:
        if path not in other:
            continue
        was, now = (jax.typeof(tree[path]) for tree in (one, other))
        if was.shape != now.shape or (was.dtype != now.dtype and not was.weak_type):
            told = f"was {errors.shape_text(was)}, became {errors.shape_text(now)}"
            differences.append(f"{_name(path)} {told}")
    structures = [jax.tree.structure(tree[1]) for tree in (before, after)]
    if not differences and structures[0] != structures[1]:
        differences.append(f"its structure was {structures[0]}, became {structures[1]}")
    if differences:
        raise errors.CarryStructureError(transform, differences)


def _name(path: Any) -> str:
    """Name a leaf of a carry, or of what a step found: a variable by its path."""
    keys = [getattr(key, "key", getattr(key, "idx", None)) for key in path]
    variable = next((key for key in keys if isinstance(key, tuple)), None)
    if variable is not None:
        return errors.path_text(variable)
    if isinstance(keys[-1], str) and keys[-1].startswith("output"):
        return keys[-1]
    return f"the carry{jax.tree_util.keystr(path[1:])}"
