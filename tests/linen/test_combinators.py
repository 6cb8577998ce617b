"""Sequential, PReLU and the names Linen re-exports, under Flax and under Linnet."""

import inspect

import flax.linen as fnn
import jax.numpy as jnp
import pytest

import linnet.linen as nn
from differential.functions import draw
from differential.linen import assert_same_layer, both
from linnet.linen import dtypes, initializers, linear, pooling
from linnet.linen.layers import activation, attention, combinators, normalization, stochastic


def test_sequential_agrees():
    """Modules and functions in turn, tuples and dictionaries spread over arguments, are Flax's."""

    def model(nn):
        return nn.Sequential(
            [
                nn.Dense(4),
                nn.relu,
                lambda x: (x, 2 * x),
                lambda a, b: {"a": a, "b": b},
                lambda b, a: a - b,
                nn.Dense(2),
            ]
        )

    assert_same_layer((model(nn), model(fnn)), draw(0, 2, 3))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_prelu_agrees(dtype):
    """The slope, its outputs and gradients are Flax's."""
    assert_same_layer(
        both("PReLU", negative_slope_init=0.2), draw(0, 2, 3, dtype=dtype), computed_in=dtype
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (activation, fnn.activation),
        (attention, fnn.attention),
        (combinators, fnn.combinators),
        (dtypes, fnn.dtypes),
        (initializers, fnn.initializers),
        (linear, fnn.linear),
        (normalization, fnn.normalization),
        (pooling, fnn.pooling),
        (stochastic, fnn.stochastic),
    ],
    ids=lambda module: module.__name__,
)
def test_modules_have_flax_s_names(ours, theirs):
    """What Flax defines in a module of layers is found in ours of the same name."""
    later = {"WeightNorm", "SpectralNorm"} | {"T", "PromoteDtypeFn"}  # the last two are of typing
    defined = {
        name
        for name, value in vars(theirs).items()
        if getattr(value, "__module__", None) == theirs.__name__ and name[0] != "_"
    }
    assert {name for name in defined - later if not hasattr(ours, name)} == set()


@pytest.mark.parametrize(
    "name",
    [
        "BatchNorm",
        "Conv",
        "ConvLocal",
        "ConvTranspose",
        "Dense",
        "DenseGeneral",
        "Dropout",
        "Einsum",
        "Embed",
        "GroupNorm",
        "InstanceNorm",
        "LayerNorm",
        "MultiHeadAttention",
        "MultiHeadDotProductAttention",
        "PReLU",
        "RMSNorm",
        "SelfAttention",
        "Sequential",
    ],
)
def test_fields_are_flax_s(name):
    """Each layer has Flax's fields in Flax's order, with equal plain defaults."""
    ours, theirs = (
        {
            field.name: field.default
            for field in inspect.signature(getattr(nn_, name)).parameters.values()
        }
        for nn_ in (nn, fnn)
    )
    assert list(ours) == list(theirs)
    for field, default in theirs.items():
        if default is None or isinstance(default, (bool, int, float, str, tuple)):
            assert ours[field] == default, field
