"""Layers that convolve; the arithmetic stands in ``linnet.ops.convolution``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax.lax import conv_general_dilated as default_conv

from linnet.base.typing import (
    Array,
    ConvGeneralDilated,
    Dtype,
    Initializer,
    PaddingLike,
    PrecisionLike,
)
from linnet.nnx.layers.dense import default_bias_init
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.layers.layer import (
    NO_METADATA,
    Layer,
    chosen,
    default_kernel_init,
    draw,
    param,
    params_of,
    spread,
    value_of,
)
from linnet.nnx.objects.kinds import Param
from linnet.nnx.random.streams import Rngs
from linnet.ops import convolution
from linnet.ops.axes import as_tuple, per_axis
from linnet.ops.dtypes import as_array
from linnet.ops.transposed_convolution import conv_transpose

Promote = Callable[..., Any]
Sizes = int | Sequence[int]

_KERNEL_AND_BIAS = ("kernel", "bias")


def _check_mask(mask: Any, kernel_shape: tuple[int, ...]) -> None:
    """Check that the mask of a kernel has the kernel's shape."""
    if mask is not None:
        convolution.check_conv((0,) * len(kernel_shape), kernel_shape, mask.shape)


class Conv(Layer):
    """Slide one kernel over the spatial axes.

    Args:
        in_features: the size of the last axis of the input.
        out_features: the size of the last axis of the output.
        kernel_size: the size of the kernel along each spatial axis.
        strides: how far the kernel moves; one integer for all axes, or one for each.
        padding: ``"SAME"``, ``"VALID"``, ``"CIRCULAR"``, ``"REFLECT"``, ``"CAUSAL"``, or integers
            or pairs (low, high).
        input_dilation: spacing of the inputs.
        kernel_dilation: spacing of the kernel's entries.
        feature_group_count: in how many groups of features the convolution falls apart.
        use_bias: whether to add a vector.
        mask: multiplies the kernel; of its shape.
        dtype: dtype of the computation.
        param_dtype: dtype of the parameters.
        precision: as in ``jax.lax.conv_general_dilated``.
        kernel_init: draws the kernel.
        bias_init: draws the vector.
        conv_general_dilated: in the place of ``jax.lax.conv_general_dilated``.
        promote_dtype: brings inputs and parameters, given as one tuple, to one dtype.
        preferred_element_type: as in ``jax.lax.conv_general_dilated``.
        rngs: the stream ``params`` draws the parameters.
        kernel_metadata: metadata of the kernel.
        bias_metadata: metadata of the vector.

    Raises:
        ValueError: the groups do not divide the features, or the mask does not fit the kernel.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.Conv(2, 4, kernel_size=(3, 3), rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((1, 8, 8, 2))).shape, layer.kernel.shape
    ((1, 8, 8, 4), (3, 3, 2, 4))
    """

    kernel: Param[Array]
    bias: Param[Array] | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sizes,
        strides: Sizes | None = 1,
        *,
        padding: PaddingLike = "SAME",
        input_dilation: Sizes | None = 1,
        kernel_dilation: Sizes | None = 1,
        feature_group_count: int = 1,
        use_bias: bool = True,
        mask: Array | None = None,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        precision: PrecisionLike = None,
        kernel_init: Initializer = default_kernel_init,
        bias_init: Initializer = default_bias_init,
        conv_general_dilated: ConvGeneralDilated = default_conv,
        promote_dtype: Promote = promote_dtype,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs,
        kernel_metadata: Mapping[str, Any] = NO_METADATA,
        bias_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        if in_features % feature_group_count:
            raise ValueError(
                f"Conv with in_features={in_features} and feature_group_count="
                f"{feature_group_count}: the groups do not divide the features evenly. Use a "
                f"divisor of {in_features}."
            )
        sizes = as_tuple(kernel_size)
        shape = (*sizes, in_features // feature_group_count, out_features)
        _check_mask(mask, shape)
        stream = params_of(rngs, self)
        kernel = draw(stream, kernel_init, shape, param_dtype)
        bias = None
        if use_bias:
            bias = param(draw(stream, bias_init, (out_features,), param_dtype), bias_metadata)
        self._set_up(
            _KERNEL_AND_BIAS,
            kernel_shape=shape,
            kernel=param(kernel, kernel_metadata),
            bias=bias,
            **chosen(given, "in_features out_features"),
            kernel_size=sizes,
            **chosen(
                given,
                "strides padding input_dilation kernel_dilation feature_group_count "
                "use_bias mask dtype param_dtype precision conv_general_dilated "
                "promote_dtype preferred_element_type",
            ),
        )

    def __call__(self, inputs: Array, out_sharding: Any = None) -> Array:
        """Convolve ``(*batch, *spatial, in_features)``, with any number of batch axes.

        Args:
            inputs: what to convolve.
            out_sharding: how the result is laid out over devices of an explicit mesh.

        Raises:
            ValueError: kernel, padding or mask do not fit the inputs.
        """
        inputs = as_array(inputs, self)
        rank = len(self.kernel_size)
        return convolution.conv(
            inputs,
            value_of(self.kernel),
            value_of(self.bias),
            self.mask,
            strides=per_axis(self.strides, rank, "strides"),
            padding=convolution.canonicalize_padding(self.padding, rank),
            input_dilation=per_axis(self.input_dilation, rank, "input_dilation"),
            kernel_dilation=per_axis(self.kernel_dilation, rank, "kernel_dilation"),
            feature_group_count=self.feature_group_count,
            dtype=self.dtype,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
            out_sharding=out_sharding,
            conv_general_dilated=self.conv_general_dilated,
            promote_dtype=spread(self.promote_dtype),
        )


class ConvTranspose(Layer):
    """Spread each input over a window: the transpose of a strided convolution.

    Args:
        in_features: the size of the last axis of the input.
        out_features: the size of the last axis of the output.
        kernel_size: the size of the kernel along each spatial axis.
        strides: how many outputs stand for one input, along each spatial axis.
        padding: ``"SAME"``, ``"VALID"``, ``"CIRCULAR"``, or integers or pairs (low, high).
        kernel_dilation: spacing of the kernel's entries.
        use_bias: whether to add a vector.
        mask: multiplies the kernel; of its shape.
        dtype: dtype of the computation.
        param_dtype: dtype of the parameters.
        precision: as in ``jax.lax.conv_transpose``.
        kernel_init: draws the kernel.
        bias_init: draws the vector.
        transpose_kernel: flip the kernel and exchange its features, so that the same kernel gives
            the transpose of ``Conv``.
        promote_dtype: brings inputs and parameters, given as one tuple, to one dtype.
        preferred_element_type: as in ``jax.lax.conv_transpose``.
        rngs: the stream ``params`` draws the parameters.
        kernel_metadata: metadata of the kernel.
        bias_metadata: metadata of the vector.

    Raises:
        ValueError: the mask does not fit the kernel.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.ConvTranspose(3, 4, kernel_size=(2, 2), strides=(2, 2), rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((1, 4, 4, 3))).shape
    (1, 8, 8, 4)
    """

    kernel: Param[Array]
    bias: Param[Array] | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: Sizes,
        strides: Sizes | None = None,
        *,
        padding: PaddingLike = "SAME",
        kernel_dilation: Sizes | None = None,
        use_bias: bool = True,
        mask: Array | None = None,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        precision: PrecisionLike = None,
        kernel_init: Initializer = default_kernel_init,
        bias_init: Initializer = default_bias_init,
        transpose_kernel: bool = False,
        promote_dtype: Promote = promote_dtype,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs,
        kernel_metadata: Mapping[str, Any] = NO_METADATA,
        bias_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        sizes = as_tuple(kernel_size)
        ends = (out_features, in_features) if transpose_kernel else (in_features, out_features)
        shape = (*sizes, *ends)
        _check_mask(mask, shape)
        stream = params_of(rngs, self)
        kernel = draw(stream, kernel_init, shape, param_dtype)
        bias = None
        if use_bias:
            bias = param(draw(stream, bias_init, (out_features,), param_dtype), bias_metadata)
        self._set_up(
            _KERNEL_AND_BIAS,
            kernel_size=sizes,
            **chosen(
                given,
                "in_features out_features strides padding kernel_dilation use_bias mask "
                "dtype param_dtype precision transpose_kernel promote_dtype "
                "preferred_element_type",
            ),
            kernel_shape=shape,
            kernel=param(kernel, kernel_metadata),
            bias=bias,
        )

    def __call__(self, inputs: Array) -> Array:
        """Convolve ``(*batch, *spatial, in_features)``, with any number of batch axes.

        Raises:
            ValueError: kernel, padding or mask do not fit the inputs.
        """
        inputs = as_array(inputs, self)
        rank = len(self.kernel_size)
        return conv_transpose(
            inputs,
            value_of(self.kernel),
            value_of(self.bias),
            self.mask,
            strides=per_axis(self.strides, rank, "strides"),
            padding=convolution.canonicalize_padding(self.padding, rank),
            kernel_dilation=per_axis(self.kernel_dilation, rank, "kernel_dilation"),
            transpose_kernel=self.transpose_kernel,
            dtype=self.dtype,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
            promote_dtype=spread(self.promote_dtype),
        )
