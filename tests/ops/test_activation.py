"""Activations against Flax's."""

import flax.linen as fnn
import jax.numpy as jnp
import pytest
from flax import nnx

from differential.compare import assert_close
from differential.functions import assert_same_function, draw, flops
from linnet.ops import activation

NAMES = [name for name in activation.__all__ if name not in ("prelu", "one_hot", "logsumexp")]


@pytest.mark.parametrize("name", NAMES)
def test_activations_agree(name):
    """Every activation gives what Flax's of the same name gives."""
    theirs = getattr(fnn, name, None) or getattr(nnx, name)
    x = draw(0, 3, 4)
    assert_close(getattr(activation, name)(x), theirs(x))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_prelu_agrees(dtype):
    """The learnt slope is cast to the dtype of the inputs, as in Flax."""
    layer = fnn.PReLU()
    assert_same_function(
        activation.prelu,
        lambda x, slope: layer.apply({"params": {"negative_slope": slope}}, x),
        draw(0, 3, 4, dtype=dtype),
        jnp.float32(0.2),
        computed_in=dtype,
    )


def test_gelu_flops_are_flax_s():
    """The cost that tabulate prints is that of Flax's function."""
    x = draw(0, 3, 4)
    assert flops(activation.gelu, x) == flops(fnn.gelu, x)


def test_options_are_passed_by_position_or_name():
    """The exact gelu, and a softmax over another axis or under a mask, are Flax's."""
    x = draw(0, 3, 4)
    assert_close(activation.gelu(x, False), fnn.gelu(x, False))
    assert_close(activation.gelu(x, approximate=False), fnn.gelu(x, approximate=False))
    assert_close(activation.softmax(x, (0, 1)), fnn.softmax(x, (0, 1)))
    assert_close(activation.softmax(x, axis=0, where=x > 0), fnn.softmax(x, axis=0, where=x > 0))
