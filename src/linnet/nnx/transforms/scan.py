"""``nnx.scan``: functions of objects in steps, as ``jax.lax.scan``."""

from collections.abc import Mapping
from typing import Any

import jax

from linnet.base import errors
from linnet.base.typing import MISSING
from linnet.lift import scan as lift
from linnet.lift.axes import broadcast
from linnet.lift.engine import Group, Plan, carry
from linnet.nnx.transforms import captured
from linnet.nnx.transforms.arguments import RESULT, InKeywords, by_position
from linnet.nnx.transforms.axes import (
    Carry,
    axis_names,
    for_jax,
    per_argument,
    placed,
    placed_arguments,
)
from linnet.nnx.transforms.modes import hands_structure_out
from linnet.nnx.transforms.store import ObjectStore
from linnet.nnx.transforms.wrapping import transform
from linnet.state.filters import Everything

# the axes that are none
_KINDS: dict[Any, Group] = {
    Carry: Group(Everything(), lift.carried, whole=True),
    None: Group(Everything(), broadcast, leaves=False),
}
# where objects are trees of values, what is the same in all steps goes on from step to step
_TREE_KINDS = {Carry: _KINDS[Carry], None: _KINDS[Carry]}
_KEYWORDS = Group(InKeywords(), broadcast, leaves=False)


@transform
def scan(
    f: Any = MISSING,
    *,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
    in_axes: Any = (Carry, 0),
    out_axes: Any = (Carry, 0),
    transform_metadata: Mapping[str, Any] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Run a function in steps, each given what the one before carried over, as ``jax.lax.scan``.

    Args:
        f: the function of one step.
        length: how many steps, where no argument has an axis.
        reverse: as for ``jax.lax.scan``.
        unroll: as for ``jax.lax.scan``.
        _split_transpose: as for ``jax.lax.scan``.
        in_axes: for each argument the axis along which it is read, ``None`` for what is the same in
            all steps, or ``nnx.Carry`` for the one that is carried; for objects an
            ``nnx.StateAxes`` of these.
        out_axes: likewise for the result.
        transform_metadata: ``{nnx.PARTITION_NAME: name}`` names the axis of steps in the
            ``out_sharding`` of variables; other entries are put into the metadata of their name.
        graph: with ``False`` as with ``graph_updates=False``.
        graph_updates: with ``False``, variables with axis ``None`` that a step updates go on to the
            next one, and come out; otherwise such an update is lost.

    Returns:
        A function that runs all steps.

    Raises:
        CarryStructureError: a step carries over something else than it was given.

    Example: three layers made at once, and applied one after the other.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> @nnx.split_rngs(splits=3)
    ... @nnx.vmap
    ... def make(rngs):
    ...     return nnx.Linear(2, 2, rngs=rngs)
    >>> @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    ... def apply(layer, x):
    ...     return layer(x)
    >>> apply(make(nnx.Rngs(0)), jnp.ones(2)).shape
    (2,)
    """
    outputs = _Sides.of(out_axes)
    if (_Sides.of(in_axes).carry is None) != (outputs.carry is None):
        raise errors.AxesError.one_sided(in_axes, out_axes)
    name = axis_names(transform_metadata)
    leaving = placed((RESULT,), outputs.axes, name, _KINDS)
    count = len(in_axes) if isinstance(in_axes, list | tuple) else None
    options = {"length": length, "reverse": reverse, "unroll": unroll}

    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = by_position(f, args, kwargs, count)
        inputs = _Sides.of(per_argument(in_axes, len(args), "nnx.scan"))
        kinds = _KINDS if hands_structure_out(graph, graph_updates) else _TREE_KINDS
        entering = placed_arguments(inputs.axes, name, kinds)
        plan = captured.plan((*entering, *leaving, _KEYWORDS), "nnx.scan", 0)

        def run(pure: Any, plan: Plan, groups: Any, arguments: Any) -> Any:
            loop = _loop(inputs, outputs, pure, plan, groups, arguments)
            constants: list[Any] = []
            if any(axis is broadcast for axis in jax.tree.leaves(outputs.others())):
                _, constants = lift.run_once(loop)
            changes, (last, ys) = lift.scan(
                loop, constants, _split_transpose=_split_transpose, **options
            )
            return changes, outputs.join(last, ys)

        return carry(ObjectStore(), plan, f, args, kwargs, run)

    return call


def _loop(
    inputs: "_Sides", outputs: "_Sides", pure: Any, plan: Plan, groups: Any, arguments: Any
) -> lift.Loop:
    """Take a call apart into a loop."""
    args, kwargs = arguments
    first, xs = inputs.split(args)

    def step(groups: Any, arguments: Any) -> Any:
        carried, others = arguments
        changes, result = pure(groups, (inputs.join(carried, others), kwargs))
        if isinstance(outputs.axes, tuple) and (
            not isinstance(result, tuple) or len(result) != len(outputs.axes)
        ):
            raise errors.AxesError.outputs(len(outputs.axes), result)
        after, ys = outputs.split(result)
        return changes, (first if outputs.carry is None else after, ys)

    return lift.Loop.over(step, plan, groups, first, xs, inputs.others(), outputs.others())


class _Sides:
    """The axes of arguments, or of a result: which of them is the carry, and those of the others.

    Attributes:
        axes: one for each; all alike if there is just one.
        carry: the number of the carry; -1 if it is all there is, ``None`` if there is none.
    """

    def __init__(self, axes: Any, carry: int | None) -> None:
        self.axes = axes
        self.carry = carry

    @classmethod
    def of(cls, axes: Any) -> "_Sides":
        """Read axes.

        Raises:
            ValueError: there are several carries.
        """
        if axes is Carry:
            return cls(axes, -1)
        if not isinstance(axes, list | tuple):
            return cls(axes, None)
        carries = [number for number, axis in enumerate(axes) if axis is Carry]
        if len(carries) > 1:
            raise errors.AxesError.carries(axes, len(carries))
        return cls(tuple(axes), carries[0] if carries else None)

    def split(self, values: Any) -> tuple[Any, Any]:
        """Return the carry and the others."""
        if self.carry is None:
            return (), values
        if self.carry == -1:
            return values, ()
        others = [v for n, v in enumerate(values) if n != self.carry]
        return values[self.carry], tuple(others)

    def join(self, carry: Any, others: Any) -> Any:
        """Put carry and others together; undoes :meth:`split`."""
        if self.carry is None:
            return others
        if self.carry == -1:
            return carry
        joined = list(others)
        joined.insert(self.carry, carry)
        return tuple(joined)

    def others(self) -> Any:
        """Return the axes of the others, as JAX is told."""
        if self.carry == -1:
            return ()
        axes = self.axes if self.carry is None else self.split(self.axes)[1]
        return for_jax(axes, broadcast)
