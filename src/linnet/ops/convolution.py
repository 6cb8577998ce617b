"""Convolution with one kernel, and with a kernel of its own at each position.

Inputs are ``(*batch, *spatial, in_features)``, with any number of batch axes, none included; the
kernel ``(*kernel_size, in_features / groups, features)``. What a padding may be:

* ``"VALID"``: none; ``"SAME"``: zeros, so that with stride 1 the output is as large as the input;
* ``"CIRCULAR"``, ``"REFLECT"``: as large as ``"SAME"``, the borders wrapped round or mirrored;
* ``"CAUSAL"``: zeros on the left only, in one dimension, so that no output sees a later input;
* an integer for all sides, or for each spatial axis an integer or a pair (low, high).
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from linnet.base.errors import ShapeMismatchError
from linnet.base.typing import (
    Array,
    ConvGeneralDilated,
    Dtype,
    LaxPadding,
    PaddingLike,
    PrecisionLike,
    PromoteDtype,
)
from linnet.ops import dtypes
from linnet.ops.op import op

Sizes = tuple[int, ...]


def canonicalize_padding(padding: PaddingLike, rank: int) -> LaxPadding:
    """Return a padding as a name, or as one pair (low, high) for each spatial axis.

    Raises:
        ValueError: it is none of the forms, or speaks of another number of axes.

    >>> canonicalize_padding(1, 2), canonicalize_padding([1, (0, 2)], 2)
    (((1, 1), (1, 1)), ((1, 1), (0, 2)))
    """
    if isinstance(padding, str):
        return padding
    if isinstance(padding, int):
        return ((padding, padding),) * rank
    if isinstance(padding, Sequence) and len(padding) == rank:
        pairs: Any = tuple(
            (side, side) if isinstance(side, int) else tuple(side) for side in padding
        )
        if all(len(pair) == 2 for pair in pairs):
            return pairs
    raise ValueError(
        f"padding={padding!r} does not fit a kernel with {rank} spatial axes. Give a name ('SAME', "
        f"'VALID', 'CIRCULAR', 'REFLECT', 'CAUSAL'), one integer, or a sequence of {rank} integers "
        "or pairs (low, high)."
    )


def dimension_numbers(rank: int) -> lax.ConvDimensionNumbers:
    """Say where batch, space and features stand: inputs and outputs NHWC, kernels HWIO."""
    ends_in_features = (0, rank - 1, *range(1, rank - 1))
    kernel = (rank - 1, rank - 2, *range(rank - 2))
    return lax.ConvDimensionNumbers(ends_in_features, kernel, ends_in_features)


def pad_borders(
    inputs: Array, padding: LaxPadding, kernel_size: Sizes, kernel_dilation: Sizes
) -> tuple[Array, LaxPadding]:
    """Pad as ``lax`` cannot: wrapped, mirrored or causal.

    Args:
        inputs: ``(batch, *spatial, features)``.
        padding: as ``canonicalize_padding`` returns it.
        kernel_size: the size of the kernel.
        kernel_dilation: its dilation.

    Returns:
        The padded inputs, and the padding that remains to be done by ``lax``.

    Raises:
        ValueError: causal padding of more than one spatial axis.
    """
    modes = {"CIRCULAR": "wrap", "REFLECT": "reflect", "CAUSAL": "constant"}
    if not isinstance(padding, str) or padding not in modes:
        return inputs, padding
    reach = [(size - 1) * step for size, step in zip(kernel_size, kernel_dilation, strict=True)]
    if padding == "CAUSAL":
        if len(kernel_size) != 1:
            raise ValueError(
                f"padding='CAUSAL' with kernel_size={kernel_size}: only one spatial axis has an "
                "order of time. Use a kernel of one axis, or give the padding as pairs (low, high)."
            )
        sides = [(reach[0], 0)]
    else:
        sides = [(extent // 2, (extent + 1) // 2) for extent in reach]
    return jnp.pad(inputs, [(0, 0), *sides, (0, 0)], mode=modes[padding]), "VALID"


def check_conv(
    inputs_shape: Sequence[int],
    kernel_shape: Sequence[int],
    mask_shape: Sequence[int] | None,
    features: int | None = None,
) -> None:
    """Check that a kernel fits the inputs and a mask the kernel.

    Args:
        inputs_shape: the shape of the inputs.
        kernel_shape: the shape of the kernel.
        mask_shape: the shape of the mask, if there is one.
        features: how many features of the inputs the kernel is for, if that is to be checked.

    Raises:
        ValueError: it does not.
    """
    spatial = len(kernel_shape) - 2
    if min(kernel_shape[:spatial], default=1) < 1:
        raise ValueError(
            f"kernel_size={tuple(kernel_shape[:spatial])} (a kernel of shape "
            f"{tuple(kernel_shape)}): there is nothing to slide. Give it a size of 1 at least "
            "along each spatial axis."
        )
    if len(inputs_shape) < spatial + 1:
        raise ValueError(
            f"Inputs of shape {tuple(inputs_shape)} have too few axes for a kernel of shape "
            f"{tuple(kernel_shape)}: a convolution over {spatial} spatial axes needs inputs "
            f"(*batch, {', '.join(f'size_{axis}' for axis in range(spatial))}, features). Write "
            "inputs[..., None] if there is one feature."
        )
    if features is not None and inputs_shape[-1] != features:
        raise ShapeMismatchError(
            f"Inputs of shape {tuple(inputs_shape)} have {inputs_shape[-1]} features, but the "
            f"kernel, of shape {tuple(kernel_shape)}, was made for {features}. Give the layer "
            f"inputs with {features} features, or make it for {inputs_shape[-1]}."
        )
    if mask_shape is not None and tuple(mask_shape) != tuple(kernel_shape):
        raise ValueError(
            f"The mask has shape {tuple(mask_shape)}, the kernel it masks {tuple(kernel_shape)}; "
            "they must be equal: broadcast the mask with jnp.broadcast_to(mask, "
            f"{tuple(kernel_shape)})."
        )


def flatten_batch(inputs: Array, spatial: int) -> tuple[Array, Sizes]:
    """Bring any number of batch axes to one, and return their sizes."""
    batch = inputs.shape[: inputs.ndim - spatial - 1]
    return jnp.reshape(inputs, (math.prod(batch), *inputs.shape[len(batch) :])), batch


def unflatten_batch(outputs: Array, batch: Sizes) -> Array:
    """Bring the batch axes back."""
    if len(batch) == 1:
        return outputs
    return jnp.reshape(outputs, (*batch, *outputs.shape[1:]))  # (*batch, *spatial, features)


def add_bias(outputs: Array, bias: Array | None) -> Array:
    """Add a bias along the last axes."""
    if bias is None:
        return outputs
    lead = (1,) * (outputs.ndim - bias.ndim)
    return outputs + jnp.reshape(bias, lead + bias.shape)


@op(
    static=[
        "strides",
        "padding",
        "input_dilation",
        "kernel_dilation",
        "feature_group_count",
        "dtype",
        "precision",
        "preferred_element_type",
        "out_sharding",
    ],
    hooks={"conv_general_dilated": lax.conv_general_dilated, "promote_dtype": None},
    made_of=["lax.conv_general_dilated"],
)
def conv(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    strides: Sizes,
    padding: LaxPadding,
    input_dilation: Sizes,
    kernel_dilation: Sizes,
    feature_group_count: int = 1,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    preferred_element_type: Dtype | None = None,
    out_sharding: Any = None,
    conv_general_dilated: ConvGeneralDilated | None = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Slide a kernel over the spatial axes.

    ``outputs[b, s, j] = sum_{k, i} inputs[b, s * stride + k * dilation, i] * kernel[k, i, j]``,
    plus ``bias[j]``; the kernel is not flipped.

    Shapes:
        inputs: ``(*batch, *spatial, in_features)``;
        kernel and mask: ``(*kernel_size, in_features / feature_group_count, features)``;
        bias: ``(features,)``.

    Args:
        inputs: what to convolve.
        kernel: what to convolve with.
        bias: what to add, or ``None``.
        mask: multiplies the kernel, or ``None``.
        strides: how far the kernel moves, for each spatial axis.
        padding: as ``canonicalize_padding`` returns it.
        input_dilation: spacing of the inputs, for each spatial axis.
        kernel_dilation: spacing of the kernel's entries, for each spatial axis.
        feature_group_count: in how many groups of features the convolution falls apart.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.lax.conv_general_dilated``.
        preferred_element_type: as in ``jax.lax.conv_general_dilated``.
        out_sharding: as in ``jax.lax.conv_general_dilated``.
        conv_general_dilated: hook in the place of ``jax.lax.conv_general_dilated``.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(*batch, *windows, features)``.

    Raises:
        ValueError: the shapes do not fit, or the padding is causal in several dimensions.

    >>> one = (1,)
    >>> conv(jnp.arange(4.0)[:, None], jnp.ones((2, 1, 1)), strides=one, padding="CAUSAL",
    ...      input_dilation=one, kernel_dilation=one)[:, 0].tolist()
    [0.0, 1.0, 3.0, 5.0]
    """
    check_conv(
        inputs.shape,
        kernel.shape,
        None if mask is None else mask.shape,
        kernel.shape[-2] * feature_group_count,
    )
    kernel_size = kernel.shape[:-2]
    inputs, batch = flatten_batch(inputs, len(kernel_size))  # (batch, *spatial, in_features)
    inputs, padding = pad_borders(inputs, padding, kernel_size, kernel_dilation)
    if mask is not None:
        kernel = kernel * mask
    inputs, kernel, bias = (promote_dtype or dtypes.promote_dtype)(
        inputs, kernel, bias, dtype=dtype
    )
    settings: dict[str, Any] = {"precision": precision}
    if preferred_element_type is not None:
        settings["preferred_element_type"] = preferred_element_type
    if out_sharding is not None:
        settings["out_sharding"] = out_sharding
    outputs = (conv_general_dilated or lax.conv_general_dilated)(
        inputs,
        kernel,
        strides,
        padding,
        lhs_dilation=input_dilation,
        rhs_dilation=kernel_dilation,
        dimension_numbers=dimension_numbers(inputs.ndim),
        feature_group_count=feature_group_count,
        **settings,
    )
    return unflatten_batch(add_bias(outputs, bias), batch)


@functools.lru_cache(maxsize=512)
def conv_local_positions(
    spatial: Sizes,
    kernel_size: Sizes,
    *,
    strides: Sizes,
    padding: LaxPadding,
    input_dilation: Sizes,
    kernel_dilation: Sizes,
) -> Sizes:
    """Count the positions of a kernel along each spatial axis, which a local kernel has as axes.

    >>> one = (1,)
    >>> conv_local_positions((8,), (3,), strides=(2,), padding="VALID",
    ...                      input_dilation=one, kernel_dilation=one)
    (3,)
    """
    one_feature = jax.eval_shape(
        lambda inputs, kernel: conv(
            inputs,
            kernel,
            strides=strides,
            padding=padding,
            input_dilation=input_dilation,
            kernel_dilation=kernel_dilation,
        ),
        jax.ShapeDtypeStruct((1, *spatial, 1), jnp.float32),
        jax.ShapeDtypeStruct((*kernel_size, 1, 1), jnp.float32),
    )
    return one_feature.shape[1:-1]


@op(
    static=[
        "kernel_size",
        "strides",
        "padding",
        "input_dilation",
        "kernel_dilation",
        "dtype",
        "precision",
    ],
    hooks=["promote_dtype"],
    made_of=["lax.conv_general_dilated_local"],
)
def conv_local(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    kernel_size: Sizes,
    strides: Sizes,
    padding: LaxPadding,
    input_dilation: Sizes,
    kernel_dilation: Sizes,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Convolve with a kernel of its own at each position.

    Shapes:
        inputs: ``(*batch, *spatial, in_features)``; kernel and mask: ``(*positions, in_features *
        prod(kernel_size), features)``; bias: ``(*positions, features)``.

    Args:
        inputs: what to convolve.
        kernel: the kernels, each flattened, the feature the slowest index.
        bias: what to add, or ``None``.
        mask: multiplies the kernel, or ``None``.
        kernel_size: the size of the window.
        strides: how far the window moves, for each spatial axis.
        padding: as ``canonicalize_padding`` returns it.
        input_dilation: spacing of the inputs, for each spatial axis.
        kernel_dilation: spacing of the window's entries, for each spatial axis.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.lax.conv_general_dilated_local``.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(*batch, *positions, features)``.

    Raises:
        ValueError: the shapes do not fit.

    >>> one = (1,)
    >>> conv_local(jnp.ones((3, 1)), jnp.arange(2.0).reshape(2, 1, 1) * jnp.ones((2, 2, 1)),
    ...            kernel_size=(2,), strides=one, padding="VALID", input_dilation=one,
    ...            kernel_dilation=one)[:, 0].tolist()
    [0.0, 2.0]
    """
    check_conv(inputs.shape, kernel.shape, None if mask is None else mask.shape)
    inputs, batch = flatten_batch(inputs, len(kernel_size))  # (batch, *spatial, in_features)
    inputs, padding = pad_borders(inputs, padding, kernel_size, kernel_dilation)
    if mask is not None:
        kernel = kernel * mask
    inputs, kernel, bias = (promote_dtype or dtypes.promote_dtype)(
        inputs, kernel, bias, dtype=dtype
    )
    outputs = lax.conv_general_dilated_local(
        inputs,
        kernel,
        strides,
        padding,
        kernel_size,
        input_dilation,
        kernel_dilation,
        dimension_numbers(inputs.ndim),
        precision,
    )
    return unflatten_batch(add_bias(outputs, bias), batch)
