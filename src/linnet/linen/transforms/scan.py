"""``nn.scan``."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from linnet.base import errors
from linnet.lift import scan as lift, vmap
from linnet.lift.axes import InOutScanAxis, broadcast
from linnet.lift.engine import Changes, Group, Groups, Plan, PureFunction
from linnet.linen.modules.describe import describe
from linnet.linen.transforms.plans import split_keys, stream_groups, variable_groups
from linnet.linen.transforms.store import variables_in
from linnet.linen.transforms.targets import Call, transformed
from linnet.state.collection_filters import CollectionFilter
from linnet.tree.frozen_dict import FrozenDict

Target = TypeVar("Target")


@dataclasses.dataclass(frozen=True)
class Scan:
    """``jax.lax.scan``: variables along axes, shared or carried; streams split or shared.

    Attributes are the arguments of :func:`scan`.
    """

    variable_axes: Mapping[CollectionFilter, InOutScanAxis] = FrozenDict()
    variable_broadcast: CollectionFilter = False
    variable_carry: CollectionFilter = False
    split_rngs: Mapping[CollectionFilter, bool] = FrozenDict()
    in_axes: Any = 0
    out_axes: Any = 0
    length: int | None = None
    reverse: bool = False
    unroll: int = 1
    data_transform: Callable[..., Any] | None = None
    metadata_params: Mapping[Any, Any] = dataclasses.field(default_factory=dict)
    _split_transpose: bool = False
    check_constancy_invariants: bool = True
    name: str = "scan"

    def __call__(self, call: Call) -> Any:
        """Carry out a call."""
        if not call.args:
            raise errors.ScanArgumentError("nn.scan")
        groups = [
            *stream_groups(self.split_rngs, broadcast),
            Group(variables_in(self.variable_broadcast), broadcast),
            Group(variables_in(self.variable_carry), lift.carried, whole=True),
            *variable_groups(self.variable_axes, self.metadata_params),
        ]
        plan = Plan(tuple(groups), f"nn.{self.name}")
        constants: list[Any] = []

        def declare(*taken: Any) -> Any:
            changes, constants[:] = lift.run_once(self._loop(*taken)[0])
            return changes, None

        def run(*taken: Any) -> Any:
            loop, length = self._loop(*taken)
            options = {"length": length, "reverse": self.reverse, "unroll": self.unroll}
            return lift.scan(loop, constants, _split_transpose=self._split_transpose, **options)

        if self.check_constancy_invariants:
            call.carry(plan, declare, advice=_ADVICE, keywords=False, declares_only=True)
        return call.carry(plan, run, advice=_ADVICE, keywords=False)

    def _loop(
        self, pure: PureFunction, plan: Plan, groups: Groups, arguments: Any
    ) -> tuple[lift.Loop, int]:
        """Take a call apart into a loop; return it and how many steps it has."""
        (module, carry, *inputs), _ = arguments
        xs = tuple(inputs)
        axes = tuple(self.in_axes) if isinstance(self.in_axes, list) else self.in_axes
        length = vmap.axis_size(plan, groups, axes, xs, "xs", "length", self.length)

        def step(groups: Groups, arguments: Any) -> tuple[Changes, Any]:
            carry, xs = arguments
            changes, result = pure(self._transformed(groups), ((module, carry, *xs), {}))
            return changes, _pair(result)

        split = split_keys(plan, groups, length, broadcast)
        return lift.Loop.over(step, plan, split, carry, xs, axes, self.out_axes), length

    def _transformed(self, groups: Groups) -> Groups:
        """Let the user's ``data_transform`` see the groups of variables, and those of streams."""
        if self.data_transform is None:
            return groups
        parts = [tuple((g,) for g in groups if isinstance(g, kind)) for kind in (dict, list)]
        variables, keys = map(iter, self.data_transform(*parts))
        return tuple(next(keys if isinstance(g, list) else variables)[0] for g in groups)


_ADVICE = (
    "`variable_axes={'batch_stats': 0}` for one for each step, `variable_broadcast` for what all "
    "steps share, `variable_carry` for what goes from step to step, `split_rngs={'dropout': True}`"
)


def _pair(result: Any) -> Any:
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise errors.ScanResultError("nn.scan", describe(result))
    return tuple(result)


def scan(
    target: Target,
    variable_axes: Mapping[CollectionFilter, InOutScanAxis] = FrozenDict(),
    variable_broadcast: CollectionFilter = False,
    variable_carry: CollectionFilter = False,
    split_rngs: Mapping[CollectionFilter, bool] = FrozenDict(),
    in_axes: Any = 0,
    out_axes: Any = 0,
    length: int | None = None,
    reverse: bool = False,
    unroll: int = 1,
    data_transform: Callable[..., Any] | None = None,
    metadata_params: Mapping[Any, Any] = {},
    methods: Any = None,
    _split_transpose: bool = False,
    check_constancy_invariants: bool = True,
) -> Target:
    """Run a module step by step along an axis, with ``jax.lax.scan``.

    The method, or function, takes a carry and the inputs of one step, and returns the next carry
    and an output: ``(carry, *xs) → (carry, y)``.

    Args:
        target: a module class, a method where it is defined, or a function of a module.
        variable_axes: collections → the axis along which the steps lie in their variables: layers
            with parameters of their own. Collections that are named nowhere do not exist inside.
        variable_broadcast: collections that all steps share.
        variable_carry: collections that go from one step to the next. Their variables have to
            exist before the loop.
        split_rngs: random streams → whether each step gets keys of its own. Streams that are not
            named do not exist inside.
        in_axes: the axes of the inputs, module and carry left out; ``nn.broadcast`` for what all
            steps get.
        out_axes: the axes of the outputs; ``nn.broadcast`` for what is the same in all steps.
        length: how many steps there are; by default as many as inputs and variables say.
        reverse: run from the last to the first.
        unroll: how many steps to compile into one iteration.
        data_transform: called with the groups of variables and those of streams in each step, to
            annotate them; returns both.
        metadata_params: what the boxes of variables are told of the axis,
            ``{nn.PARTITION_NAME: "layers"}``.
        methods: as for :func:`jit`.
        _split_transpose: an option of ``jax.lax.scan``.
        check_constancy_invariants: find out in a run before what is the same in all steps, and
            raise if it is not. Without, variables that are shared must exist already.

    Returns:
        A class, a method or a function like the target.

    Raises:
        TransformTargetError: the target is something else.
        CarryStructureError: the carry changes its structure, a shape or a dtype.
        LoopDependenceError: what all steps are to share depends on the step.
        AxisSizeError: inputs and variables do not agree on the number of steps.

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> class Layer(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, carry, _):
    ...         return nn.relu(nn.Dense(carry.shape[-1])(carry)), None
    >>> Stack = nn.scan(Layer, {"params": 0}, split_rngs={"params": True}, length=8)
    >>> variables = Stack().init(jax.random.key(0), jnp.ones((1, 4)), None)
    >>> variables["params"]["Dense_0"]["kernel"].shape
    (8, 4, 4)
    """
    given = locals()
    options = Scan(**{name: given[name] for name in given.keys() - {"target", "methods"}})
    return transformed(target, options, methods)
