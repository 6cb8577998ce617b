"""Attention: parameters, keys, masks, caches, outputs and gradients as in Flax."""

import jax
import jax.numpy as jnp
import pytest

from differential.compare import TOLERANCE
from differential.functions import draw, weighed
from differential.nnx import assert_same, assert_same_layer, variables_of
from linnet import nnx
from linnet.base import errors
from linnet.nnx.layers.dot_product import dot_product_attention_weights
from versions import since_newest

Q, K, V = draw(0, 2, 5, 8), draw(1, 2, 6, 8), draw(2, 2, 6, 8)
HEADS = [draw(seed, 2, 5, 4, 3) for seed in range(3)]
FEW = [HEADS[0], *(draw(seed, 2, 5, 2, 3) for seed in (3, 4))]
BF16 = {"dtype": jnp.bfloat16}
CAUSAL = jnp.tril(jnp.ones((5, 5)))
BIAS = draw(5, 2, 4, 5, 5)
KEY = jax.random.key(3)

FUNCTION = {
    "plain": (HEADS, {}),
    "bias": (HEADS, {"bias": BIAS}),
    "mask": (HEADS, {"mask": CAUSAL[None, None]}),
    "small mask": (HEADS, {"mask": CAUSAL}),
    "causal": (HEADS, {"is_causal": True}),
    "causal and mask": (HEADS, {"is_causal": True, "mask": CAUSAL.T[None, None]}),
    "no batch": ([x[0] for x in HEADS], {}),
    "two batches": ([x[None] for x in HEADS], {"mask": CAUSAL}),
    "few heads of keys": (FEW, {}),
    "few heads, dropped": (FEW, {"dropout_rate": 0.5, "dropout_rng": KEY}),
    "dropout": (HEADS, {"dropout_rate": 0.5, "dropout_rng": KEY}),
    "dropout of each": (
        HEADS,
        {"dropout_rate": 0.5, "dropout_rng": KEY, "broadcast_dropout": False},
    ),
    "dropout, masked": (
        HEADS,
        {"dropout_rate": 0.5, "dropout_rng": KEY, "mask": CAUSAL, "is_causal": True},
    ),
    "dropout off": (HEADS, {"dropout_rate": 0.5, "deterministic": True}),
    "bfloat16": (HEADS, BF16),
    "bfloat16, masked": (HEADS, {"mask": CAUSAL, "bias": BIAS, **BF16}),
    "bfloat16, dropped": (HEADS, {"dropout_rate": 0.5, "dropout_rng": KEY, **BF16}),
    "precision": (HEADS, {"precision": "highest", "dropout_rate": 0.5, "deterministic": True}),
    "promote_dtype": (HEADS, {"promote_dtype": lambda xs, **_: tuple(2 * x for x in xs)}),
}


@pytest.mark.parametrize(("inputs", "settings"), FUNCTION.values(), ids=FUNCTION)
def test_dot_product_attention(inputs, settings):
    """The function computes and is differentiated as in Flax, fused and not."""

    def program(nnx):
        def loss(*inputs):
            outputs = nnx.dot_product_attention(*inputs, **settings)
            return weighed(outputs), outputs

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(*inputs)

    assert_same(program, tolerance=TOLERANCE["bfloat16"] if "dtype" in settings else 1e-5)


def test_weights():
    """The weights alone are those that the outputs are made with."""
    weights = dot_product_attention_weights(HEADS[0], HEADS[1])
    outputs = jnp.einsum("bhqk,bkhd->bqhd", weights, HEADS[2])
    expected = nnx.dot_product_attention(*HEADS)
    assert jnp.allclose(outputs, expected, rtol=1e-5, atol=1e-5)


def drawn(key, shape, dtype=jnp.float32):
    """Draw a parameter that is not zero."""
    return jax.random.uniform(key, shape, dtype) + 0.5


def own_attention(query, key, value, **settings):
    """Stand in the place of ``dot_product_attention``."""
    expected = {
        *("mask", "dropout_rng", "dropout_rate", "broadcast_dropout", "deterministic", "dtype"),
        *("precision", "module", "is_causal"),
    }
    if set(settings) != expected:
        raise TypeError(settings)
    return query + jnp.mean(value, axis=-3, keepdims=True)


LAYERS = {
    "plain": {},
    "no bias": {"use_bias": False},
    "sizes": {"qkv_features": 16, "out_features": 6},
    "few heads of keys": {"num_kv_heads": 2},
    "normalised": {"normalize_qk": True},
    "dropout": {"dropout_rate": 0.5, "deterministic": False},
    "dropout of each": {"dropout_rate": 0.5, "deterministic": False, "broadcast_dropout": False},
    "dropout off": {"dropout_rate": 0.5, "deterministic": True},
    "no streams kept": {"dropout_rate": 0.5, "deterministic": True, "keep_rngs": False},
    "initializers": {"kernel_init": drawn, "bias_init": drawn},
    "initializers of the output": {"out_kernel_init": drawn, "out_bias_init": drawn},
    "bfloat16": BF16,
    "bfloat16, normalised": {"normalize_qk": True, **BF16},
    "bfloat16 parameters": {"param_dtype": jnp.bfloat16},
    "own attention": {"attention_fn": own_attention},
    "metadata": {"kernel_metadata": {"a": 1}, "bias_metadata": {"b": 2}},
    "metadata of the output": {
        "kernel_metadata": {"a": 1},
        "out_kernel_metadata": {"c": 3},
        "out_bias_metadata": {"d": 4},
    },
    "metadata of norms": {
        "normalize_qk": True,
        "query_ln_scale_metadata": {"a": 1},
        "key_ln_scale_metadata": {"b": 2},
    },
    "dot_general": {
        "qkv_dot_general": lambda *a, **k: 2 * jax.lax.dot_general(*a, **k),
        "out_dot_general_cls": lambda: lambda *a, **k: 3 * jax.lax.dot_general(*a, **k),
    },
}


@pytest.mark.parametrize("settings", LAYERS.values(), ids=LAYERS)
def test_layer(settings):
    """The layer is made, attends and is differentiated as in Flax."""
    narrow = jnp.bfloat16 in settings.values()
    # normalising two numbers magnifies the last bit in which drawn parameters differ
    heads = 2 if "normalize_qk" in settings else 4
    assert_same_layer(
        lambda nnx, rngs: nnx.MultiHeadAttention(heads, 8, decode=False, rngs=rngs, **settings),
        Q,
        tolerance=TOLERANCE["bfloat16"] if narrow else 1e-5,
        compute=not any("metadata" in name for name in settings),
        # the gradient by the bias of keys is zero, but for the rounding of numbers about 1
        floors={"key/bias": 0.1},
    )


CALLS = {
    "keys": lambda layer, q, k, v: layer(q, k),
    "keys and values": lambda layer, q, k, v: layer(q, k, v),
    "mask": lambda layer, q, k, v: layer(q, k, v, mask=jnp.arange(6) < 4),
    "causal": lambda layer, q, k, v: layer(q, is_causal=True),
    "decide at the call": lambda layer, q, k, v: layer(q, k, v, deterministic=True, decode=False),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_calls(call):
    """Keys, values and masks of the call, with sizes of their own."""
    assert_same_layer(
        lambda nnx, rngs: nnx.MultiHeadAttention(4, 8, decode=False, rngs=rngs), Q, K, V, call=call
    )


def test_other_features_of_keys():
    """Keys and values may be made of inputs with other features."""
    assert_same_layer(
        lambda nnx, rngs: nnx.MultiHeadAttention(
            4, 8, in_kv_features=6, num_kv_heads=2, decode=False, rngs=rngs
        ),
        Q,
        draw(7, 2, 6, 6),
    )


def test_streams_of_the_call():
    """Streams that come with the call come first, and a layer may keep none."""

    def program(nnx):
        layer = nnx.MultiHeadAttention(
            4, 8, dropout_rate=0.5, keep_rngs=False, decode=False, rngs=nnx.Rngs(0)
        )
        rngs = nnx.Rngs(3, dropout=4)
        outputs = [
            layer(Q, deterministic=False, rngs=rngs),
            layer(Q, deterministic=False, rngs=rngs.dropout),
        ]
        return outputs, variables_of(nnx, rngs), layer.rngs

    assert_same(program)


@pytest.mark.parametrize("kv_heads", [None, 2])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_decoding(kv_heads, dtype):
    """A sequence decoded token by token fills Flax's cache, and gives its outputs."""

    def program(nnx):
        layer = nnx.MultiHeadAttention(
            4, 8, num_kv_heads=kv_heads, dtype=dtype, decode=True, rngs=nnx.Rngs(0)
        )
        layer.init_cache(Q.shape, dtype)
        empty = variables_of(nnx, layer)
        outputs = [layer(Q[:, place : place + 1]) for place in range(5)]
        whole = layer(Q, decode=False, is_causal=True)
        return empty, outputs, whole, variables_of(nnx, layer)

    assert_same(program, tolerance=TOLERANCE[jnp.dtype(dtype).name])


@since_newest
def test_decoding_is_causal_as_it_is():
    """The cache holds no later keys, so that asking for causal attention changes nothing."""

    def program(nnx):
        layer = nnx.MultiHeadAttention(4, 8, decode=True, rngs=nnx.Rngs(0))
        layer.init_cache(Q.shape)
        return [layer(Q[:, place : place + 1], is_causal=True) for place in range(5)]

    assert_same(program)


def test_causal_decoding_gives_the_whole():
    """Token by token with `is_causal=True` gives what the whole sequence gives."""
    layer = nnx.MultiHeadAttention(4, 8, decode=True, rngs=nnx.Rngs(0))
    layer.init_cache(Q.shape)
    tokens = [layer(Q[:, place : place + 1], is_causal=True) for place in range(5)]
    whole = layer(Q, decode=False, is_causal=True)
    assert jnp.allclose(jnp.concatenate(tokens, 1), whole, rtol=1e-5, atol=1e-5)


@since_newest
def test_positions_are_passed_on():
    """`input_positions` go to the attention function as they are, if they are given."""

    def program(nnx):
        def attend(query, key, value, *, input_positions, **settings):
            return query * input_positions[:, None, None]

        layer = nnx.MultiHeadAttention(4, 8, decode=False, attention_fn=attend, rngs=nnx.Rngs(0))
        return layer(Q, input_positions=jnp.arange(5))

    assert_same(program)
    assert_same(lambda nnx: made(nnx)(Q, input_positions=jnp.arange(5)))  # nobody takes them


def test_views():
    """A view decides, and may bring a new cache, where Flax's ignores what it is asked for."""

    def program(nnx):
        layer = nnx.MultiHeadAttention(4, 8, dropout_rate=0.5, rngs=nnx.Rngs(0))
        layer.set_view(deterministic=True, decode=False)
        outputs = layer(Q)
        layer.set_view()
        return outputs, layer.deterministic, layer.decode

    assert_same(program)
    layer = nnx.MultiHeadAttention(4, 8, rngs=nnx.Rngs(0))
    layer.set_view(decode=True, batch_size=2, max_length=5)
    assert layer.cached_key.shape == (2, 5, 4, 2)
    assert layer(Q[:, :1]).shape == (2, 1, 8)
    layer.set_view(batch_size=(2, 3), max_length=7)
    assert layer.cached_value.shape == (2, 3, 7, 4, 2)
    with pytest.raises(ValueError, match="Give both"):
        layer.set_view(batch_size=2)


@pytest.mark.filterwarnings("ignore:.*[Ss]ow.*:DeprecationWarning")
def test_weights_are_sown():
    """The weights are kept as an intermediate, before dropout."""

    def program(nnx):
        layer = nnx.MultiHeadAttention(
            4, 8, dropout_rate=0.5, deterministic=False, decode=False, rngs=nnx.Rngs(0)
        )
        outputs = layer(Q, sow_weights=True)
        sown = nnx.pop(layer, nnx.Intermediate)
        return outputs, nnx.to_pure_dict(sown)

    assert_same(program)


def test_masks():
    """The functions that make masks are Flax's."""

    def program(nnx):
        tokens = jnp.array([[1, 1, 0], [1, 0, 0]])
        causal, attention = nnx.make_causal_mask(tokens), nnx.make_attention_mask(tokens, tokens)
        return causal, attention, nnx.combine_masks(causal, None, attention, dtype=bool)

    assert_same(program)


def made(nnx, **settings):
    """Make a layer."""
    return nnx.MultiHeadAttention(4, 8, **{"decode": False, "rngs": nnx.Rngs(0), **settings})


WRONG = {
    "heads": lambda nnx: nnx.MultiHeadAttention(3, 8, rngs=nnx.Rngs(0)),
    "heads of keys": lambda nnx: made(nnx, num_kv_heads=3),
    "undecided decode": lambda nnx: made(nnx, decode=None)(Q),
    "undecided": lambda nnx: made(nnx, dropout_rate=0.5)(Q),
    "no cache": lambda nnx: made(nnx, decode=True)(Q),
    "features": lambda nnx: nnx.MultiHeadAttention(4, 4, decode=False, rngs=nnx.Rngs(0))(Q),
    "values alone": lambda nnx: made(nnx)(Q, inputs_v=V),
    "no streams": lambda nnx: made(nnx, dropout_rate=0.5, deterministic=False, keep_rngs=False)(Q),
    "no rngs": lambda nnx: nnx.MultiHeadAttention(4, 8),
}


@pytest.mark.parametrize("program", WRONG.values(), ids=WRONG)
def test_mistakes_are_errors_of_the_same_class(program):
    """What Flax refuses is refused, by a class that is caught as Flax's is."""
    assert_same(program)


MESSAGES = {
    "heads": "multiple of num_heads, such as 9",
    "heads of keys": "num_kv_heads=3 heads",
    "undecided decode": r"nnx.view\(model, decode=True\)",
    "undecided": r"nnx.view\(model, deterministic=True\)",
    "no cache": r"layer.init_cache\(\(batch, max_length, features\)\)",
    "features": r"shape \(2, 5, 8\).*shape \(4, 4, 1\)",
}


@pytest.mark.parametrize(("name", "words"), MESSAGES.items())
def test_mistakes_are_told(name, words):
    """Messages say what was given and what to write."""
    with pytest.raises(ValueError, match=words):
        WRONG[name](nnx)


def test_decoding_takes_one_token():
    """Several tokens at once do not fit the cache, and the message says how to pass one."""

    def program(nnx):
        layer = made(nnx, decode=True)
        layer.init_cache(Q.shape)
        return layer(Q)

    assert_same(program)
    with pytest.raises(ValueError, match="one token at a time"):
        program(nnx)
    with pytest.raises(errors.MissingCacheError):
        made(nnx)(Q, decode=True)
