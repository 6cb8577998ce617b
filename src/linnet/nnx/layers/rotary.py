"""Rotary position embedding as a layer; the arithmetic stands in ``linnet.ops.rotary``."""

import functools
from typing import Any

from linnet.base.typing import Array
from linnet.nnx.layers.dot_product import dot_product_attention
from linnet.nnx.layers.layer import Layer
from linnet.nnx.objects.variable import Variable
from linnet.ops.rotary import heads_first, heads_last, rotary_embedding, rotary_tables, rotate


class RoPE(Layer):
    """Turn vectors by angles that grow with their position (Su et al. 2021, arXiv:2104.09864).

    Args:
        theta: the base of the angles: the larger, the slower the last numbers of a vector turn.
        embedding_size: the size of the vectors, that of one head in attention. Given together with
            ``max_seq_len``, sines and cosines are computed once, and kept in two variables.
        max_seq_len: how many positions these are for.

    Raises:
        ValueError: one of ``embedding_size`` and ``max_seq_len`` without the other, or an odd size.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> rope = nnx.RoPE(embedding_size=4, max_seq_len=8)
    >>> rope(jnp.ones((1, 5, 4))).shape
    (1, 5, 4)
    """

    cached_sin: Variable[Array] | None
    cached_cos: Variable[Array] | None

    def __init__(
        self,
        theta: float = 10000.0,
        embedding_size: int | None = None,
        max_seq_len: int | None = None,
    ) -> None:
        if (embedding_size is None) != (max_seq_len is None):
            raise ValueError(
                f"RoPE with embedding_size={embedding_size} and max_seq_len={max_seq_len}: a table "
                "of angles has both. Give both, or neither to compute the angles in each call."
            )
        sin, cos = None, None
        if embedding_size is not None and max_seq_len is not None:
            tables = rotary_tables(length=max_seq_len, size=embedding_size, theta=theta)
            sin, cos = map(Variable, tables)
        data = () if sin is None else ("cached_sin", "cached_cos")
        self._set_up(data, theta=theta, cached_sin=sin, cached_cos=cos)

    def __call__(self, x: Array, input_positions: Array | None = None) -> Array:
        """Turn.

        Shapes:
            x: ``(*batch, length, size)``; input_positions: broadcasts against ``(*batch, length)``.

        Args:
            x: the vectors.
            input_positions: where they stand; ``None`` for 0, 1, 2 and so on.

        Returns:
            Array of the shape of ``x``, in float32 where its dtype is narrower.

        Raises:
            ValueError: the size is odd, the vectors do not fit the tables, or the positions do not
                fit the vectors.
        """
        if x.ndim < 2:
            raise ValueError(
                f"RoPE was given x of shape {x.shape}, but turns vectors in a sequence, (*batch, "
                "length, size). Write x[None] for a sequence of one."
            )
        sin, cos = self.cached_sin, self.cached_cos
        if input_positions is not None:
            _check_positions(x, input_positions)
        elif sin is not None and cos is not None:
            return _turned_by_tables(x, sin.get_value(), cos.get_value())
        return rotary_embedding(x, input_positions, theta=self.theta)


def _check_positions(x: Array, positions: Array) -> None:
    """Check that positions fit the vectors.

    Raises:
        ValueError: they do not.
    """
    batch, given = x.shape[:-1], tuple(positions.shape)
    fits = len(given) <= len(batch) and all(
        size in (1, wanted) for size, wanted in zip(reversed(given), reversed(batch), strict=False)
    )
    if not given or given[-1] != batch[-1] or not fits:
        raise ValueError(
            f"RoPE was given x of shape {x.shape} and input_positions of shape {given}. Each "
            f"vector has one position: pass input_positions of shape {batch} or ({batch[-1]},)."
        )


def _turned_by_tables(x: Array, sin: Array, cos: Array) -> Array:
    length, size = x.shape[-2:]
    if length > sin.shape[0] or size != 2 * sin.shape[1]:
        raise ValueError(
            f"RoPE was given x of shape {x.shape}, (*batch, length, size), but has tables for "
            f"embedding_size={2 * sin.shape[1]} and max_seq_len={sin.shape[0]}. Make it with "
            f"embedding_size={size} and a max_seq_len of {length} or more, or without both."
        )
    return rotate(x, sin[:length], cos[:length])


def dot_product_attention_with_rope(
    query: Array,
    key: Array,
    value: Array,
    *,
    rope: RoPE,
    input_positions: Array | None = None,
    **kwargs: Any,
) -> Array:
    """Attend with queries and keys turned by their positions.

    With ``functools.partial(nnx.dot_product_attention_with_rope, rope=rope)`` it is the
    ``attention_fn`` of ``nnx.MultiHeadAttention``. Keys that are not as many as the positions
    given, such as those in a cache, are counted from 0.

    Shapes:
        query: ``(*batch, queries, heads, depth)``; key and value: ``(*batch, keys, kv_heads,
        depth)``; input_positions: broadcasts against ``(*batch, queries)``.

    Args:
        query: what queries.
        key: what is queried.
        value: what is averaged.
        rope: turns queries and keys.
        input_positions: where the queries stand, and the keys if these are as many; ``None`` for 0,
            1, 2 and so on.
        **kwargs: as in ``nnx.dot_product_attention``.

    Returns:
        Array of shape ``(*batch, queries, heads, depth)``.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> one = jnp.ones((1, 2, 1, 4))
    >>> dot_product_attention_with_rope(one, one, 3 * one, rope=nnx.RoPE()).shape
    (1, 2, 1, 4)
    """

    def turned(vectors: Array, positions: Array | None) -> Array:
        # the last axis but one has to be the sequence, which positions are of
        return heads_last(rope(heads_first(vectors), positions))

    same = input_positions is None or key.shape[-3] == query.shape[-3]
    return dot_product_attention(
        turned(query, input_positions),
        turned(key, input_positions if same else None),
        value,
        **kwargs,
    )


def counts_positions(attention_fn: Any) -> bool:
    """Return whether an attention function is the one with rotary embedding, ``rope`` bound."""
    while isinstance(attention_fn, functools.partial):
        attention_fn = attention_fn.func
    return attention_fn is dot_product_attention_with_rope
