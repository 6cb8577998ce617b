"""How many floating-point operations a function takes, as XLA counts them.

The count is taken from the lowered program, before it is optimised, so that it depends on what was
written and not on the machine. Nothing is executed.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.tree.leaves import take_leaves


def count_flops(fn: Callable[..., Any], *args: Any) -> int:
    """Count the operations of ``fn(*args)``.

    Args:
        fn: a function; of its results, those that are arrays count as used.
        *args: pytrees of arrays or of ``jax.ShapeDtypeStruct``.

    >>> x = jax.ShapeDtypeStruct((4,), "float32")
    >>> count_flops(lambda x: x * x + 1, x)
    8
    """
    cost = jax.jit(_arrays_only(fn)).lower(*args).cost_analysis()
    return int(dict(cost or {}).get("flops", 0))


def count_vjp_flops(fn: Callable[..., Any], *args: Any) -> int:
    """Count the operations of ``fn(*args)`` and of its vector-Jacobian product together.

    Integers among the arguments are not differentiated.

    Returns:
        The count, or 0 where ``fn`` cannot be differentiated.
    """
    arrays = _arrays_only(fn)

    def forward_and_back(args: Any, cotangents: Any) -> Any:
        smooth, rebuild = take_leaves(args, lambda leaf: jnp.issubdtype(leaf.dtype, jnp.inexact))
        outputs, vjp = jax.vjp(lambda parts: arrays(*rebuild(parts)), smooth)
        return outputs, vjp(cotangents)

    try:
        cotangents = jax.tree.map(_cotangent, jax.eval_shape(arrays, *args))
        cost = jax.jit(forward_and_back).lower(args, cotangents).cost_analysis()
    except (TypeError, NotImplementedError, ValueError):
        return 0
    return int(dict(cost or {}).get("flops", 0))


def _cotangent(output: Any) -> Any:
    """Return the abstract cotangent of an output, whose dtype is float0 for an integer."""
    if jnp.issubdtype(output.dtype, jnp.inexact):
        return jax.ShapeDtypeStruct(output.shape, output.dtype)
    return np.zeros(output.shape, jax.dtypes.float0)


def _arrays_only(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Drop from a function's results what is no array."""

    def arrays(*args: Any) -> list[Any]:
        return [leaf for leaf in jax.tree.leaves(fn(*args)) if isinstance(leaf, jax.Array)]

    return arrays
