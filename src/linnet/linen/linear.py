"""Layers that are linear in their inputs; the arithmetic stands in ``linnet.ops``.

A layer declares what configures it, makes its parameters, and calls one op. ``dtype`` is that of
the computation (``None`` promotes from inputs and parameters), ``param_dtype`` that of the
parameters.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from linnet.base.typing import (
    Array,
    ConvGeneralDilated,
    DotGeneral,
    Dtype,
    Initializer,
    PaddingLike,
    PrecisionLike,
    PromoteDtype,
)
from linnet.linen.module import Module, compact, merge_param
from linnet.ops import convolution, embedding, linear
from linnet.ops.axes import as_tuple, from_front, per_axis
from linnet.ops.drawing import flattened
from linnet.ops.dtypes import promote_dtype
from linnet.ops.initializers import lecun_normal, variance_scaling, zeros
from linnet.ops.transposed_convolution import conv_transpose

default_kernel_init = lecun_normal()
default_embed_init = variance_scaling(1.0, "fan_in", "normal", out_axis=0)


def _hooks(layer: Any, **others: Callable[..., Any] | None) -> dict[str, Callable[..., Any]]:
    """Return the callables that a user put in the place of arithmetic."""
    given = {name: hook for name, hook in others.items() if hook is not None}
    if layer.promote_dtype is not promote_dtype:
        given["promote_dtype"] = layer.promote_dtype
    return given


def _dot_general(layer: Any) -> DotGeneral | None:
    """Return the layer's own ``dot_general``, made now if a class was given."""
    make = layer.dot_general_cls
    return layer.dot_general if make is None else make()


def _last(inputs: Array, layer: str) -> int:
    """Return the size of the last axis of the inputs."""
    shape = jnp.shape(inputs)
    if not shape:
        raise ValueError(
            f"{layer} maps the last axis of its inputs, but they are a scalar. Give them an axis "
            "of features: jnp.reshape(inputs, (1,))."
        )
    return shape[-1]


class Dense(Module):
    """Multiply the last axis by a matrix and add a vector: ``y = x @ kernel + bias``.

    Attributes:
      features: the size of the last axis of the output.
      use_bias: whether to add a vector.
      dtype: dtype of the computation.
      param_dtype: dtype of the parameters.
      precision: as in ``jax.lax.dot_general``.
      kernel_init: draws the matrix.
      bias_init: draws the vector.
      promote_dtype: brings inputs and parameters to one dtype.
      dot_general: in the place of ``jax.lax.dot_general``.
      dot_general_cls: makes ``dot_general``, at each call.

    >>> import jax, linnet.linen as nn
    >>> layer = nn.Dense(4)
    >>> variables = layer.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> jax.tree.map(jnp.shape, variables)
    {'params': {'bias': (4,), 'kernel': (3, 4)}}
    """

    features: int
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    precision: PrecisionLike = None
    kernel_init: Initializer = default_kernel_init
    bias_init: Initializer = zeros
    promote_dtype: PromoteDtype = promote_dtype
    dot_general: DotGeneral | None = None
    dot_general_cls: Any = None

    @compact
    def __call__(self, inputs: Array) -> Array:
        """Map the last axis: ``(..., in_features)`` to ``(..., features)``."""
        shape = (_last(inputs, "Dense"), self.features)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = (
            self.param("bias", self.bias_init, (self.features,), self.param_dtype)
            if self.use_bias
            else None
        )
        return linear.dense(
            inputs,
            kernel,
            bias,
            dtype=self.dtype,
            precision=self.precision,
            **_hooks(self, dot_general=_dot_general(self)),
        )


class DenseGeneral(Module):
    """Contract any axes of the inputs with a kernel of any output axes.

    Attributes:
      features: the sizes of the output axes, which come last.
      axis: the axes of the inputs to contract.
      batch_dims: leading axes of the inputs over which the kernel varies.
      use_bias: whether to add a bias.
      dtype: dtype of the computation.
      param_dtype: dtype of the parameters.
      kernel_init: draws the kernel, as a matrix of all its inputs by all its outputs.
      bias_init: draws the bias, as a vector.
      precision: as in ``jax.lax.dot_general``.
      promote_dtype: brings inputs and parameters to one dtype.
      dot_general: in the place of ``jax.lax.dot_general``.
      dot_general_cls: makes ``dot_general``, at each call.

    >>> import jax, linnet.linen as nn
    >>> layer = nn.DenseGeneral((4, 5), axis=(1, -1))
    >>> y, variables = layer.init_with_output(jax.random.key(0), jnp.ones((1, 2, 3)))
    >>> y.shape, variables["params"]["kernel"].shape
    ((1, 4, 5), (2, 3, 4, 5))
    """

    features: int | Sequence[int]
    axis: int | Sequence[int] = -1
    batch_dims: Sequence[int] = ()
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    kernel_init: Initializer = default_kernel_init
    bias_init: Initializer = zeros
    precision: PrecisionLike = None
    promote_dtype: PromoteDtype = promote_dtype
    dot_general: DotGeneral | None = None
    dot_general_cls: Any = None

    @compact
    def __call__(self, inputs: Array) -> Array:
        """Contract.

        Raises:
          ValueError: ``batch_dims`` are not the leading axes.
        """
        features, batch_dims = as_tuple(self.features), as_tuple(self.batch_dims)
        if set(batch_dims) != set(range(len(batch_dims))):
            raise ValueError(
                f"batch_dims={batch_dims} are not the leading axes of the inputs, 0, 1, ... "
                "without a gap. Move them to the front with jnp.moveaxis and count from 0."
            )
        axis = from_front(self.axis, inputs.ndim)
        batch = tuple(inputs.shape[dim] for dim in batch_dims)
        ins = (*batch, *(inputs.shape[dim] for dim in sorted(axis)))
        kernel = self.param(
            "kernel",
            flattened(self.kernel_init, len(ins)),
            (*ins, *features),
            self.param_dtype,
        )
        bias = (
            self.param(
                "bias", flattened(self.bias_init, 0), (*batch, *features), self.param_dtype
            )
            if self.use_bias
            else None
        )
        return linear.dense_general(
            inputs,
            kernel,
            bias,
            axis=axis,
            batch_dims=batch_dims,
            dtype=self.dtype,
            precision=self.precision,
            **_hooks(self, dot_general=_dot_general(self)),
        )


class Einsum(Module):
    """Contract the inputs with a kernel as an einsum equation says.

    Attributes:
      shape: the shape of the kernel.
      einsum_str: the equation of inputs and kernel, ``"...i,io->...o"``; here or to the call.
      use_bias: whether to add a bias, which varies along the axes of the kernel in the output.
      dtype: dtype of the computation.
      param_dtype: dtype of the parameters.
      precision: as in ``jax.numpy.einsum``.
      kernel_init: draws the kernel.
      bias_init: draws the bias.
      promote_dtype: brings inputs and parameters to one dtype.
      preferred_element_type: as in ``jax.numpy.einsum``.

    >>> import jax, linnet.linen as nn
    >>> layer = nn.Einsum((3, 4), "bi,io->bo")
    >>> jax.tree.map(jnp.shape, layer.init(jax.random.key(0), jnp.ones((2, 3))))
    {'params': {'bias': (4,), 'kernel': (3, 4)}}
    """

    shape: Sequence[int]
    einsum_str: str | None = None
    use_bias: bool = True
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    precision: PrecisionLike = None
    kernel_init: Initializer = default_kernel_init
    bias_init: Initializer = zeros
    promote_dtype: PromoteDtype = promote_dtype
    preferred_element_type: Dtype | None = None

    @compact
    def __call__(self, inputs: Array, einsum_str: str | None = None) -> Array:
        """Contract.

        Raises:
          ValueError: the equation is given neither here nor to the constructor, or twice, or is
            not of two operands and an output.
        """
        equation = linear.check_einsum(merge_param("einsum_str", self.einsum_str, einsum_str))
        shape = tuple(self.shape)
        kernel = self.param("kernel", self.kernel_init, shape, self.param_dtype)
        bias = None
        if self.use_bias:
            bias_shape, _ = linear.einsum_bias_shapes(equation, inputs.ndim, shape)
            bias = self.param("bias", self.bias_init, bias_shape, self.param_dtype)
        return linear.einsum(
            inputs,
            kernel,
            bias,
            equation=equation,
            dtype=self.dtype,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
            **_hooks(self),
        )


class Embed(Module):
    """Look up vectors by integers, in a table of parameters.

    Attributes:
      num_embeddings: how many vectors there are.
      features: the size of each.
      dtype: dtype of the result; ``None`` keeps the table's.
      param_dtype: dtype of the table.
      embedding_init: draws the table.
      promote_dtype: brings query and table to one dtype.

    >>> import jax, linnet.linen as nn
    >>> layer = nn.Embed(num_embeddings=5, features=3)
    >>> variables = layer.init(jax.random.key(0), jnp.array([1, 4]))
    >>> layer.apply(variables, jnp.array([[1, 4]])).shape
    (1, 2, 3)
    """

    num_embeddings: int
    features: int
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    embedding_init: Initializer = default_embed_init
    promote_dtype: PromoteDtype = promote_dtype

    def setup(self) -> None:
        """Make the table."""
        self.embedding = self.param(
            "embedding",
            self.embedding_init,
            (self.num_embeddings, self.features),
            self.param_dtype,
        )

    def __call__(self, inputs: Array) -> Array:
        """Look up: integers ``(...)`` to ``(..., features)``.

        Raises:
          ValueError: the inputs are not integers.
        """
        return embedding.embed(inputs, self.embedding, dtype=self.dtype, **_hooks(self))

    def attend(self, query: Array) -> Array:
        """Score queries against every row: ``(..., features)`` to ``(..., num_embeddings)``."""
        return embedding.attend(query, self.embedding, dtype=self.dtype, **_hooks(self))


class _Conv(Module):
    """What a convolution with one kernel and one with a kernel at each position have in common."""

    features: int
    kernel_size: int | Sequence[int]
    strides: None | int | Sequence[int] = 1
    padding: PaddingLike = "SAME"
    input_dilation: None | int | Sequence[int] = 1
    kernel_dilation: None | int | Sequence[int] = 1
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

    def _geometry(self, kernel_size: tuple[int, ...]) -> dict[str, Any]:
        """Return how the kernel moves, one entry for each spatial axis."""
        rank = len(kernel_size)
        return {
            "strides": per_axis(self.strides, rank, "strides"),
            "padding": convolution.canonicalize_padding(self.padding, rank),
            "input_dilation": per_axis(self.input_dilation, rank, "input_dilation"),
            "kernel_dilation": per_axis(self.kernel_dilation, rank, "kernel_dilation"),
        }

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
      padding: ``"SAME"``, ``"VALID"``, ``"CIRCULAR"``, ``"REFLECT"``, ``"CAUSAL"``, or integers or
        pairs (low, high).
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
        kernel_size, groups = as_tuple(self.kernel_size), self.feature_group_count
        in_features = _last(inputs, "Conv")
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
            **_hooks(
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
        if self.feature_group_count != 1:
            raise NotImplementedError(
                f"ConvLocal with feature_group_count={self.feature_group_count}: a local "
                "convolution has no feature groups. Use feature_group_count=1, or Conv."
            )
        kernel_size = as_tuple(self.kernel_size)
        in_features = _last(inputs, "ConvLocal")
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
            **_hooks(self),
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
        kernel_size = as_tuple(self.kernel_size)
        rank = len(kernel_size)
        ends = (_last(inputs, "ConvTranspose"), self.features)
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
            **_hooks(self),
        )


__all__ = [
    "Conv",
    "ConvLocal",
    "ConvTranspose",
    "Dense",
    "DenseGeneral",
    "Einsum",
    "Embed",
    "default_embed_init",
    "default_kernel_init",
]
