"""``nnx.vmap``: functions of objects, for many instances at once.

An axis that is given for an argument is that of all variables of the objects in it; a
``nnx.StateAxes`` gives one to each group of them. Objects come out along the axes they went in by,
new objects by those of the result.
"""

from collections.abc import Mapping
from typing import Any

from linnet.base.typing import MISSING
from linnet.lift import vmap as lift
from linnet.lift.engine import Group, carry
from linnet.nnx.transforms import captured
from linnet.nnx.transforms.arguments import RESULT, InKeywords, by_position
from linnet.nnx.transforms.axes import (
    axis_names,
    for_jax,
    is_by_filter,
    per_argument,
    placed,
    placed_arguments,
)
from linnet.nnx.transforms.store import ObjectStore
from linnet.nnx.transforms.wrapping import transform


@transform
def vmap(
    f: Any = MISSING,
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
            same in all instances, or an ``nnx.StateAxes``. Arguments given by keyword, and
            defaults, are counted as the function declares them.
        out_axes: the axes of the result, likewise.
        axis_name: as for ``jax.vmap``.
        axis_size: as for ``jax.vmap``.
        spmd_axis_name: as for ``jax.vmap``.
        transform_metadata: ``{nnx.PARTITION_NAME: name}`` names the new axis in the
            ``out_sharding`` of variables; other entries are put into the metadata of their name.
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
    name = axis_names(transform_metadata)
    leaving = placed((RESULT,), out_axes, name)
    counted = isinstance(in_axes, list | tuple)
    count = len(in_axes) if counted else None
    rest = 0 if counted or is_by_filter(in_axes) else in_axes
    keywords = Group(InKeywords(), rest, axis_metadata=name)
    options = {"axis_name": axis_name, "axis_size": axis_size, "spmd_axis_name": spmd_axis_name}

    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = by_position(f, args, kwargs, count)
        axes = per_argument(in_axes, len(args), "nnx.vmap")
        plan = captured.plan((*placed_arguments(axes, name), *leaving, keywords), "nnx.vmap", 0)
        run = lift.run((for_jax(axes, None), rest), for_jax(out_axes, None), **options)
        return carry(ObjectStore(), plan, f, args, kwargs, run)

    return call
