"""A table of vectors: look rows up, or score a query against all of them."""

from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, Dtype, PromoteDtype
from linnet.ops import dtypes
from linnet.ops.op import op


@op(static=["dtype", "out_sharding"], hooks=["promote_dtype"], made_of=["numpy.take"])
def embed(
    inputs: Array,
    embedding: Array,
    *,
    dtype: Dtype | None = None,
    out_sharding: Any = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Look up rows of a table.

    Negative indices count from the end; an index outside the table gives NaN. A table of one row
    gives that row for every index.

    Shapes:
        inputs: ``(...)``; embedding: ``(num_embeddings, features)``.

    Args:
        inputs: integers, the rows to look up.
        embedding: the table.
        dtype: dtype of the result; ``None`` keeps the table's.
        out_sharding: how the result is laid out over devices of an explicit mesh.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(..., features)``.

    Raises:
        ValueError: the indices are not integers.

    >>> embed(jnp.array([1, 0]), jnp.array([[1.0], [2.0]])).tolist()
    [[2.0], [1.0]]
    """
    if not jnp.issubdtype(inputs.dtype, jnp.integer):
        raise ValueError(
            f"The indices given to the embedding have dtype {inputs.dtype} (shape {inputs.shape}), "
            "but rows of a table are looked up by integers. Write inputs.astype(jnp.int32), or use "
            "a Dense layer for inputs that are not indices."
        )
    (table,) = (promote_dtype or dtypes.promote_dtype)(embedding, dtype=dtype, inexact=False)
    if table.shape[0] == 1:
        return jnp.broadcast_to(table, (*inputs.shape, table.shape[1]), out_sharding=out_sharding)
    if out_sharding is not None:
        return table.at[inputs].get(mode="fill", out_sharding=out_sharding)
    return jnp.take(table, inputs, axis=0)


@op(static=["dtype", "out_sharding"], hooks=["promote_dtype"], made_of=["numpy.dot"], promotes=2)
def attend(
    query: Array,
    embedding: Array,
    *,
    dtype: Dtype | None = None,
    out_sharding: Any = None,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Score queries against every row of a table, for weight sharing with the output layer.

    ``scores[..., n] = sum_i query[..., i] * embedding[n, i]``

    Shapes:
        query: ``(..., features)``; embedding: ``(num_embeddings, features)``.

    Args:
        query: the vectors to score.
        embedding: the table.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        out_sharding: as in ``jax.numpy.dot``.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``.

    Returns:
        Array of shape ``(..., num_embeddings)``.

    >>> attend(jnp.ones(2), jnp.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [3.0, 7.0]
    """
    query, table = (promote_dtype or dtypes.promote_dtype)(query, embedding, dtype=dtype)
    return jnp.dot(query, table.T, out_sharding=out_sharding)
