"""``nnx.vmap`` and ``nnx.scan``: functions of objects, for many instances and in many steps.

An axis that is given for an argument is that of all variables of the objects in it; a
``nnx.StateAxes`` gives one to each group of them. Objects come out along the axes they went in by,
new objects by those of the result.
"""

import functools
from collections.abc import Mapping
from typing import Any

from linnet.lift import vmap as mapping
from linnet.lift.engine import Group, Plan, Pure
from linnet.nnx.transforms.arguments import RESULT, InKeywords
from linnet.nnx.transforms.jit import unbound
from linnet.nnx.transforms.store import ObjectStore
from linnet.state.partitioning import PARTITION_NAME

_MISSING: Any = object()


# --- vmap ------------------------------------------------------------------------------------


def vmap(
    f: Any = _MISSING,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
    transform_metadata: Mapping[str, Any] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Make a function of one instance a function of many, as ``jax.vmap`` does.

    Args:
        f: the function.
        in_axes: an axis for all arguments, or one for each: an integer, ``None`` for what is the
            same in all instances, or an ``nnx.StateAxes``.
        out_axes: the axes of the result, likewise.
        axis_name: as for ``jax.vmap``.
        axis_size: as for ``jax.vmap``.
        spmd_axis_name: as for ``jax.vmap``.
        transform_metadata: ``{nnx.PARTITION_NAME: name}`` names the new axis in the
            ``out_sharding`` of variables.
        graph: taken for Flax's sake.
        graph_updates: taken for Flax's sake.

    Returns:
        A function of the same arguments with an axis more.

    Raises:
        MappedUpdateError: a variable without an axis is set to a value that has one.
        ConflictingPlacementError: a variable is reached with two different axes.

    Example: four layers made at once, and applied to four inputs.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> @nnx.split_rngs(splits=4)
    ... @nnx.vmap
    ... def make(rngs):
    ...     return nnx.Linear(2, 3, rngs=rngs)
    >>> layers = make(nnx.Rngs(0))
    >>> layers.kernel.shape, nnx.vmap(lambda layer, x: layer(x))(layers, jnp.ones((4, 2))).shape
    ((4, 2, 3), (4, 3))
    """
    metadata = transform_metadata or {}
    if f is _MISSING:
        return functools.partial(
            vmap,
            in_axes=in_axes,
            out_axes=out_axes,
            axis_name=axis_name,
            axis_size=axis_size,
            spmd_axis_name=spmd_axis_name,
            transform_metadata=metadata,
            graph=graph,
            graph_updates=graph_updates,
        )
    f = unbound(f, "vmap")
    result_groups = _placed((RESULT,), out_axes, metadata, {})
    jax_in, jax_out = _for_jax(in_axes, None), _for_jax(out_axes, None)

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        positional = _per_argument(in_axes, len(args), "nnx.vmap")
        groups = [
            group
            for number, axes in enumerate(positional)
            for group in _placed((number,), axes, metadata, {})
        ]
        by_name = Group(InKeywords(), 0, axis_name=metadata.get(PARTITION_NAME))
        plan = Plan((*groups, *result_groups, by_name), "nnx.vmap")
        store = ObjectStore()
        taken = store.snapshot(plan, args, kwargs)
        pure = Pure(f, taken.structure, plan)
        plain = tuple(jax_in) if isinstance(jax_in, list | tuple) else jax_in
        changes, result = mapping.vmap(
            pure,
            plan,
            taken.groups,
            taken.arguments,
            in_axes=(plain, 0),
            out_axes=jax_out,
            axis_size=axis_size,
            axis_name=axis_name,
            spmd_axis_name=spmd_axis_name,
        )
        return store.publish(changes, result)

    return wrapper


# --- scan ------------------------------------------------------------------------------------
