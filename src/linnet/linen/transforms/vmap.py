"""``nn.vmap``."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from linnet.lift import vmap as lift
from linnet.lift.axes import InOutAxis
from linnet.lift.engine import Groups, Plan
from linnet.linen.transforms.plans import split_keys, stream_groups, variable_groups, with_module
from linnet.linen.transforms.targets import Call, transformed
from linnet.state.collection_filters import CollectionFilter
from linnet.tree.frozen_dict import FrozenDict

Target = TypeVar("Target")


@dataclasses.dataclass(frozen=True)
class Vmap:
    """``jax.vmap``: variables along axes, streams split or shared.

    Attributes are the arguments of :func:`vmap`.
    """

    variable_axes: Mapping[CollectionFilter, InOutAxis] = FrozenDict()
    split_rngs: Mapping[CollectionFilter, bool] = FrozenDict()
    in_axes: Any = 0
    out_axes: Any = 0
    axis_size: int | None = None
    axis_name: str | None = None
    spmd_axis_name: str | None = None
    metadata_params: Mapping[Any, Any] = dataclasses.field(default_factory=dict)
    name: str = "vmap"

    def __call__(self, call: Call) -> Any:
        """Carry out a call."""
        groups = [
            *stream_groups(self.split_rngs, None),
            *variable_groups(self.variable_axes, self.metadata_params),
        ]
        names = {"axis_name": self.axis_name, "spmd_axis_name": self.spmd_axis_name}

        def run(pure: Any, plan: Plan, groups: Groups, arguments: Any) -> Any:
            args, _ = arguments
            axes = with_module(self.in_axes, args)
            size = lift.axis_size(
                plan, groups, axes[1:], args[1:], "args", "axis_size", self.axis_size
            )
            over_instances = lift.run((axes, 0), self.out_axes, axis_size=size, **names)
            return over_instances(pure, plan, split_keys(plan, groups, size, None), arguments)

        plan = Plan(tuple(groups), f"nn.{self.name}")
        advice = "`variable_axes={'batch_stats': 0}`, `split_rngs={'dropout': True}`"
        return call.carry(plan, run, advice=advice, keywords=False)


def vmap(
    target: Target,
    variable_axes: Mapping[CollectionFilter, InOutAxis] = FrozenDict(),
    split_rngs: Mapping[CollectionFilter, bool] = FrozenDict(),
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_size: int | None = None,
    axis_name: str | None = None,
    spmd_axis_name: str | None = None,
    metadata_params: Mapping[Any, Any] = {},
    methods: Any = None,
) -> Target:
    """Run many instances of a module at once, with ``jax.vmap``.

    Args:
        target: a module class, a method where it is defined, or a function of a module.
        variable_axes: collections → the axis along which instances lie in their variables; None
            for variables that all instances share. Collections that are not named do not exist
            inside.
        split_rngs: random streams → whether each instance gets keys of its own. Streams that are
            not named do not exist inside.
        in_axes: the axes of the arguments, the module left out; None for what is not mapped.
        out_axes: the axes of the result.
        axis_size: how many instances there are; by default as many as arguments and variables say.
        axis_name: the name of the axis, for collectives.
        spmd_axis_name: the mesh axis that instances are spread over.
        metadata_params: what the boxes of variables are told of the axis,
            ``{nn.PARTITION_NAME: "layers"}``.
        methods: as for :func:`jit`.

    Returns:
        A class, a method or a function like the target.

    Raises:
        TransformTargetError: the target is something else.
        AxisSizeError: arguments and variables do not agree on the number of instances.

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> Heads = nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True})
    >>> variables = Heads(features=2).init(jax.random.key(0), jnp.ones((5, 1, 3)))
    >>> jax.tree.map(jnp.shape, variables["params"])
    {'bias': (5, 2), 'kernel': (5, 3, 2)}
    """
    given = locals()
    options = Vmap(**{name: given[name] for name in given.keys() - {"target", "methods"}})
    return transformed(target, options, methods)
