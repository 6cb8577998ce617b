"""Attention and its masks against Flax's functions."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from differential.compare import assert_close
from differential.functions import assert_same_function, draw, flops
from linnet.ops import attention, masks
from linnet.ops.decoding import extend_cache

SHAPE = (2, 5, 4, 6)
QKV = draw(0, *SHAPE), draw(1, *SHAPE), draw(2, *SHAPE)
BIAS = draw(3, 2, 4, 5, 5)
MASK = masks.make_causal_mask(jnp.ones((2, 5)))

CASES = [
    {},
    {"dtype": jnp.bfloat16},
    {"dtype": jnp.bfloat16, "force_fp32_for_softmax": True},
    {"dropout_rate": 0.3, "dropout_rng": jax.random.key(7)},
    {"dropout_rate": 0.3, "dropout_rng": jax.random.key(7), "broadcast_dropout": False},
    {"dropout_rate": 0.3, "dropout_rng": jax.random.key(7), "deterministic": True},
    {"precision": "highest"},
]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_attention_agrees(case, masked):
    """Dropout, dtypes, softmax precision, bias and mask give Flax's outputs and gradients."""
    extra = {"mask": MASK, "bias": BIAS} if masked else {}
    assert_same_function(
        lambda *args: attention.dot_product_attention(*args, **case, **extra),
        lambda *args: fnn.dot_product_attention(*args, **case, **extra),
        *QKV,
        computed_in=case.get("dtype"),
    )


@pytest.mark.parametrize("case", CASES)
def test_attention_weights_agree(case):
    """The weights alone are Flax's."""
    assert_close(
        attention.dot_product_attention_weights(*QKV[:2], mask=MASK, **case),
        fnn.dot_product_attention_weights(*QKV[:2], mask=MASK, **case),
        case.get("dtype"),
    )


@pytest.mark.parametrize("shape", [(5, 2, 3), (2, 2, 5, 2, 3)])
def test_any_number_of_batch_axes(shape):
    """No batch axis, or two, give Flax's outputs."""
    qkv = draw(0, *shape), draw(1, *shape), draw(2, *shape)
    assert_close(attention.dot_product_attention(*qkv), fnn.dot_product_attention(*qkv))


def test_softmax_comes_along():
    """Asked for, the weights before dropout are returned too."""
    query, key, value = QKV
    dropout = {"dropout_rate": 0.5, "dropout_rng": jax.random.key(0)}
    softmax = attention.dot_product_attention_weights(query, key)
    outputs, first = attention.dot_product_attention(*QKV, **dropout, return_softmax=True)
    weights, second = attention.dot_product_attention_weights(
        query, key, **dropout, return_softmax=True
    )
    assert_close(first, softmax)
    assert_close(second, softmax)
    assert_close(outputs, jnp.einsum("bhqk,bkhd->bqhd", weights, value))


@pytest.mark.parametrize("dropout", [False, True])
def test_grouped_queries_agree(dropout):
    """Fewer heads of keys than of queries is NNX's grouped attention, causal and with dropout."""
    query, key, value = QKV[0], QKV[1][:, :, :2], QKV[2][:, :, :2]
    extra = {"is_causal": True}
    if dropout:
        extra |= {"dropout_rate": 0.4, "dropout_rng": jax.random.key(3)}
    assert_same_function(
        lambda *args: attention.dot_product_attention(*args, **extra),
        lambda *args: nnx.dot_product_attention(*args, **extra),
        query,
        key,
        value,
    )


@pytest.mark.parametrize("shape", [SHAPE, (2, 2, 5, 2, 3)])
def test_fused_attention_agrees(shape):
    """The fused form gives the same numbers, with mask, bias and causality."""
    qkv = draw(0, *shape), draw(1, *shape), draw(2, *shape)
    bias = draw(3, *shape[:-3], shape[-2], 5, 5)
    for extra in ({}, {"bias": bias}, {"is_causal": True}):
        assert_close(
            attention.dot_product_attention(*qkv, fused=True, **extra),
            attention.dot_product_attention(*qkv, **extra),
        )


def test_hooks_are_called_as_in_flax():
    """The einsum hooks and the dot_general hook get Flax's arguments."""
    seen = []

    def einsum(*args, **kwargs):
        seen.append(("einsum", args[0], len(args), sorted(kwargs)))
        return jnp.einsum(*args, **kwargs)

    def counting():
        # a new function each time: jnp.einsum keeps what it traced for one it knows
        def dot_general(*args, **kwargs):
            seen.append(("dot_general", len(args), sorted(kwargs)))
            return jax.lax.dot_general(*args, **kwargs)

        return dot_general

    for function in (attention.dot_product_attention, fnn.dot_product_attention):
        function(*QKV, qk_attn_weights_einsum=einsum, attn_weights_value_einsum=einsum)
        function(*QKV, einsum_dot_general=counting())
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]
    assert len(seen) == 8


@pytest.mark.parametrize(
    ("qkv", "extra", "words"),
    [
        ((QKV[0], QKV[1][0], QKV[2]), {}, "numbers of axes differ"),
        ((QKV[0], QKV[1][:1], QKV[2]), {}, "batch axes differ"),
        ((QKV[0], QKV[1][..., :3], QKV[2]), {}, "depths of query and key"),
        ((QKV[0], QKV[1][:, :3], QKV[2]), {}, "differ in length"),
        ((QKV[0], QKV[1][:, :, :3], QKV[2][:, :, :3]), {}, "must be a multiple"),
        (QKV, {"dropout_rate": 0.1}, "dropout_rng=jax.random.key"),
        (QKV, {"qk_attn_weights_einsum": jnp.einsum}, "pass both"),
        (
            QKV,
            {
                "qk_attn_weights_einsum": jnp.einsum,
                "attn_weights_value_einsum": jnp.einsum,
                "precision": "high",
            },
            "inside those functions",
        ),
        (QKV, {"dropout_rate": 0.1, "fused": True}, "fused=False"),
    ],
)
def test_errors_say_what_to_write(qkv, extra, words):
    """Shapes that do not fit, and settings that exclude each other, are named."""
    with pytest.raises(ValueError, match=words):
        attention.dot_product_attention(*qkv, **extra)


def test_decoding_is_causal_attention():
    """Token by token with a cache gives what the whole sequence gives under a causal mask."""
    query, key, value = QKV
    whole = attention.dot_product_attention(query, key, value, mask=MASK)
    keys, values, index = jnp.zeros_like(key), jnp.zeros_like(value), jnp.array(0, jnp.int32)
    for step in range(5):
        now = slice(step, step + 1)
        keys, values, index, mask = extend_cache(keys, values, index, key[:, now], value[:, now])
        out = attention.dot_product_attention(query[:, now], keys, values, mask=mask)
        assert_close(out, whole[:, now])
    assert int(index) == 5


def test_decoding_takes_one_token():
    """More than one token at a time is refused, with both shapes."""
    with pytest.raises(ValueError, match=r"\(2, 1, 4, 6\), but got \(2, 5, 4, 6\)"):
        extend_cache(QKV[1], QKV[2], jnp.array(0), QKV[1], QKV[2])


@pytest.mark.parametrize("extra", [0, 2])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bool_, jnp.bfloat16])
def test_masks_agree(extra, dtype):
    """Masks from pairs, causal masks and their combination are Flax's, dtype and shape."""
    x = jnp.array([[1, 1, 0, 2], [1, 0, 0, 3]])
    for function, theirs in (
        (masks.make_attention_mask, fnn.make_attention_mask),
        (masks.make_causal_mask, fnn.make_causal_mask),
    ):
        args = (x, x) if "attention" in function.__name__ else (x,)
        settings = {"extra_batch_dims": extra, "dtype": dtype}
        assert_close(function(*args, **settings), theirs(*args, **settings))
    for pairwise in (jnp.equal, lambda a, b: a > b):
        assert_close(
            masks.make_attention_mask(x, x, pairwise, dtype=dtype),
            fnn.make_attention_mask(x, x, pairwise, dtype=dtype),
        )
    both = fnn.make_attention_mask(x, x), None, fnn.make_causal_mask(x)
    assert_close(masks.combine_masks(*both, dtype=dtype), fnn.combine_masks(*both, dtype=dtype))
    assert masks.combine_masks(None) is None


def test_masks_of_different_rank():
    """Masks that cannot be aligned are refused with their shapes."""
    with pytest.raises(ValueError, match=r"\(2, 3\), \(3,\)"):
        masks.combine_masks(jnp.ones((2, 3)), jnp.ones(3))


def test_flops_are_flax_s():
    """The cost that tabulate prints is that of Flax's function."""
    assert flops(attention.dot_product_attention, *QKV) == flops(fnn.dot_product_attention, *QKV)
