"""Pooling against Flax's functions."""

import flax.linen as fnn
import jax.numpy as jnp
import pytest
from jax import lax

from differential.compare import assert_close
from differential.functions import assert_same_function, draw
from linnet.ops import pooling

CASES = [
    ((2, 6, 7, 3), (2, 3), {}),
    ((2, 6, 7, 3), (2, 3), {"strides": (2, 1), "padding": "SAME"}),
    ((6, 7, 3), (2, 2), {"strides": (2, 2)}),
    ((2, 6, 3), (2,), {"padding": ((1, 1),)}),
    ((2, 2, 6, 3), (2,), {"strides": (2,), "padding": "SAME"}),
]


@pytest.mark.parametrize("name", ["avg_pool", "max_pool", "min_pool"])
@pytest.mark.parametrize(("shape", "window", "extra"), CASES)
def test_pools_agree(name, shape, window, extra):
    """Every stride, padding and batch shape gives Flax's outputs and gradients."""
    assert_same_function(
        lambda x: getattr(pooling, name)(x, window, **extra),
        lambda x: getattr(fnn.pooling, name)(x, window, **extra),
        draw(0, *shape),
    )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int32])
@pytest.mark.parametrize(("shape", "window", "extra"), CASES)
def test_average_without_padding_agrees(shape, window, extra, dtype):
    """A mean over what a window covers is Flax's, in every dtype."""
    x = (10 * draw(0, *shape)).astype(dtype)
    settings = {**extra, "count_include_pad": False}
    assert_close(
        pooling.avg_pool(x, window, **settings),
        fnn.avg_pool(x, window, **settings),
        dtype if dtype != jnp.int32 else None,
    )


def test_any_reduction():
    """A function of the user's reduces the windows."""
    x = draw(0, 2, 6, 3)
    args = (0.0, lambda a, b: a + b, (2,), (2,), "VALID")
    assert_close(pooling.pool(x, *args), fnn.pool(x, *args))
    assert_close(pooling.pool(x, 0.0, lax.add, (2,), (2,), "VALID"), fnn.pool(x, *args))


@pytest.mark.parametrize(
    ("window", "extra", "error", "words"),
    [
        ((2,), {"strides": (1, 2)}, ValueError, "one stride for each"),
        ((2,), {"padding": ((1,),)}, ValueError, r"one pair \(low, high\)"),
        ((2,), {"padding": ((1, 1), (1, 1))}, ValueError, r"one pair \(low, high\)"),
        ((2,), {"padding": 1}, TypeError, r"padding=\[\(1, 1\)\]"),
        ((2, 2, 2, 2), {}, ValueError, "too few axes"),
        (2, {}, TypeError, r"window_shape=\(2,\)"),
        ((2,), {"strides": 2}, TypeError, r"strides=\(2,\)"),
    ],
)
def test_errors_say_what_to_write(window, extra, error, words):
    """Settings that do not fit the inputs are refused with ones that do."""
    with pytest.raises(error, match=words):
        pooling.max_pool(draw(0, 2, 6, 3), window, **extra)
