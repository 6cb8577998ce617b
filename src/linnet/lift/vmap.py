"""``jax.vmap`` of a pure function of state: groups are mapped along their placement.

A placement is an axis, or ``None`` for what is the same in every instance. Streams of keys are
split before they come here, and mapped along axis 0.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from linnet.base import errors
from linnet.lift.axes import spread
from linnet.lift.engine import Changes, Groups, Plan, PureFunction, Run

Size: TypeAlias = tuple[str, int]


def run(in_axes: Any, out_axes: Any, **options: Any) -> Run:
    """Return what runs a pure function for all instances at once.

    Args:
        in_axes: the axes of the arguments, a prefix of their tree.
        out_axes: the axes of the result, a prefix of its tree.
        **options: for ``jax.vmap``.
    """

    def call(pure: PureFunction, plan: Plan, groups: Groups, arguments: Any) -> tuple[Changes, Any]:
        described: list[Any] = []

        def body(groups: Groups, arguments: Any) -> tuple[Groups, Any]:
            changes, result = pure(groups, arguments)
            described.append(changes.description)
            return changes.groups, result

        placements = plan.placements()
        axes = {"in_axes": (placements, in_axes), "out_axes": (placements, out_axes)}
        with _unshared_explained():
            changed, result = jax.vmap(body, **axes, **options)(groups, arguments)
        return Changes(changed, described[-1]), result

    return call


@contextmanager
def _unshared_explained() -> Generator[None, None, None]:
    """Note on JAX's error of an unmapped output what it means for a variable."""
    try:
        yield
    except ValueError as error:
        if "out_axes" in str(error):
            error.add_note(
                "A variable, or a result, that all instances share (axis None) has got a value of "
                "its own in each. Give its collection an axis, `variable_axes={'params': 0}`; or "
                "make it the same in all: with `split_rngs={'params': False}` if it is drawn, with "
                "a mean over `axis_name` if it is computed."
            )
        raise


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


def axis_size(
    plan: Plan, groups: Groups, axes: Any, tree: Any, label: str, option: str, given: int | None
) -> int:
    """Return the size that all mapped values share.

    Args:
        plan: its placements say along which axes groups are mapped.
        groups: the state; groups that are dictionaries count.
        axes: the axes of the arguments, a prefix of their tree.
        tree: the arguments.
        label: what to call these in a message.
        option: the argument of the transformation that says the size.
        given: what that argument is.

    Raises:
        AxisSizeError: they do not agree, or there are none.
    """
    sizes = mapped_sizes(axes, tree, label)
    for placement, values in zip(plan.placements(), groups, strict=True):
        if isinstance(values, dict):
            sizes += mapped_sizes(placement, values, "")
    told = [*sizes, (option, given)] if given is not None else sizes
    if len({size for _, size in told}) != 1:
        raise errors.AxisSizeError(plan.transform, told, option)
    return told[0][1]
