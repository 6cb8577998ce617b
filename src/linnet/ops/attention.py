"""Attention: each query takes a mean of the values, weighted by how its key fits theirs.

Queries, keys and values are ``(*batch, length, heads, depth)``. There may be fewer heads of keys
and values than of queries (grouped queries, Ainslie et al. 2023, arXiv:2305.13245): query head
``h`` then looks at head ``h // group``, ``group`` being the ratio of the two.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, random

from linnet.base.typing import Array, DotGeneral, Dtype, PrecisionLike, PRNGKey, PromoteDtype
from linnet.ops import dtypes
from linnet.ops.op import op

Einsum = Callable[..., Array]


def _check(query: Array, key: Array, value: Array | None = None) -> None:
    """Check that queries, keys and values fit each other.

    Raises:
        ValueError: they do not.
    """
    shapes = f"query {query.shape}, key {key.shape}"
    others = [key] if value is None else [key, value]
    if value is not None:
        shapes += f", value {value.shape}"
    wanted = "Each must be (*batch, length, heads, depth)."
    if any(other.ndim != query.ndim for other in others) or query.ndim < 3:
        raise ValueError(f"Attention over {shapes}: the numbers of axes differ. {wanted}")
    if any(other.shape[:-3] != query.shape[:-3] for other in others):
        raise ValueError(f"Attention over {shapes}: the batch axes differ. {wanted}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"Attention over {shapes}: the depths of query and key differ. {wanted}")
    if value is not None and key.shape[-3:-1] != value.shape[-3:-1]:
        raise ValueError(
            f"Attention over {shapes}: key and value differ in length or number of heads. {wanted}"
        )
    if query.shape[-2] % key.shape[-2]:
        raise ValueError(
            f"Attention over {shapes}: {query.shape[-2]} heads of queries cannot share "
            f"{key.shape[-2]} heads of keys evenly. The former must be a multiple of the latter."
        )


def _weights(
    query: Array,
    key: Array,
    bias: Array | None,
    mask: Array | None,
    *,
    is_causal: bool,
    force_fp32_for_softmax: bool,
    einsum: Einsum,
) -> Array:
    """Compute the weights before dropout, the dtypes already equal."""
    dtype = query.dtype
    query = query / jnp.sqrt(query.shape[-1]).astype(dtype)
    heads, kv_heads = query.shape[-2], key.shape[-2]
    if heads == kv_heads:
        scores = einsum("...qhd,...khd->...hqk", query, key)
    else:
        grouped = (*query.shape[:-2], kv_heads, heads // kv_heads, query.shape[-1])
        scores = einsum("...qhgd,...khd->...hgqk", jnp.reshape(query, grouped), key)
        scores = jnp.reshape(scores, (*scores.shape[:-4], heads, *scores.shape[-2:]))
    if bias is not None:
        scores = scores + bias
    if is_causal:
        causal = jnp.tril(jnp.ones(scores.shape[-2:], jnp.bool_))
        mask = causal if mask is None else jnp.logical_and(mask, causal)
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(dtype).min)
    if force_fp32_for_softmax:
        # the weights stay as precise as they were computed
        weights = jax.nn.softmax(scores.astype(jnp.float32))
    else:
        weights = jax.nn.softmax(scores).astype(dtype)
    return weights


def _drop(
    weights: Array,
    rng: PRNGKey | None,
    *,
    rate: float,
    broadcast: bool,
    dtype: Dtype,
) -> Array:
    """Drop weights at random."""
    if rate == 0.0:
        return weights
    if rng is None:
        raise ValueError(
            f"Attention with dropout_rate={rate} draws at random, but dropout_rng is None. "
            "Pass dropout_rng=jax.random.key(seed), or deterministic=True for no dropout."
        )
    # when broadcast, one decision for all of the batch and all heads
    lead = (1,) * (weights.ndim - 2) if broadcast else weights.shape[:-2]
    keep = random.bernoulli(rng, 1.0 - rate, (*lead, *weights.shape[-2:]))
    return weights * (keep.astype(dtype) / jnp.asarray(1.0 - rate, dtype))


def _weighted_values(weights: Array, value: Array, einsum: Einsum) -> Array:
    """Take the weighted mean of the values for each query."""
    heads, kv_heads = weights.shape[-3], value.shape[-2]
    if heads == kv_heads:
        return einsum("...hqk,...khd->...qhd", weights, value)
    grouped = (*weights.shape[:-3], kv_heads, heads // kv_heads, *weights.shape[-2:])
    outputs = einsum("...hgqk,...khd->...qhgd", jnp.reshape(weights, grouped), value)
    return jnp.reshape(outputs, (*outputs.shape[:-3], heads, outputs.shape[-1]))


def product() -> DotGeneral:
    """Return the ``jax.lax.dot_general`` of now, which a program may have replaced."""
    return lax.dot_general


def _einsum(
    hook: Einsum | None, precision: PrecisionLike, dot_general: DotGeneral | None
) -> Einsum:
    """Return the einsum to use: the user's, or JAX's with the user's settings."""
    if hook is not None:
        return hook
    if dot_general is None:
        return functools.partial(jnp.einsum, precision=precision)
    return functools.partial(jnp.einsum, precision=precision, _dot_general=dot_general)


@op(
    static=[
        "broadcast_dropout",
        "dropout_rate",
        "deterministic",
        "is_causal",
        "dtype",
        "precision",
        "force_fp32_for_softmax",
        "return_softmax",
    ],
    hooks={"einsum_dot_general": lax.dot_general, "einsum": jnp.einsum, "promote_dtype": None},
    made_of=["numpy.einsum", "nn.softmax"],
    promotes=2,
)
def dot_product_attention_weights(
    query: Array,
    key: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    dropout_rng: PRNGKey | None = None,
    *,
    broadcast_dropout: bool = True,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    is_causal: bool = False,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    force_fp32_for_softmax: bool = False,
    return_softmax: bool = False,
    einsum_dot_general: DotGeneral | None = None,
    einsum: Einsum | None = None,
    promote_dtype: PromoteDtype | None = None,
) -> Any:
    """Compute how much each query attends to each key (Vaswani et al. 2017, arXiv:1706.03762).

    ``weights = softmax(query @ key / sqrt(depth) + bias)``, over the keys that the mask allows

    Shapes:
        query: ``(*batch, queries, heads, depth)``; key: ``(*batch, keys, kv_heads, depth)``; bias
        and mask: broadcast against ``(*batch, heads, queries, keys)``.

    Args:
        query: what looks.
        key: what is looked at.
        bias: added to the scores, or ``None``.
        mask: where a query may look, or ``None``.
        dropout_rng: the key of the dropout.
        broadcast_dropout: drop the same weights in all of the batch and all heads.
        dropout_rate: the probability that a weight is dropped.
        deterministic: drop nothing.
        is_causal: let no query look at a later key.
        dtype: dtype of the computation; ``None`` promotes from query and key.
        precision: as in ``jax.numpy.einsum``.
        force_fp32_for_softmax: compute the softmax in float32, and what follows.
        return_softmax: return also the weights before dropout.
        einsum_dot_general: hook in the place of the ``dot_general`` inside einsum.
        einsum: hook in the place of ``jax.numpy.einsum``.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(*batch, heads, queries, keys)``.

    Raises:
        ValueError: the shapes do not fit, or dropout has no key.

    >>> same = jnp.ones((1, 2, 1, 4))
    >>> dot_product_attention_weights(same, same).tolist()
    [[[[0.5, 0.5], [0.5, 0.5]]]]
    """
    query, key = (promote_dtype or dtypes.promote_dtype)(query, key, dtype=dtype)
    _check(query, key)
    softmax = _weights(
        query,
        key,
        bias,
        mask,
        is_causal=is_causal,
        force_fp32_for_softmax=force_fp32_for_softmax,
        einsum=_einsum(einsum, precision, einsum_dot_general),
    )
    weights = _drop(
        softmax,
        dropout_rng,
        rate=0.0 if deterministic else dropout_rate,
        broadcast=broadcast_dropout,
        dtype=query.dtype,
    )
    return (weights, softmax) if return_softmax else weights


@op(
    static=[
        "broadcast_dropout",
        "dropout_rate",
        "deterministic",
        "is_causal",
        "dtype",
        "precision",
        "force_fp32_for_softmax",
        "return_softmax",
        "fused",
    ],
    hooks={
        "einsum_dot_general": lax.dot_general,
        "qk_attn_weights_einsum": None,
        "attn_weights_value_einsum": None,
        "promote_dtype": None,
    },
    made_of=["numpy.einsum", "nn.softmax", "nn.dot_product_attention"],
    promotes=3,
)
def dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    dropout_rng: PRNGKey | None = None,
    *,
    broadcast_dropout: bool = True,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    is_causal: bool = False,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    force_fp32_for_softmax: bool = False,
    return_softmax: bool = False,
    fused: bool = False,
    einsum_dot_general: DotGeneral | None = None,
    qk_attn_weights_einsum: Einsum | None = None,
    attn_weights_value_einsum: Einsum | None = None,
    promote_dtype: PromoteDtype | None = None,
) -> Any:
    """Let each query take a mean of the values (Vaswani et al. 2017, arXiv:1706.03762).

    ``outputs = softmax(query @ key / sqrt(depth) + bias) @ value``

    Shapes:
        query: ``(*batch, queries, heads, depth)``; key: ``(*batch, keys, kv_heads, depth)``; value:
        ``(*batch, keys, kv_heads, value_depth)``; bias and mask: broadcast against ``(*batch,
        heads, queries, keys)``.

    Args:
        query: what looks.
        key: what is looked at.
        value: what is averaged.
        bias: added to the scores, or ``None``.
        mask: where a query may look, or ``None``.
        dropout_rng: the key of the dropout.
        broadcast_dropout: drop the same weights in all of the batch and all heads.
        dropout_rate: the probability that a weight is dropped.
        deterministic: drop nothing.
        is_causal: let no query look at a later key.
        dtype: dtype of the computation; ``None`` promotes from query, key and value.
        precision: as in ``jax.numpy.einsum``.
        force_fp32_for_softmax: compute the softmax in float32, and what follows.
        return_softmax: return also the weights before dropout.
        fused: use ``jax.nn.dot_product_attention``, which never forms all the weights where the
            device has a kernel for it; without dropout only.
        einsum_dot_general: hook in the place of the ``dot_general`` inside einsum.
        qk_attn_weights_einsum: hook in the place of the first ``jax.numpy.einsum``.
        attn_weights_value_einsum: hook in the place of the second.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(*batch, queries, heads, value_depth)``.

    Raises:
        ValueError: the shapes do not fit, dropout has no key or is asked of the fused form, or only
            one of the two einsum hooks is given.

    >>> one = jnp.ones((1, 2, 1, 4))
    >>> dot_product_attention(one, one, 3 * one)[0, :, 0, 0].tolist()
    [3.0, 3.0]
    """
    if (qk_attn_weights_einsum is None) != (attn_weights_value_einsum is None):
        raise ValueError(
            "One of qk_attn_weights_einsum and attn_weights_value_einsum was given without the "
            "other; pass both, jnp.einsum where nothing special is needed."
        )
    if qk_attn_weights_einsum is not None and not (
        precision is None and einsum_dot_general is None
    ):
        raise ValueError(
            "precision or einsum_dot_general was given together with qk_attn_weights_einsum and "
            "attn_weights_value_einsum, which replace the very einsum they would configure. Set "
            "the precision inside those functions."
        )
    query, key, value = (promote_dtype or dtypes.promote_dtype)(query, key, value, dtype=dtype)
    _check(query, key, value)
    rate = 0.0 if deterministic else dropout_rate
    if fused and not return_softmax:
        return _fused(query, key, value, bias, mask, is_causal, rate)
    softmax = _weights(
        query,
        key,
        bias,
        mask,
        is_causal=is_causal,
        force_fp32_for_softmax=force_fp32_for_softmax,
        einsum=_einsum(qk_attn_weights_einsum, precision, einsum_dot_general),
    )
    weights = _drop(softmax, dropout_rng, rate=rate, broadcast=broadcast_dropout, dtype=query.dtype)
    second = _einsum(attn_weights_value_einsum, precision, einsum_dot_general)
    outputs = _weighted_values(weights, value, second)
    return (outputs, softmax) if return_softmax else outputs


def _fused(
    query: Array,
    key: Array,
    value: Array,
    bias: Array | None,
    mask: Array | None,
    is_causal: bool,
    dropout_rate: float,
) -> Array:
    """Call JAX's own attention, which knows one batch axis."""
    if dropout_rate != 0.0:
        raise ValueError(
            f"fused=True with dropout_rate={dropout_rate}: the fused kernel has no dropout. Pass "
            "fused=False, or deterministic=True."
        )
    batch, dtype = query.shape[:-3], query.dtype
    span = len(batch)
    if dtype == jnp.float16 and jax.default_backend() == "cpu":
        # a CPU has no product of float16 that is summed in float32, which JAX asks for
        query, key, value = (x.astype(jnp.float32) for x in (query, key, value))

    def flatten(x: Array, shape: tuple[int, ...]) -> Array:
        if span == 1 and x.ndim == len(shape):
            return x  # what JAX can broadcast itself takes no memory
        return jnp.reshape(jnp.broadcast_to(x, shape), (-1, *shape[span:]))

    scores = (*batch, query.shape[-2], query.shape[-3], key.shape[-3])
    outputs = jax.nn.dot_product_attention(
        flatten(query, query.shape),
        flatten(key, key.shape),
        flatten(value, value.shape),
        bias=None if bias is None else flatten(bias, scores),
        mask=None if mask is None else flatten(mask.astype(jnp.bool_), scores),
        is_causal=is_causal,
    )
    return jnp.reshape(outputs, (*batch, *outputs.shape[1:])).astype(dtype)


def divide_heads(features: int, num_heads: int, num_kv_heads: int | None = None) -> int:
    """Return how many features each head has.

    Args:
        features: the size of the queries, all heads together.
        num_heads: how many heads of queries there are.
        num_kv_heads: how many heads of keys and values; ``None`` for as many as of queries.

    Raises:
        ValueError: the heads do not divide the features, or those of keys those of queries, or
            there is none.

    >>> divide_heads(8, 4)
    2
    """
    if num_heads < 1:
        raise ValueError(
            f"Attention with num_heads={num_heads}: there must be one head at least. Choose a "
            f"divisor of qkv_features={features}."
        )
    if features % num_heads:
        raise ValueError(
            f"qkv_features={features} do not divide among num_heads={num_heads}. Set qkv_features "
            f"to a multiple of num_heads, such as {-(-features // num_heads) * num_heads}."
        )
    if num_kv_heads and num_heads % num_kv_heads:
        raise ValueError(
            f"num_heads={num_heads} heads of queries cannot share num_kv_heads={num_kv_heads} "
            "heads of keys and values evenly. Make num_kv_heads a divisor of num_heads."
        )
    return features // num_heads


def complete_inputs(
    inputs_q: Array, inputs_k: Array | None, inputs_v: Array | None
) -> tuple[Array, Array]:
    """Return what keys and values are made of: given, or what queries, or keys, are made of.

    Raises:
        ValueError: ``inputs_v`` without ``inputs_k``.
    """
    if inputs_k is None:
        if inputs_v is not None:
            raise ValueError(
                "inputs_v was given without inputs_k, so there is nothing to look the values up "
                "by. Pass inputs_k too; if both are the same, inputs_k alone."
            )
        return inputs_q, inputs_q
    return inputs_k, inputs_k if inputs_v is None else inputs_v
