"""Activations: JAX's own, compiled where JAX leaves that to its user, and one that learns."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.nn import (
    celu as celu,
    elu as elu,
    glu as glu,
    hard_sigmoid as hard_sigmoid,
    hard_silu as hard_silu,
    hard_swish as hard_swish,
    hard_tanh as hard_tanh,
    identity as identity,
    leaky_relu as leaky_relu,
    log_sigmoid as log_sigmoid,
    log_softmax as log_softmax,
    relu as relu,
    relu6 as relu6,
    selu as selu,
    sigmoid as sigmoid,
    silu as silu,
    soft_sign as soft_sign,
    softplus as softplus,
    standardize,
    swish as swish,
)
from jax.numpy import tanh as tanh

from linnet.base.typing import Array, Dtype, PromoteDtype
from linnet.ops import dtypes
from linnet.ops.op import op

gelu = jax.jit(jax.nn.gelu, static_argnames="approximate")
logsumexp = jax.jit(jax.nn.logsumexp, static_argnames=("axis", "keepdims", "return_sign"))
normalize = standardize
softmax = jax.jit(jax.nn.softmax, static_argnames="axis")


def one_hot(
    x: Any, num_classes: int, *, dtype: Any = None, axis: Any = -1, out_sharding: Any = None
) -> Array:
    """Write each index as a vector of zeros with a one in its place.

    An index outside ``[0, num_classes)`` gives zeros.

    Args:
        x: integers.
        num_classes: the size of the new axis.
        dtype: dtype of the result; ``None`` for JAX's default of floating-point numbers.
        axis: where the new axis stands in the result, or the name of a mapped axis.
        out_sharding: how the result is laid out over devices of an explicit mesh.

    Returns:
        Array with one axis more than ``x``.

    >>> one_hot(jnp.array([1, 7]), 3).tolist()
    [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """
    hot = jax.nn.one_hot(x, num_classes, dtype=dtype, axis=axis)
    # JAX 0.10 has no such argument of its own
    return hot if out_sharding is None else jax.sharding.reshard(hot, out_sharding)


@op(static=["dtype"], hooks=["promote_dtype"])
def prelu(
    inputs: Array,
    negative_slope: Array,
    *,
    dtype: Dtype | None = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Let positive numbers through and multiply the others by a slope (He et al. 2015).

    ``outputs = inputs if inputs >= 0 else negative_slope * inputs`` (arXiv:1502.01852)

    Shapes:
        inputs: any; negative_slope: broadcasts against them.

    Args:
        inputs: what to pass through.
        negative_slope: the slope.
        dtype: dtype of the computation; ``None`` takes that of the inputs.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``, where there is a
            dtype to bring both to.

    Returns:
        Array like the inputs.

    >>> prelu(jnp.array([-2.0, 2.0]), jnp.array(0.25)).tolist()
    [-0.5, 2.0]
    """
    if dtype is None:
        slope = jnp.asarray(negative_slope, inputs.dtype)
    else:
        inputs, slope = (promote_dtype or dtypes.promote_dtype)(inputs, negative_slope, dtype=dtype)
    return jnp.where(inputs >= 0, inputs, slope * inputs)
