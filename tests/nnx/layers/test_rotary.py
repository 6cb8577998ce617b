"""Rotary embedding and the attention that uses it, as in Flax, and where Flax's fails."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.functions import draw, weighed
from differential.nnx import assert_same, attributes_of, variables_of
from linnet import nnx
from versions import since_newest

X = draw(0, 2, 5, 8)
Q, K, V = (draw(seed, 2, 5, 4, 8) for seed in range(3))
POSITIONS = jnp.array([3, 4, 0, 9, 1])

LAYERS = {
    "plain": {},
    "tables": {"embedding_size": 8, "max_seq_len": 5},
    "longer tables": {"embedding_size": 8, "max_seq_len": 12},
    "theta": {"theta": 500.0},
    "theta and tables": {"theta": 500, "embedding_size": 8, "max_seq_len": 6},
}
INPUTS = {
    "batch": (X,),
    "one sequence": (X[0],),
    "two batches": (X[None],),
    "short": (X[:, :2],),
    "positions": (X, POSITIONS),
    "positions for the batch": (X, POSITIONS[None]),
    "bfloat16": (X.astype(jnp.bfloat16),),
    "integers": (jnp.arange(40).reshape(5, 8),),
}


@since_newest
@pytest.mark.parametrize("inputs", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("settings", LAYERS.values(), ids=LAYERS)
def test_layer(settings, inputs):
    """The layer holds the same tables, turns the same way and is differentiated the same."""

    def program(nnx):
        layer = nnx.RoPE(**settings)
        results = [variables_of(nnx, layer), attributes_of(nnx, layer), layer(*inputs)]
        if jnp.issubdtype(inputs[0].dtype, jnp.floating):
            results.append(jax.grad(lambda x: weighed(layer(x, *inputs[1:])))(inputs[0]))
        return results

    # Flax raises theta to its powers outside of a compiled function, 4 ulp away at most
    assert_same(program)


@pytest.mark.parametrize("settings", LAYERS.values(), ids=LAYERS)
def test_tables_change_nothing(settings):
    """With tables or without, vectors are turned by the same angles."""
    plain = nnx.RoPE(settings.get("theta", 10000.0))
    np.testing.assert_array_equal(nnx.RoPE(**settings)(X), plain(X))


ATTENTION = {
    "plain": {},
    "causal": {"is_causal": True},
    "mask": {"mask": jnp.tril(jnp.ones((5, 5)))},
    "bfloat16": {"dtype": jnp.bfloat16},
    "few keys": {"keys": 3},
}


@since_newest
@pytest.mark.parametrize("rope", [{}, LAYERS["longer tables"]], ids=["plain", "tables"])
@pytest.mark.parametrize("settings", ATTENTION.values(), ids=ATTENTION)
def test_attention(settings, rope):
    """Queries and keys are turned, head by head, and attended with as in Flax."""
    settings = dict(settings)
    keys = settings.pop("keys", 5)

    def program(nnx):
        return nnx.dot_product_attention_with_rope(
            Q, K[:, :keys], V[:, :keys], rope=nnx.RoPE(**rope), **settings
        )

    assert_same(program, tolerance=3e-2 if "dtype" in settings else 1e-5)


def attending(nnx, **settings):
    """Make a layer of attention with rotary embedding."""
    return nnx.MultiHeadAttention(
        2,
        8,
        attention_fn=functools.partial(nnx.dot_product_attention_with_rope, rope=nnx.RoPE()),
        rngs=nnx.Rngs(0),
        **{"decode": False, **settings},
    )


@since_newest
def test_attention_of_a_layer():
    """A layer of attention that is given the function computes and is differentiated as in Flax."""

    def program(nnx):
        layer = attending(nnx)
        grads = nnx.grad(lambda layer: weighed(layer(X, is_causal=True)))(layer)
        return layer(X), nnx.to_pure_dict(grads)

    assert_same(program)


def test_positions_of_a_layer():
    """Positions given to the layer reach the function; Flax's fails on them."""
    layer = attending(nnx)
    counted = layer(X)
    for positions in (jnp.arange(5), jnp.arange(5) + 7, jnp.arange(10).reshape(2, 5)):
        # products depend on distances alone
        np.testing.assert_allclose(layer(X, input_positions=positions), counted, atol=1e-5)
    assert not np.allclose(layer(X, input_positions=POSITIONS), counted, atol=1e-3)


@pytest.mark.parametrize("given", [False, True], ids=["counted", "given"])
def test_decoding(given):
    """Token by token gives what the whole gives; in Flax each token stands at position 0."""
    layer = attending(nnx)
    whole = layer(X, is_causal=True)
    layer.init_cache(X.shape)
    for place in range(5):
        positions = jnp.array([place]) if given else None
        token = layer(X[:, place : place + 1], decode=True, input_positions=positions)
        np.testing.assert_allclose(token, whole[:, place : place + 1], atol=1e-5)


WRONG = {
    "size alone": lambda nnx: nnx.RoPE(embedding_size=8),
    "length alone": lambda nnx: nnx.RoPE(max_seq_len=8),
    "odd": lambda nnx: nnx.RoPE(embedding_size=5, max_seq_len=8),
    "odd inputs": lambda nnx: nnx.RoPE()(jnp.ones((2, 5))),
    "one vector": lambda nnx: nnx.RoPE()(jnp.ones(4)),
    "positions": lambda nnx: nnx.RoPE()(X, jnp.arange(3)),
}
MESSAGES = {
    "size alone": "max_seq_len=None.*Give both",
    "length alone": "embedding_size=None.*Give both",
    "odd": "positive and even",
    "odd inputs": "size 5",
    "one vector": r"Write x\[None\]",
    "positions": r"shape \(2, 5, 8\).*shape \(3,\).*input_positions of shape \(2, 5\) or \(5,\)",
}


@since_newest
@pytest.mark.parametrize("program", WRONG.values(), ids=WRONG)
def test_mistakes_are_errors_of_the_same_class(program):
    """What Flax refuses is refused, by a class that is caught as Flax's is."""
    assert_same(program)


@pytest.mark.parametrize(("name", "words"), MESSAGES.items())
def test_mistakes_are_told(name, words):
    """Messages say what was given and what to write."""
    with pytest.raises(ValueError, match=words):
        WRONG[name](nnx)


@pytest.mark.parametrize("inputs", [X[..., :6], jnp.ones((2, 9, 8))], ids=["size", "length"])
def test_tables_that_do_not_fit(inputs):
    """Vectors of another size, or more of them, are refused with what the tables are for."""
    rope = nnx.RoPE(embedding_size=8, max_seq_len=6)
    with pytest.raises(ValueError, match=r"embedding_size=8 and max_seq_len=6"):
        rope(inputs)
