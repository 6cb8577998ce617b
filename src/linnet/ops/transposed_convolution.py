"""Transposed convolution, also called fractionally strided: the way back up from a strided one."""

import jax.numpy as jnp
from jax import lax

from linnet.base.typing import Array, Dtype, LaxPadding, PrecisionLike, PromoteDtype
from linnet.ops import dtypes
from linnet.ops.convolution import Sizes, add_bias, check_conv, flatten_batch, unflatten_batch
from linnet.ops.op import op


@op(
    static=[
        "strides",
        "padding",
        "kernel_dilation",
        "transpose_kernel",
        "dtype",
        "precision",
        "preferred_element_type",
    ],
    hooks=["promote_dtype"],
    made_of=["lax.conv_transpose"],
)
def conv_transpose(
    inputs: Array,
    kernel: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    strides: Sizes,
    padding: LaxPadding,
    kernel_dilation: Sizes,
    transpose_kernel: bool = False,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    preferred_element_type: Dtype | None = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Spread each input over a window: the linear transpose of a strided convolution.

    Shapes:
        inputs: ``(*batch, *spatial, in_features)``; kernel and mask: ``(*kernel_size, in_features,
        features)``, the last two exchanged if ``transpose_kernel``; bias: ``(features,)``.

    Args:
        inputs: what to convolve.
        kernel: what to convolve with.
        bias: what to add, or ``None``.
        mask: multiplies the kernel, or ``None``.
        strides: how many outputs stand for one input, for each spatial axis.
        padding: as ``canonicalize_padding`` returns it; ``"SAME"``, ``"VALID"``, ``"CIRCULAR"`` or
            pairs, which ``jax.lax.conv_transpose`` explains.
        kernel_dilation: spacing of the kernel's entries, for each spatial axis.
        transpose_kernel: flip the kernel and exchange its features, so that the same kernel gives
            the transpose of ``conv``.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.lax.conv_transpose``.
        preferred_element_type: as in ``jax.lax.conv_transpose``.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(*batch, *outputs, features)``.

    Raises:
        ValueError: the shapes do not fit, or the padding has no transpose.

    >>> conv_transpose(jnp.ones((2, 1)), jnp.ones((2, 1, 1)), strides=(2,), padding="SAME",
    ...                kernel_dilation=(1,))[:, 0].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    check_conv(
        inputs.shape,
        kernel.shape,
        None if mask is None else mask.shape,
        kernel.shape[-1 if transpose_kernel else -2],
    )
    if isinstance(padding, str) and padding not in ("SAME", "VALID", "CIRCULAR"):
        raise ValueError(
            f"padding={padding!r} is not defined for a transposed convolution. Use 'SAME', "
            "'VALID', 'CIRCULAR', or pairs (low, high)."
        )
    spatial = kernel.ndim - 2
    inputs, batch = flatten_batch(inputs, spatial)  # (batch, *spatial, in_features)
    if mask is not None:
        kernel = kernel * mask
    inputs, kernel, bias = (promote_dtype or dtypes.promote_dtype)(
        inputs, kernel, bias, dtype=dtype
    )
    circular = padding == "CIRCULAR"
    outputs = lax.conv_transpose(
        inputs,
        kernel,
        strides,
        "VALID" if circular else padding,
        rhs_dilation=kernel_dilation,
        transpose_kernel=transpose_kernel,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    if circular:
        periods = tuple(size * step for size, step in zip(inputs.shape[1:-1], strides, strict=True))
        outputs = _wrap(outputs, periods, odd_on_left=not transpose_kernel)
    return unflatten_batch(add_bias(outputs, bias), batch)


def _wrap(outputs: Array, periods: Sizes, *, odd_on_left: bool) -> Array:
    """Add up what stands a whole period apart along the spatial axes.

    The outputs are padded on both sides to an odd number of periods, so that those in the middle
    stay where they are; ``odd_on_left`` says on which side an odd margin has one more.
    """
    sides = [(0, 0)]
    for size, period in zip(outputs.shape[1:-1], periods, strict=True):
        margin = (period - size) % (2 * period)
        left = (margin + odd_on_left) // 2
        sides.append((left, margin - left))
    outputs = jnp.pad(outputs, [*sides, (0, 0)])
    for axis, period in enumerate(periods, start=1):
        before, after = outputs.shape[:axis], outputs.shape[axis + 1 :]
        turns = jnp.reshape(outputs, (*before, -1, period, *after))  # (..., turns, period, ...)
        outputs = turns.sum(axis=axis)
    return outputs
