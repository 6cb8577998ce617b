"""Activations, as Linen names them; the arithmetic stands in ``linnet.ops.activation``."""

import jax.numpy as jnp

from linnet.base.typing import Array, Dtype
from linnet.linen.modules.module import Module, compact
from linnet.ops.activation import (
    celu as celu,
    elu as elu,
    gelu as gelu,
    glu as glu,
    hard_sigmoid as hard_sigmoid,
    hard_silu as hard_silu,
    hard_swish as hard_swish,
    hard_tanh as hard_tanh,
    leaky_relu as leaky_relu,
    log_sigmoid as log_sigmoid,
    log_softmax as log_softmax,
    logsumexp as logsumexp,
    normalize as normalize,
    one_hot as one_hot,
    prelu,
    relu as relu,
    relu6 as relu6,
    selu as selu,
    sigmoid as sigmoid,
    silu as silu,
    soft_sign as soft_sign,
    softmax as softmax,
    softplus as softplus,
    standardize as standardize,
    swish as swish,
    tanh as tanh,
)
from linnet.ops.initializers import constant


class PReLU(Module):
    """A ReLU that learns the slope of its negative side (He et al. 2015, arXiv:1502.01852).

    Attributes:
        param_dtype: dtype of the slope as a parameter.
        negative_slope_init: the slope to start from.

    >>> import jax, linnet.linen as nn
    >>> nn.PReLU().init(jax.random.key(0), jnp.ones(2))
    {'params': {'negative_slope': Array(0.01, dtype=float32)}}
    """

    param_dtype: Dtype = jnp.float32
    negative_slope_init: float = 0.01

    @compact
    def __call__(self, inputs: Array) -> Array:
        """Multiply negative inputs by the slope."""
        slope = self.param(
            "negative_slope", constant(self.negative_slope_init), (), self.param_dtype
        )
        return prelu(inputs, slope)
