"""Layers that convolve; the arithmetic stands in ``linnet.ops.convolution``."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from linnet.base.typing import (
    Array,
    ConvGeneralDilated,
    Dtype,
    Initializer,
    PaddingLike,
    PrecisionLike,
    PromoteDtype,
)
from linnet.linen.layers.dense import default_kernel_init, hooks_of, last_size
from linnet.linen.modules.module import Module, compact, nowrap
from linnet.ops import convolution
from linnet.ops.axes import as_tuple, per_axis
from linnet.ops.dtypes import as_array, promote_dtype
from linnet.ops.initializers import zeros
from linnet.ops.transposed_convolution import conv_transpose


def canonicalize_padding(padding: PaddingLike, rank: int) -> str | list[tuple[int, int]]:
    """Return a padding as a name, or as a list of one pair (low, high) for each spatial axis.

    >>> canonicalize_padding([1, (0, 2)], 2)
    [(1, 1), (0, 2)]
    """
    found = convolution.canonicalize_padding(padding, rank)
    return found if isinstance(found, str) else [(low, high) for low, high in found]


class _Conv(Module):
    """What a convolution with one kernel and one with a kernel at each position have in common."""

    features: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] | None = 1
    padding: PaddingLike = "SAME"
    input_dilation: int | Sequence[int] | None = 1
    kernel_dilation: int | Sequence[int] | None = 1
    feature_group_count: int = 1
    use_bias: bool = True
    mask: Array | None = None
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    precision: PrecisionLike = None
    kernel_init: Initializer = default_kernel_init
    bias_init: Initializer = zeros
    promote_dtype: PromoteDtype = promote_dtype
    conv_general_dilated: ConvGeneralDilated | None = None
    conv_general_dilated_cls: Any = None

    @nowrap
    def _geometry(self, kernel_size: tuple[int, ...]) -> dict[str, Any]:
        """Return how the kernel moves, one entry for each spatial axis."""
        rank = len(kernel_size)
        return {
            "strides": per_axis(self.strides, rank, "strides"),
            "padding": convolution.canonicalize_padding(self.padding, rank),
            "input_dilation": per_axis(self.input_dilation, rank, "input_dilation"),
            "kernel_dilation": per_axis(self.kernel_dilation, rank, "kernel_dilation"),
        }

    @nowrap
    def _parameters(
        self, kernel_shape: tuple[int, ...], bias_shape: tuple[int, ...]
    ) -> tuple[Array, Array | None]:
        """Make kernel and bias."""
        if self.mask is not None:
            convolution.check_conv((0,) * len(kernel_shape), kernel_shape, self.mask.shape)
        kernel = self.param("kernel", self.kernel_init, kernel_shape, self.param_dtype)
        if not self.use_bias:
            return kernel, None
        return kernel, self.param("bias", self.bias_init, bias_shape, self.param_dtype)


class Conv(_Conv):
    """Slide one kernel over the spatial axes.

    Attributes:
        features: the size of the last axis of the output.
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
        promote_dtype: brings inputs and parameters to one dtype.
        conv_general_dilated: in the place of ``jax.lax.conv_general_dilated``.
        conv_general_dilated_cls: makes ``conv_general_dilated``, at each call.

    >>> import jax, linnet.linen as nn
    >>> layer = nn.Conv(4, kernel_size=(3, 3))
    >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 2)))
    >>> y.shape, variables["params"]["kernel"].shape
    ((1, 8, 8, 4), (3, 3, 2, 4))
    """

    @compact
    def __call__(self, inputs: Array) -> Array:
        """Convolve ``(*batch, *spatial, in_features)``, with any number of batch axes.

        Raises:
            ValueError: kernel, padding, groups or mask do not fit the inputs.
        """
        inputs = as_array(inputs, self)
        kernel_size, groups = as_tuple(self.kernel_size), self.feature_group_count
        in_features = last_size(inputs, "Conv")
        if in_features % groups:
            raise ValueError(
                f"feature_group_count={groups} does not divide the {in_features} features of "
                f"inputs of shape {inputs.shape}. Use a divisor of {in_features}."
            )
        kernel, bias = self._parameters(
            (*kernel_size, in_features // groups, self.features), (self.features,)
        )
        make = self.conv_general_dilated_cls
        return convolution.conv(
            inputs,
            kernel,
            bias,
            self.mask,
            **self._geometry(kernel_size),
            feature_group_count=groups,
            dtype=self.dtype,
            precision=self.precision,
            **hooks_of(
                self,
                conv_general_dilated=self.conv_general_dilated if make is None else make(),
            ),
        )


class ConvLocal(_Conv):
    """Slide over the spatial axes with a kernel of its own at each position.

    The attributes are those of ``Conv``; there are no feature groups, and ``conv_general_dilated``
    has no part in a local convolution.

    >>> import jax, linnet.linen as nn
    >>> layer = nn.ConvLocal(4, kernel_size=(3,))
    >>> jax.tree.map(jnp.shape, layer.init(jax.random.key(0), jnp.ones((1, 8, 2))))
    {'params': {'bias': (8, 4), 'kernel': (8, 6, 4)}}
    """

    @compact
    def __call__(self, inputs: Array) -> Array:
        """Convolve ``(*batch, *spatial, in_features)``, with any number of batch axes.

        Raises:
            NotImplementedError: feature groups are asked for.
            ValueError: kernel, padding or mask do not fit the inputs.
        """
        inputs = as_array(inputs, self)
        if self.feature_group_count != 1:
            raise NotImplementedError(
                f"ConvLocal with feature_group_count={self.feature_group_count}: a local "
                "convolution has no feature groups. Use feature_group_count=1, or Conv."
            )
        kernel_size = as_tuple(self.kernel_size)
        in_features = last_size(inputs, "ConvLocal")
        rank = len(kernel_size)
        convolution.check_conv(inputs.shape, (*kernel_size, in_features, self.features), None)
        geometry = self._geometry(kernel_size)
        positions = convolution.conv_local_positions(
            inputs.shape[-rank - 1 : -1], kernel_size, **geometry
        )
        kernel, bias = self._parameters(
            (*positions, math.prod(kernel_size) * in_features, self.features),
            (*positions, self.features),
        )
        return convolution.conv_local(
            inputs,
            kernel,
            bias,
            self.mask,
            kernel_size=kernel_size,
            **geometry,
            dtype=self.dtype,
            precision=self.precision,
            **hooks_of(self),
        )


class ConvTranspose(Module):
    """Spread each input over a window: the transpose of a strided convolution.

    Attributes:
        features: the size of the last axis of the output.
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
        promote_dtype: brings inputs and parameters to one dtype.
        preferred_element_type: as in ``jax.lax.conv_transpose``.

    >>> import jax, linnet.linen as nn
    >>> layer = nn.ConvTranspose(4, kernel_size=(2, 2), strides=(2, 2))
    >>> layer.init_with_output(jax.random.key(0), jnp.ones((1, 4, 4, 3)))[0].shape
    (1, 8, 8, 4)
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: Sequence[int] | None = None
    padding: PaddingLike = "SAME"
    kernel_dilation: Sequence[int] | None = None
    use_bias: bool = True
    mask: Array | None = None
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    precision: PrecisionLike = None
    kernel_init: Initializer = default_kernel_init
    bias_init: Initializer = zeros
    transpose_kernel: bool = False
    promote_dtype: PromoteDtype = promote_dtype
    preferred_element_type: Dtype | None = None

    @compact
    def __call__(self, inputs: Array) -> Array:
        """Convolve ``(*batch, *spatial, in_features)``, with any number of batch axes.

        Raises:
            ValueError: kernel, padding or mask do not fit the inputs.
        """
        inputs = as_array(inputs, self)
        kernel_size = as_tuple(self.kernel_size)
        rank = len(kernel_size)
        ends = (last_size(inputs, "ConvTranspose"), self.features)
        shape = (*kernel_size, *(reversed(ends) if self.transpose_kernel else ends))
        if self.mask is not None:
            convolution.check_conv((0,) * len(shape), shape, self.mask.shape)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = (
            self.param("bias", self.bias_init, (self.features,), self.param_dtype)
            if self.use_bias
            else None
        )
        return conv_transpose(
            inputs,
            kernel,
            bias,
            self.mask,
            strides=per_axis(self.strides, rank, "strides"),
            padding=convolution.canonicalize_padding(self.padding, rank),
            kernel_dilation=per_axis(self.kernel_dilation, rank, "kernel_dilation"),
            transpose_kernel=self.transpose_kernel,
            dtype=self.dtype,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
            **hooks_of(self),
        )
