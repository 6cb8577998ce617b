"""Attention layers under Flax and under Linnet."""

import flax.linen as fnn
import jax.numpy as jnp
import pytest

import linnet.linen as nn
from differential.compare import assert_close
from differential.functions import draw, flops
from differential.linen import RNGS, assert_same_layer, both

X = (2, 4, 6)
CASES = [
    {},
    {"qkv_features": 4, "out_features": 5},
    {"use_bias": False, "normalize_qk": True},
    {"dropout_rate": 0.4, "deterministic": False},
    {"dropout_rate": 0.4, "deterministic": False, "broadcast_dropout": False},
    {"dtype": jnp.bfloat16},
    {"dtype": jnp.bfloat16, "force_fp32_for_softmax": True},
    {
        "kernel_init": fnn.initializers.normal(),
        "out_kernel_init": fnn.initializers.ones,
        "bias_init": fnn.initializers.normal(),
    },
]


@pytest.mark.parametrize("config", CASES)
def test_self_attention_agrees(config):
    """Variables, outputs, dropout and gradients are Flax's."""
    assert_same_layer(
        both("MultiHeadDotProductAttention", num_heads=2, **config),
        draw(0, *X),
        computed_in=config.get("dtype"),
    )


@pytest.mark.parametrize("name", ["MultiHeadDotProductAttention", "MultiHeadAttention"])
def test_cross_attention_agrees(name):
    """Other keys and values, a mask and sown weights are Flax's."""
    mask = draw(2, 2, 1, 4, 5) > 0
    assert_same_layer(
        both(name, num_heads=3),
        draw(0, *X),
        draw(1, 2, 5, 6),
        draw(3, 2, 5, 7),
        mask=mask,
        sow_weights=True,
    )


@pytest.mark.filterwarnings("ignore:SelfAttention will be deprecated:DeprecationWarning")
def test_self_attention_class_agrees():
    """SelfAttention takes its mask second and is otherwise the same."""
    assert_same_layer(
        both("SelfAttention", num_heads=2), draw(0, *X), fnn.make_causal_mask(jnp.ones((2, 4)))
    )


@pytest.mark.filterwarnings("ignore:The inputs_kv arg will be deprecated:DeprecationWarning")
def test_both_inputs_at_once_agree():
    """``inputs_kv`` gives keys and values."""
    assert_same_layer(
        both("MultiHeadDotProductAttention", num_heads=2),
        draw(0, *X),
        grad=False,
        inputs_kv=draw(1, *X),
    )


def test_decoding_agrees():
    """Token by token with a cache, outputs and caches are Flax's."""
    ours, theirs = both("MultiHeadDotProductAttention", num_heads=2, decode=True)
    x = draw(0, *X)
    kept = [theirs.init(RNGS, x)] * 2
    outs = [x, x]
    assert_close(ours.init(RNGS, x)["cache"], kept[0]["cache"])
    for step in range(3):
        for place, layer in enumerate((ours, theirs)):
            out, cache = layer.apply(kept[place], x[:, step : step + 1], mutable=["cache"])
            kept[place] = {"params": kept[place]["params"], **cache}
            outs[place] = out
        assert_close(*outs)
        assert_close(*kept)


def test_custom_attention_gets_flax_s_arguments():
    """A custom attention function gets those keywords that it names, and ``module`` to sow."""
    seen = []

    def named(query, key, value, mask=None, dropout_rate=None, deterministic=None, precision=1):
        seen.append((mask is None, dropout_rate, deterministic, precision))
        return query

    def anything(query, key, value, **rest):
        seen.append(sorted(rest))
        return query

    x = draw(0, *X)
    for nn_ in (nn, fnn):
        variables = fnn.MultiHeadDotProductAttention(2).init(RNGS, x)
        for function in (named, anything):
            layer = nn_.MultiHeadDotProductAttention(2, attention_fn=function)
            layer.apply(variables, x, mask=jnp.ones((1, 1, 4, 4)))
        layer.apply(variables, x, sow_weights=True)
    assert seen[:3] == seen[3:]


ERRORS = [
    (lambda nn, x: nn.MultiHeadAttention(4).init(RNGS, x), ValueError, "such as 8"),
    (
        lambda nn, x: nn.MultiHeadAttention(2, dropout_rate=0.1).init(RNGS, x),
        ValueError,
        "deterministic",
    ),
    (lambda nn, x: nn.MultiHeadAttention(2).init(RNGS, x, None, x), ValueError, "inputs_k"),
    (
        lambda nn, x: nn.MultiHeadAttention(2).init(RNGS, x, x, inputs_kv=x),
        ValueError,
        "inputs_kv",
    ),
    (
        lambda nn, x: nn.MultiHeadAttention(2, qk_attn_weights_einsum_cls=lambda: jnp.einsum).init(
            RNGS, x
        ),
        ValueError,
        "pass both",
    ),
]


@pytest.mark.parametrize(("program", "error", "words"), ERRORS)
def test_errors_say_what_to_write(program, error, words):
    """Settings and inputs that exclude each other are refused; Flax refuses them too."""
    with pytest.raises(error, match=words):
        program(nn, draw(0, *X))
    with pytest.raises((error, AssertionError)):
        program(fnn, draw(0, *X))


def test_decoding_takes_one_token():
    """More than one token at a time is refused by both libraries."""
    x = draw(0, *X)
    for layer in both("MultiHeadAttention", num_heads=2, decode=True):
        variables = layer.init(RNGS, x)
        with pytest.raises(ValueError, match=r"\(2, 1, 2, 3\)"):
            layer.apply(variables, x, mutable=["cache"])


def test_flops_are_flax_s():
    """The cost of the layer is Flax's."""
    ours, theirs = both("MultiHeadAttention", num_heads=2)
    x = draw(0, *X)
    variables = theirs.init(RNGS, x)
    assert flops(ours.apply, variables, x) == flops(theirs.apply, variables, x)
