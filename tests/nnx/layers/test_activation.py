"""Activations: the one that learns, and the names of the others."""

import jax.numpy as jnp
import pytest

from differential.compare import TOLERANCE
from differential.functions import draw
from differential.nnx import assert_same, assert_same_layer

X = draw(0, 2, 3)

PRELU = {
    "plain": ({}, X),
    "slope": ({"negative_slope_init": 0.3}, X),
    "bfloat16": ({"dtype": jnp.bfloat16}, X),
    "bfloat16 inputs": ({}, X.astype(jnp.bfloat16)),
    "bfloat16 slope": ({"param_dtype": jnp.bfloat16}, X),
    "metadata": ({"negative_slope_metadata": {"a": 1}}, X),
    "promote_dtype": (
        {"dtype": jnp.float32, "promote_dtype": lambda xs, **_: tuple(2 * x for x in xs)},
        X,
    ),
}


@pytest.mark.parametrize(("settings", "x"), PRELU.values(), ids=PRELU)
def test_prelu(settings, x):
    """``PReLU`` is made, computes and is differentiated as in Flax."""
    narrow = jnp.bfloat16 in (*settings.values(), x.dtype)
    assert_same_layer(
        lambda nnx, rngs: nnx.PReLU(**settings),
        x,
        tolerance=TOLERANCE["bfloat16"] if narrow else 1e-5,
    )


NAMES = (
    *("celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh"),
    *("identity", "leaky_relu", "log_sigmoid", "log_softmax", "logsumexp", "relu", "relu6", "selu"),
    *("sigmoid", "silu", "soft_sign", "softmax", "softplus", "standardize", "swish", "tanh"),
)


def test_functions():
    """Every activation of Flax's namespace is in ours, and computes the same."""
    x = draw(1, 3, 4)
    assert_same(lambda nnx: [getattr(nnx, name)(x) for name in NAMES])
    assert_same(lambda nnx: nnx.one_hot(jnp.array([0, 2]), 3))
