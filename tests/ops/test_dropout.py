"""Dropout against Flax's layer."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from differential.functions import draw
from linnet.ops.dropout import dropout


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("broadcast_dims", [(), (1,), (0, -1)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_masks_are_flax_s_bit_for_bit(rate, broadcast_dims, dtype):
    """The same key drops the same elements and scales the others alike."""
    x, key = draw(0, 4, 5, 6, dtype=dtype), jax.random.key(1)
    layer = fnn.Dropout(rate, broadcast_dims=broadcast_dims, deterministic=False)
    np.testing.assert_array_equal(
        dropout(x, key, rate=rate, broadcast_dims=broadcast_dims),
        layer.apply({}, x, rng=key),
    )


def test_nnx_mask_is_the_same():
    """NNX's dropout draws from the same key the same mask."""
    x, key = draw(0, 4, 5), jax.random.key(1)
    np.testing.assert_array_equal(
        dropout(x, key, rate=0.4), nnx.Dropout(0.4, deterministic=False)(x, rngs=key)
    )


def test_gradient_of_full_dropout_is_zero():
    """At rate 1 nothing passes, and the gradient is zero rather than nan."""
    grad = jax.grad(lambda x: dropout(x, None, rate=1.0).sum())(draw(0, 3))
    np.testing.assert_array_equal(grad, jnp.zeros(3))


def test_missing_key():
    """Randomness without a key is refused."""
    with pytest.raises(ValueError, match="key is None"):
        dropout(draw(0, 3), None, rate=0.5)
