"""Activations, as Linen names them; the arithmetic stands in ``linnet.ops.activation``."""

import jax.numpy as jnp

from linnet.base.typing import Array, Dtype
from linnet.linen.modules.module import Module, compact
from linnet.ops.activation import prelu
from linnet.ops.dtypes import as_array
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
        inputs = as_array(inputs, self)
        slope = self.param(
            "negative_slope", constant(self.negative_slope_init), (), self.param_dtype
        )
        return prelu(inputs, slope)
