"""Activations: those of ``linnet.ops.activation``, and the one that learns."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, Dtype
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.layers.layer import NO_METADATA, Layer, chosen, param, spread, value_of
from linnet.nnx.objects.kinds import Param
from linnet.ops.activation import prelu
from linnet.ops.dtypes import as_array
from linnet.ops.initializers import constant


class PReLU(Layer):
    """A ReLU that learns the slope of its negative side (He et al. 2015, arXiv:1502.01852).

    Args:
        negative_slope_init: the slope to start from.
        dtype: dtype of the computation; ``None`` takes that of the inputs.
        param_dtype: dtype of the slope as a parameter.
        promote_dtype: brings inputs and slope, given as one tuple, to ``dtype``.
        negative_slope_metadata: metadata of the slope.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> nnx.PReLU(0.25)(jnp.array([-2.0, 2.0])).tolist()
    [-0.5, 2.0]
    """

    negative_slope: Param[Array]

    def __init__(
        self,
        negative_slope_init: float = 0.01,
        *,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        promote_dtype: Callable[..., Any] = promote_dtype,
        negative_slope_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        slope = constant(negative_slope_init)(None, (), param_dtype)
        self._set_up(
            ("negative_slope",),
            negative_slope=param(slope, negative_slope_metadata),
            **chosen(given, "dtype param_dtype promote_dtype"),
        )

    def __call__(self, inputs: Array) -> Array:
        """Multiply negative inputs by the slope."""
        inputs = as_array(inputs, self)
        return prelu(
            inputs,
            value_of(self.negative_slope),
            dtype=self.dtype,
            promote_dtype=spread(self.promote_dtype),
        )
