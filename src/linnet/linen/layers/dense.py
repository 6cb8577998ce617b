"""Layers that multiply by a matrix or look up its rows; the arithmetic stands in ``linnet.ops``.

A layer declares what configures it, makes its parameters, and calls one op. ``dtype`` is that of
the computation (``None`` promotes from inputs and parameters), ``param_dtype`` that of the
parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, DotGeneral, Dtype, Initializer, PrecisionLike, PromoteDtype
from linnet.linen.modules.module import Module, compact, merge_param
from linnet.ops import embedding, linear
from linnet.ops.axes import as_tuple, from_front
from linnet.ops.drawing import Flattened
from linnet.ops.dtypes import as_array, promote_dtype
from linnet.ops.initializers import lecun_normal, variance_scaling, zeros

default_kernel_init = lecun_normal()
default_embed_init = variance_scaling(1.0, "fan_in", "normal", out_axis=0)


def hooks_of(layer: Any, **others: Callable[..., Any] | None) -> dict[str, Any]:
    """Return the callables that a user put in the place of arithmetic."""
    given = {name: hook for name, hook in others.items() if hook is not None}
    if layer.promote_dtype is not promote_dtype:
        given["promote_dtype"] = layer.promote_dtype
    return given


def _dot_general(layer: Any) -> DotGeneral | None:
    """Return the layer's own ``dot_general``, made now if a class was given."""
    make = layer.dot_general_cls
    return layer.dot_general if make is None else make()


def last_size(inputs: Array, layer: str) -> int:
    """Return the size of the last axis of the inputs."""
    shape = inputs.shape
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
        inputs = as_array(inputs, self)
        shape = (last_size(inputs, "Dense"), self.features)
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
            **hooks_of(self, dot_general=_dot_general(self)),
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
        inputs = as_array(inputs, self)
        features, batch_dims = as_tuple(self.features), as_tuple(self.batch_dims)
        if set(batch_dims) != set(range(len(batch_dims))):
            raise ValueError(
                f"batch_dims={batch_dims} are not the leading axes of the inputs, 0, 1, ... "
                "without a gap. Move them to the front with jnp.moveaxis and count from 0."
            )
        axis = from_front(self.axis, inputs.ndim)
        batch = tuple(inputs.shape[dim] for dim in batch_dims)
        ins = (*batch, *(inputs.shape[dim] for dim in axis))
        kernel = self.param(
            "kernel",
            Flattened(self.kernel_init, len(ins)),
            (*ins, *features),
            self.param_dtype,
        )
        bias = (
            self.param("bias", Flattened(self.bias_init, 0), (*batch, *features), self.param_dtype)
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
            **hooks_of(self, dot_general=_dot_general(self)),
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
        inputs = as_array(inputs, self)
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
            **hooks_of(self),
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
        inputs = as_array(inputs, self)
        return embedding.embed(inputs, self.embedding, dtype=self.dtype, **hooks_of(self))

    def attend(self, query: Array) -> Array:
        """Score queries against every row: ``(..., features)`` to ``(..., num_embeddings)``."""
        query = as_array(query, self)
        return embedding.attend(query, self.embedding, dtype=self.dtype, **hooks_of(self))
