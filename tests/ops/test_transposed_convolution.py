"""Transposed convolutions against Flax's layer."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import pytest

from differential.functions import assert_same_function, draw
from linnet.ops.axes import per_axis
from linnet.ops.convolution import canonicalize_padding
from linnet.ops.transposed_convolution import conv_transpose

CASES = [
    ((2, 8, 3), {"kernel_size": (3,), "strides": (2,)}),
    ((2, 8, 3), {"kernel_size": (3,), "padding": "VALID", "kernel_dilation": (2,)}),
    ((2, 8, 3), {"kernel_size": (3,), "padding": 1}),
    ((2, 8, 3), {"kernel_size": (3,), "padding": ((1, 2),), "strides": (3,)}),
    ((2, 8, 3), {"kernel_size": (3,), "padding": "CIRCULAR", "strides": (2,)}),
    ((2, 3, 3), {"kernel_size": (9,), "padding": "CIRCULAR"}),
    ((2, 4, 5, 3), {"kernel_size": (3, 4), "padding": "CIRCULAR", "strides": (2, 3)}),
    ((4, 5, 3), {"kernel_size": (3, 3), "strides": (2, 2)}),
    ((2, 2, 5, 3), {"kernel_size": (3,)}),
    ((2, 5, 3), {"kernel_size": (3,), "dtype": jnp.bfloat16}),
]


@pytest.mark.parametrize("transpose_kernel", [False, True])
@pytest.mark.parametrize(("shape", "case"), CASES)
def test_conv_transpose_agrees(shape, case, transpose_kernel):
    """Every padding, stride, dilation and batch shape gives Flax's outputs and gradients."""
    layer = fnn.ConvTranspose(4, transpose_kernel=transpose_kernel, **case)
    x = draw(0, *shape)
    params = layer.init(jax.random.key(0), x)["params"]
    rank = len(case["kernel_size"])
    assert_same_function(
        lambda *args: conv_transpose(
            *args,
            strides=per_axis(case.get("strides"), rank, "strides"),
            padding=canonicalize_padding(case.get("padding", "SAME"), rank),
            kernel_dilation=per_axis(case.get("kernel_dilation"), rank, "kernel_dilation"),
            transpose_kernel=transpose_kernel,
            dtype=case.get("dtype"),
        ),
        lambda x, kernel, bias: layer.apply({"params": {"kernel": kernel, "bias": bias}}, x),
        x,
        params["kernel"],
        draw(1, 4),
        computed_in=case.get("dtype"),
    )


@pytest.mark.parametrize("padding", ["CAUSAL", "REFLECT"])
def test_padding_without_transpose(padding):
    """A padding that has no transpose is refused, and those that have are named."""
    with pytest.raises(ValueError, match="CIRCULAR"):
        conv_transpose(
            draw(0, 2, 8, 3),
            draw(1, 3, 3, 4),
            strides=(1,),
            padding=padding,
            kernel_dilation=(1,),
        )
