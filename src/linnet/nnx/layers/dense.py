"""Layers that multiply by a kernel; the arithmetic stands in ``linnet.ops``.

``dtype`` is that of the computation (``None`` promotes from inputs and parameters), ``param_dtype``
that of the parameters.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jax.lax import dot_general as default_dot_general

from linnet.base.typing import Array, DotGeneral, Dtype, Initializer, PrecisionLike
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.layers.layer import (
    NO_METADATA,
    Layer,
    chosen,
    default_kernel_init,
    draw,
    draw_flat,
    param,
    params_of,
    spread,
    value_of,
)
from linnet.nnx.objects.kinds import Param
from linnet.nnx.random.streams import Rngs
from linnet.ops import linear
from linnet.ops.axes import as_tuple
from linnet.ops.dtypes import as_array
from linnet.ops.initializers import zeros
from linnet.tree.frozen_dict import FrozenDict

default_bias_init = zeros

_KERNEL_AND_BIAS = ("kernel", "bias")
_NO_BATCH: FrozenDict[int, int] = FrozenDict({})
Promote = Callable[..., Any]


class Linear(Layer):
    """Multiply the last axis by a matrix and add a vector: ``y = x @ kernel + bias``.

    Args:
        in_features: the size of the last axis of the input.
        out_features: the size of the last axis of the output.
        use_bias: whether to add a vector.
        dtype: dtype of the computation.
        param_dtype: dtype of the parameters.
        precision: as in ``jax.lax.dot_general``.
        kernel_init: draws the matrix.
        bias_init: draws the vector.
        dot_general: in the place of ``jax.lax.dot_general``.
        promote_dtype: brings inputs and parameters, given as one tuple, to one dtype.
        preferred_element_type: as in ``jax.lax.dot_general``.
        rngs: the stream ``params`` draws the parameters.
        kernel_metadata: metadata of the matrix.
        bias_metadata: metadata of the vector.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.Linear(3, 4, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((1, 3))).shape, layer.kernel.shape
    ((1, 4), (3, 4))
    """

    kernel: Param[Array]
    bias: Param[Array] | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        precision: PrecisionLike = None,
        kernel_init: Initializer = default_kernel_init,
        bias_init: Initializer = default_bias_init,
        dot_general: DotGeneral = default_dot_general,
        promote_dtype: Promote = promote_dtype,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs,
        kernel_metadata: Mapping[str, Any] = NO_METADATA,
        bias_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        stream = params_of(rngs, self)
        kernel = draw(stream, kernel_init, (in_features, out_features), param_dtype)
        bias = None
        if use_bias:
            bias = param(draw(stream, bias_init, (out_features,), param_dtype), bias_metadata)
        self._set_up(
            _KERNEL_AND_BIAS,
            kernel=param(kernel, kernel_metadata),
            bias=bias,
            **chosen(
                given,
                "in_features out_features use_bias dtype param_dtype precision "
                "dot_general promote_dtype preferred_element_type",
            ),
        )

    def __call__(self, inputs: Array, out_sharding: Any = None) -> Array:
        """Map the last axis: ``(..., in_features)`` to ``(..., out_features)``.

        Args:
            inputs: what to map.
            out_sharding: how the result is laid out over devices of an explicit mesh.

        Raises:
            ShapeMismatchError: the inputs have other features.
        """
        inputs = as_array(inputs, self)
        return linear.dense(
            inputs,
            value_of(self.kernel),
            value_of(self.bias),
            dtype=self.dtype,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
            out_sharding=out_sharding,
            dot_general=self.dot_general,
            promote_dtype=spread(self.promote_dtype),
        )


class LinearGeneral(Layer):
    """Contract any axes of the inputs with a kernel of any output axes.

    Args:
        in_features: the sizes of the axes to contract.
        out_features: the sizes of the output axes, which come last.
        axis: the axes of the inputs to contract.
        batch_axis: leading axes of the inputs over which the kernel varies, and their sizes.
        use_bias: whether to add a bias.
        dtype: dtype of the computation.
        param_dtype: dtype of the parameters.
        kernel_init: draws the kernel, as a matrix of all its inputs by all its outputs.
        bias_init: draws the bias, as a vector.
        precision: as in ``jax.lax.dot_general``.
        promote_dtype: brings inputs and parameters, given as one tuple, to one dtype.
        dot_general: in the place of ``jax.lax.dot_general``.
        dot_general_cls: makes ``dot_general``, at each call.
        preferred_element_type: as in ``jax.lax.dot_general``.
        rngs: the stream ``params`` draws the parameters.
        kernel_metadata: metadata of the kernel.
        bias_metadata: metadata of the bias.

    Raises:
        ValueError: ``in_features`` and ``axis`` differ in length, or ``batch_axis`` are not the
            leading axes.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.LinearGeneral((2, 3), (4, 5), axis=(1, -1), rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((1, 2, 3))).shape, layer.kernel.shape
    ((1, 4, 5), (2, 3, 4, 5))
    """

    kernel: Param[Array]
    bias: Param[Array] | None

    def __init__(
        self,
        in_features: int | Sequence[int],
        out_features: int | Sequence[int],
        *,
        axis: int | Sequence[int] = -1,
        batch_axis: Mapping[int, int] = _NO_BATCH,
        use_bias: bool = True,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        kernel_init: Initializer = default_kernel_init,
        bias_init: Initializer = default_bias_init,
        precision: PrecisionLike = None,
        promote_dtype: Promote = promote_dtype,
        dot_general: DotGeneral | None = None,
        dot_general_cls: Any = None,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs,
        kernel_metadata: Mapping[str, Any] = NO_METADATA,
        bias_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        stream = params_of(rngs, self)
        ins, outs, axes = as_tuple(in_features), as_tuple(out_features), as_tuple(axis)
        batch = _check_axes(ins, axes, batch_axis)
        # a kernel with batch axes is drawn as a matrix for all of the batch
        kernel = draw_flat(
            stream, kernel_init, len(batch) + len(ins), (*batch, *ins, *outs), param_dtype
        )
        bias = None
        if use_bias:
            drawn = draw_flat(stream, bias_init, 0, (*batch, *outs), param_dtype)
            bias = param(drawn, bias_metadata)
        self._set_up(
            _KERNEL_AND_BIAS,
            in_features=ins,
            out_features=outs,
            axis=axes,
            batch_axis=batch_axis if isinstance(batch_axis, FrozenDict) else FrozenDict(batch_axis),
            **chosen(
                given,
                "use_bias dtype param_dtype precision dot_general dot_general_cls "
                "promote_dtype preferred_element_type",
            ),
            kernel=param(kernel, kernel_metadata),
            bias=bias,
        )

    def __call__(self, inputs: Array, out_sharding: Any = None) -> Array:
        """Contract.

        Args:
            inputs: what to map.
            out_sharding: how the result is laid out over devices of an explicit mesh.

        Raises:
            ShapeMismatchError: the inputs have other features.
        """
        inputs = as_array(inputs, self)
        make = self.dot_general_cls
        return linear.dense_general(
            inputs,
            value_of(self.kernel),
            value_of(self.bias),
            axis=self.axis,
            batch_dims=tuple(self.batch_axis),
            dtype=self.dtype,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
            out_sharding=out_sharding,
            dot_general=self.dot_general if make is None else make(),
            promote_dtype=spread(self.promote_dtype),
        )


def _check_axes(
    features: tuple[int, ...], axis: tuple[int, ...], batch_axis: Mapping[int, int]
) -> tuple[int, ...]:
    """Check the axes of a ``LinearGeneral``, and return the sizes of the batch axes."""
    if len(features) != len(axis):
        raise ValueError(
            f"LinearGeneral with in_features={features} and axis={axis}: each axis to contract has "
            "a size. Give as many of the one as of the other."
        )
    places = tuple(sorted(batch_axis))
    if places != tuple(range(len(places))):
        raise ValueError(
            f"batch_axis={dict(batch_axis)} does not name the leading axes of the inputs, 0, 1, "
            "... without a gap. Move them to the front with jnp.moveaxis and count from 0."
        )
    return tuple(batch_axis[place] for place in places)


class Einsum(Layer):
    """Contract the inputs with a kernel as an einsum equation says, and add a bias.

    Args:
        einsum_str: the equation of inputs and kernel, ``"...i,io->...o"``.
        kernel_shape: the shape of the kernel.
        bias_shape: the shape of the bias; ``None`` for none. It varies along those axes of the
            kernel that reach the output.
        dtype: dtype of the computation.
        param_dtype: dtype of the parameters.
        precision: as in ``jax.numpy.einsum``.
        kernel_init: draws the kernel.
        bias_init: draws the bias.
        promote_dtype: brings inputs and parameters, given as one tuple, to one dtype.
        einsum_op: in the place of ``jax.numpy.einsum``.
        preferred_element_type: as in ``jax.numpy.einsum``.
        rngs: the stream ``params`` draws the parameters.
        kernel_metadata: metadata of the kernel.
        bias_metadata: metadata of the bias.

    Raises:
        ValueError: the equation is not of two operands and an output.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.Einsum("nta,hab->nthb", (8, 2, 4), (8, 4), rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((16, 11, 2))).shape
    (16, 11, 8, 4)
    """

    kernel: Param[Array]
    bias: Param[Array] | None

    def __init__(
        self,
        einsum_str: str,
        kernel_shape: int | Sequence[int],
        bias_shape: int | Sequence[int] | None = None,
        *,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        precision: PrecisionLike = None,
        kernel_init: Initializer = default_kernel_init,
        bias_init: Initializer = default_bias_init,
        promote_dtype: Promote = promote_dtype,
        einsum_op: Callable[..., Array] = jnp.einsum,
        preferred_element_type: Dtype | None = None,
        rngs: Rngs,
        kernel_metadata: Mapping[str, Any] = NO_METADATA,
        bias_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        einsum_str = linear.check_einsum(einsum_str)
        stream = params_of(rngs, self)
        kernel = draw(stream, kernel_init, as_tuple(kernel_shape), param_dtype)
        bias = None
        if bias_shape is not None:
            drawn = draw(stream, bias_init, as_tuple(bias_shape), param_dtype)
            bias = param(drawn, bias_metadata)
        self._set_up(
            _KERNEL_AND_BIAS,
            kernel=param(kernel, kernel_metadata),
            bias=bias,
            einsum_str=einsum_str,
            **chosen(
                given,
                "kernel_shape bias_shape dtype param_dtype precision promote_dtype "
                "einsum_op preferred_element_type",
            ),
        )

    def __call__(
        self, inputs: Array, einsum_str: str | None = None, out_sharding: Any = None
    ) -> Array:
        """Contract.

        Args:
            inputs: the first operand.
            einsum_str: another equation than that of the constructor.
            out_sharding: how the result is laid out over devices of an explicit mesh.

        Raises:
            ValueError: the equation is not of two operands and an output.
        """
        inputs = as_array(inputs, self)
        equation = self.einsum_str if einsum_str is None else linear.check_einsum(einsum_str)
        return linear.einsum(
            inputs,
            value_of(self.kernel),
            value_of(self.bias),
            equation=equation,
            dtype=self.dtype,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
            out_sharding=out_sharding,
            einsum=self.einsum_op,
            promote_dtype=spread(self.promote_dtype),
        )
