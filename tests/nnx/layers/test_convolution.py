"""Layers that convolve: parameters, keys, outputs and gradients as in Flax."""

import jax
import jax.numpy as jnp
import pytest

from differential.compare import TOLERANCE
from differential.functions import draw
from differential.nnx import assert_same, assert_same_layer
from linnet import nnx
from linnet.base import errors

LINE, PLANE = draw(0, 2, 8, 4), draw(1, 2, 6, 5, 4)
BF16 = {"dtype": jnp.bfloat16}


def doubled(*args, **kwargs):
    """Stand in the place of ``conv_general_dilated``."""
    return 2 * jax.lax.conv_general_dilated(*args, **kwargs)


def halved(args, **kwargs):
    """Stand in the place of ``promote_dtype``."""
    del kwargs
    return tuple(None if x is None else x.astype(jnp.float32) / 2 for x in args)


CONV = {
    "integer": (3, {}, LINE),
    "plane": ((3, 2), {}, PLANE),
    "no batch": ((3,), {}, LINE[0]),
    "two batches": ((3,), {}, PLANE),
    "strides": ((3, 2), {"strides": (2, 1)}, PLANE),
    "one stride": ((3, 2), {"strides": 2}, PLANE),
    "no strides": ((3,), {"strides": None, "kernel_dilation": None, "input_dilation": None}, LINE),
    "valid": ((3,), {"padding": "VALID"}, LINE),
    "circular": ((3,), {"padding": "CIRCULAR"}, LINE),
    "reflect": ((3,), {"padding": "REFLECT"}, LINE),
    "causal": ((3,), {"padding": "CAUSAL"}, LINE),
    "number": ((3, 2), {"padding": 1}, PLANE),
    "pairs": ((3, 2), {"padding": ((1, 0), (0, 2))}, PLANE),
    "kernel dilation": ((3,), {"kernel_dilation": 2}, LINE),
    "input dilation": ((3,), {"input_dilation": 2, "padding": 1}, LINE),
    "groups": ((3,), {"feature_group_count": 2}, LINE),
    "no bias": ((3,), {"use_bias": False}, LINE),
    "bfloat16": ((3,), BF16, LINE),
    "element type": ((3,), {"preferred_element_type": jnp.float32, **BF16}, LINE),
    "hook": ((3,), {"conv_general_dilated": doubled}, LINE),
    "promote_dtype": ((3,), {"promote_dtype": halved}, LINE),
    "metadata": ((3,), {"kernel_metadata": {"a": 1}, "bias_metadata": {"b": 2}}, LINE),
    "precision": ((3,), {"precision": "highest"}, LINE),
}


def tolerance_of(settings):
    """Return the tolerance of the dtype of the computation."""
    return TOLERANCE["bfloat16"] if "dtype" in settings else 1e-5


@pytest.mark.parametrize(("kernel", "settings", "x"), CONV.values(), ids=CONV)
def test_conv(kernel, settings, x):
    """``Conv`` is made, computes and is differentiated as in Flax."""
    assert_same_layer(
        lambda nnx, rngs: nnx.Conv(4, 6, kernel, rngs=rngs, **settings),
        x,
        tolerance=tolerance_of(settings),
    )


TRANSPOSE = {
    "plain": (3, {}, LINE),
    "plane": ((3, 2), {"strides": (2, 3)}, PLANE),
    "one stride": ((3, 2), {"strides": 2}, PLANE),
    "no batch": ((3,), {}, LINE[0]),
    "valid": ((3,), {"padding": "VALID", "strides": 2}, LINE),
    "circular": ((3,), {"padding": "CIRCULAR", "strides": 2}, LINE),
    "pairs": ((3,), {"padding": ((1, 2),)}, LINE),
    "transposed kernel": ((3,), {"transpose_kernel": True, "strides": 2}, LINE),
    "dilation": ((3,), {"kernel_dilation": 2}, LINE),
    "no bias": ((3,), {"use_bias": False}, LINE),
    "bfloat16": ((3,), BF16, LINE),
    "promote_dtype": ((3,), {"promote_dtype": halved}, LINE),
}


@pytest.mark.parametrize(("kernel", "settings", "x"), TRANSPOSE.values(), ids=TRANSPOSE)
def test_conv_transpose(kernel, settings, x):
    """``ConvTranspose`` is made, computes and is differentiated as in Flax."""
    assert_same_layer(
        lambda nnx, rngs: nnx.ConvTranspose(4, 6, kernel, rngs=rngs, **settings),
        x,
        tolerance=tolerance_of(settings),
    )


@pytest.mark.parametrize("name", ["Conv", "ConvTranspose"])
def test_masked_kernels(name):
    """A mask multiplies the kernel, and no gradient reaches what it hides."""
    mask = jnp.arange(3 * 4 * 6).reshape(3, 4, 6) % 2

    def call(layer, x):
        return layer(x)

    def made(nnx, rngs):
        return getattr(nnx, name)(4, 6, (3,), mask=mask, rngs=rngs)

    def program(nnx):
        layer = made(nnx, nnx.Rngs(0))
        return call(layer, LINE), layer.mask

    assert_same(program)


@pytest.mark.parametrize("pool", ["avg_pool", "max_pool", "min_pool"])
def test_pooling(pool):
    """The pools of NNX are those of Flax."""
    assert_same(
        lambda nnx: [
            getattr(nnx, pool)(PLANE, (2, 3), strides=(2, 1), padding=padding)
            for padding in ("VALID", "SAME", ((1, 0), (0, 1)))
        ]
    )


WRONG = {
    "features": lambda nnx: nnx.Conv(3, 4, (3,), rngs=nnx.Rngs(0))(LINE),
    "features, transposed": lambda nnx: nnx.ConvTranspose(3, 4, (3,), rngs=nnx.Rngs(0))(LINE),
    "few axes": lambda nnx: nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))(jnp.ones(3)),
    "mask": lambda nnx: nnx.Conv(4, 4, (3,), mask=jnp.ones((3, 3)), rngs=nnx.Rngs(0))(LINE),
    "causal": lambda nnx: nnx.Conv(4, 4, (3, 3), padding="CAUSAL", rngs=nnx.Rngs(0))(PLANE),
}


@pytest.mark.parametrize("program", WRONG.values(), ids=WRONG)
def test_mistakes_are_errors_of_the_same_class(program):
    """What Flax refuses is refused, by a class that is caught as Flax's is."""
    assert_same(program)


def test_mistakes_are_told():
    """Messages name the shapes that do not fit; groups that do not divide are refused at once."""
    for name in ("features", "features, transposed"):
        with pytest.raises(errors.ShapeMismatchError, match=r"shape \(2, 8, 4\).*made for 3"):
            WRONG[name](nnx)
    with pytest.raises(ValueError, match=r"feature_group_count=2.*divisor of 3"):
        nnx.Conv(3, 4, 3, feature_group_count=2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"mask has shape \(3, 3\)"):
        WRONG["mask"](nnx)
