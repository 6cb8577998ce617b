"""``jax.vmap`` of a pure function of state: groups are mapped along their placement.

A placement is an axis, or ``None`` for what is the same in every instance. Streams of keys are
split before they come here, and mapped along axis 0.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from linnet.base import errors
from linnet.lift.axes import spread
from linnet.lift.engine import Changes, Groups, Plan

PureFunction: TypeAlias = Callable[[Groups, Any], tuple[Changes, Any]]
Size: TypeAlias = tuple[str, int]


def vmap(
    pure: PureFunction,
    plan: Plan,
    groups: Groups,
    arguments: Any,
    *,
    in_axes: Any,
    out_axes: Any,
    axis_size: int | None = None,
    axis_name: Any = None,
    spmd_axis_name: Any = None,
) -> tuple[Changes, Any]:
    """Run a pure function for all instances at once.

    Args:
        pure: the function.
        plan: its placements are axes, or None.
        groups: the state, by group.
        arguments: the arguments, a pytree.
        in_axes: the axes of the arguments, a prefix of their tree.
        out_axes: the axes of the result, a prefix of its tree.
        axis_size: how many instances there are; by default as many as what is mapped says.
        axis_name: the name of the axis, for collectives.
        spmd_axis_name: the mesh axis that instances are spread over.

    Returns:
        What changed, stacked along the placements, and the result, stacked along ``out_axes``.
    """
    described: list[Any] = []

    def run(groups: Groups, arguments: Any) -> tuple[Groups, Any]:
        changes, result = pure(groups, arguments)
        described.append(changes.description)
        return changes.groups, result

    placements = plan.placements()
    mapped = jax.vmap(
        run,
        in_axes=(placements, in_axes),
        out_axes=(placements, out_axes),
        axis_size=axis_size,
        axis_name=axis_name,
        spmd_axis_name=spmd_axis_name,
    )
    changed, result = mapped(groups, arguments)
    return Changes(changed, described[-1]), result


def mapped_sizes(axes: Any, tree: Any, label: str) -> list[Size]:
    """List the sizes that the leaves of a tree have along their axes.

    Args:
        axes: the axes, a prefix of the tree; what is no integer is not mapped.
        tree: the tree.
        label: what to call it in a message.

    Returns:
        (what, size) for every leaf that is mapped.

    >>> mapped_sizes((0, None), (jnp.ones((3, 2)), jnp.ones(5)), "args")
    [('args[0]', 3)]
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [
        (f"{label}{_text(path)}", _size(leaf, axis, f"{label}{_text(path)}"))
        for (path, leaf), axis in zip(leaves, spread(axes, tree), strict=True)
        if isinstance(axis, int)
    ]


def _text(path: Any) -> str:
    """Write the place of a leaf; of a variable, which has its path for a key, the path."""
    keys = [getattr(key, "key", None) for key in path]
    variable = next((key for key in keys if isinstance(key, tuple)), None)
    return jax.tree_util.keystr(path) if variable is None else errors.path_text(variable)


def _size(leaf: Any, axis: int, what: str) -> int:
    shape = jnp.shape(leaf)
    if not -len(shape) <= axis < len(shape):
        raise ValueError(
            f"{what} is to be mapped along axis {axis}, but its shape is {shape}, which has no "
            "such axis. Pass None for it in in_axes if it is the same for all, "
            "or an array with that axis."
        )
    return shape[axis]


def common_size(transform: str, sizes: list[Size], option: str, given: int | None = None) -> int:
    """Return the size that all mapped values share.

    Args:
        transform: the name of the transformation.
        sizes: (what, size) for each of them.
        option: the argument of the transformation that says the size.
        given: what that argument is.

    Raises:
        AxisSizeError: they do not agree, or there are none.
    """
    told = [*sizes, (option, given)] if given is not None else sizes
    if len({size for _, size in told}) != 1:
        raise errors.AxisSizeError(transform, told, option)
    return told[0][1]
