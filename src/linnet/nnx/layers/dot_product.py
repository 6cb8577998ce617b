"""Attention as functions; the arithmetic stands in ``linnet.ops.attention``."""

from collections.abc import Callable
from typing import Any

from linnet.base.typing import Array, Dtype, PrecisionLike, PRNGKey
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.layers.layer import spread
from linnet.nnx.objects.kinds import Intermediate
from linnet.nnx.objects.module import Module
from linnet.ops import attention

Promote = Callable[..., Any]


def dot_product_attention_weights(
    query: Array,
    key: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    broadcast_dropout: bool = True,
    dropout_rng: PRNGKey | None = None,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    module: Module | None = None,
    promote_dtype: Promote = promote_dtype,
    is_causal: bool = False,
) -> Array:
    """Compute how much each query attends to each key.

    Shapes:
        query: ``(*batch, queries, heads, depth)``; key: ``(*batch, keys, kv_heads, depth)``; bias
        and mask: broadcast against ``(*batch, heads, queries, keys)``.

    Args:
        query: what looks.
        key: what is looked at.
        bias: added to the scores, or ``None``.
        mask: where a query may look, or ``None``.
        broadcast_dropout: drop the same weights in all of the batch and all heads.
        dropout_rng: the key of the dropout.
        dropout_rate: the probability that a weight is dropped.
        deterministic: drop nothing.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.numpy.einsum``.
        module: sows the weights before dropout, as ``attention_weights``.
        promote_dtype: brings query and key, given as one tuple, to one dtype.
        is_causal: let no query look at a later key.

    Returns:
        Array of shape ``(*batch, heads, queries, keys)``.

    >>> import jax.numpy as jnp
    >>> same = jnp.ones((1, 2, 1, 4))
    >>> dot_product_attention_weights(same, same).tolist()
    [[[[0.5, 0.5], [0.5, 0.5]]]]
    """
    weights, softmax = attention.dot_product_attention_weights(
        query,
        key,
        bias,
        mask,
        dropout_rng,
        broadcast_dropout=broadcast_dropout,
        dropout_rate=dropout_rate,
        deterministic=deterministic,
        is_causal=is_causal,
        dtype=dtype,
        precision=precision,
        return_softmax=True,
        promote_dtype=spread(promote_dtype),
    )
    if module is not None:
        module.sow(Intermediate, "attention_weights", softmax)
    return weights


def dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    broadcast_dropout: bool = True,
    dropout_rng: PRNGKey | None = None,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    module: Module | None = None,
    promote_dtype: Promote = promote_dtype,
    is_causal: bool = False,
) -> Array:
    """Let each query take a mean of the values, weighted by how its key fits theirs.

    Where nothing is dropped and nothing sown, this is ``jax.nn.dot_product_attention``, which on
    some devices never forms all the weights.

    Shapes:
        query: ``(*batch, queries, heads, depth)``; key and value: ``(*batch, keys, kv_heads,
        depth)``; bias and mask: broadcast against ``(*batch, heads, queries, keys)``.

    Args:
        query: what looks.
        key: what is looked at.
        value: what is averaged.
        bias: added to the scores, or ``None``.
        mask: where a query may look, or ``None``.
        broadcast_dropout: drop the same weights in all of the batch and all heads.
        dropout_rng: the key of the dropout.
        dropout_rate: the probability that a weight is dropped.
        deterministic: drop nothing.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.numpy.einsum``.
        module: sows the weights before dropout, as ``attention_weights``.
        promote_dtype: brings query, key and value, given as one tuple, to one dtype.
        is_causal: let no query look at a later key.

    Returns:
        Array of shape ``(*batch, queries, heads, depth)``.

    >>> import jax.numpy as jnp
    >>> one = jnp.ones((1, 2, 1, 4))
    >>> dot_product_attention(one, one, 3 * one)[0, :, 0, 0].tolist()
    [3.0, 3.0]
    """
    settings: dict[str, Any] = {
        "is_causal": is_causal,
        "dtype": dtype,
        "precision": precision,
        "promote_dtype": spread(promote_dtype),
    }
    if dropout_rate != 0.0:
        settings["dropout_rate"] = dropout_rate
        settings["broadcast_dropout"] = broadcast_dropout
        settings["deterministic"] = deterministic
    if module is None:
        fused = dropout_rate == 0.0
        return attention.dot_product_attention(
            query, key, value, bias, mask, dropout_rng, fused=fused, **settings
        )
    outputs, softmax = attention.dot_product_attention(
        query, key, value, bias, mask, dropout_rng, return_softmax=True, **settings
    )
    module.sow(Intermediate, "attention_weights", softmax)
    return outputs
