"""Attention masks: which query may look at which key.

A mask is ``(*batch, heads or 1, queries, keys)``, nonzero where a query may look.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, Dtype
from linnet.ops.op import op


def make_attention_mask(
    query_input: Array,
    key_input: Array,
    pairwise_fn: Callable[..., Any] = jnp.multiply,
    extra_batch_dims: int = 0,
    dtype: Dtype = jnp.float32,
) -> Array:
    """Make a mask from what is known of each query and each key.

    Shapes:
        query_input: ``(*batch, queries)``; key_input: ``(*batch, keys)``.

    Args:
        query_input: something about each query, such as whether it is a token.
        key_input: something about each key.
        pairwise_fn: ``(query, key) -> may look``, elementwise.
        extra_batch_dims: how many axes of size 1 to put in front.
        dtype: dtype of the mask.

    Returns:
        Array of shape ``(*extra, *batch, 1, queries, keys)``.

    >>> make_attention_mask(jnp.array([1, 1]), jnp.array([1, 0])).tolist()
    [[[1.0, 0.0], [1.0, 0.0]]]
    """
    # only functions that live as long as the process may key a cache
    make = _pairwise_compiled if isinstance(pairwise_fn, jnp.ufunc) else _pairwise
    return make(
        query_input,
        key_input,
        pairwise_fn=pairwise_fn,
        extra_batch_dims=extra_batch_dims,
        dtype=dtype,
    )


def _pairwise(
    query_input: Array,
    key_input: Array,
    *,
    pairwise_fn: Callable[..., Any],
    extra_batch_dims: int,
    dtype: Dtype,
) -> Array:
    """Do what ``make_attention_mask`` says."""
    mask = pairwise_fn(jnp.expand_dims(query_input, -1), jnp.expand_dims(key_input, -2))
    mask = jnp.expand_dims(mask, (*range(extra_batch_dims), -3))  # (*extra, *batch, 1, q, k)
    return jnp.asarray(mask, dtype)


_pairwise_compiled = op(static=["pairwise_fn", "extra_batch_dims", "dtype"])(_pairwise)


@op(static=["shape", "extra_batch_dims", "dtype"])
def _causal_mask(*, shape: tuple[int, ...], extra_batch_dims: int, dtype: Dtype) -> Array:
    """Make the mask of ``make_causal_mask`` from the shape of its argument."""
    places = jnp.broadcast_to(jnp.arange(shape[-1], dtype=jnp.int32), shape)
    return _pairwise(
        places,
        places,
        pairwise_fn=jnp.greater_equal,
        extra_batch_dims=extra_batch_dims,
        dtype=dtype,
    )


def make_causal_mask(x: Array, extra_batch_dims: int = 0, dtype: Dtype = jnp.float32) -> Array:
    """Make a mask with which each position sees itself and those before it.

    Shapes:
        x: ``(*batch, length)``.

    Args:
        x: an array of the shape of the inputs without features; only its shape counts.
        extra_batch_dims: how many axes of size 1 to put in front.
        dtype: dtype of the mask.

    Returns:
        Array of shape ``(*extra, *batch, 1, length, length)``.

    >>> make_causal_mask(jnp.ones(2)).tolist()
    [[[1.0, 0.0], [1.0, 1.0]]]
    """
    return _causal_mask(shape=jnp.shape(x), extra_batch_dims=extra_batch_dims, dtype=dtype)


@op(static=["dtype"])
def combine_masks(*masks: Array | None, dtype: Dtype = jnp.float32) -> Array | None:
    """Let a query look only where every mask lets it.

    Shapes:
        masks: of one rank, broadcast against each other.

    Args:
        *masks: the masks; ``None`` stands for no restriction.
        dtype: dtype of the result.

    Returns:
        The combined mask, or ``None`` if there is none to combine.

    Raises:
        ValueError: the masks have different ranks.

    >>> combine_masks(jnp.array([1, 1]), None, jnp.array([1, 0])).tolist()
    [1.0, 0.0]
    """
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    if len({mask.ndim for mask in given}) > 1:
        shapes = ", ".join(str(mask.shape) for mask in given)
        raise ValueError(
            f"Masks of shapes {shapes} have different numbers of axes, so it cannot be told which "
            "axes belong together. Give each the form (*batch, heads or 1, queries, keys); "
            "jnp.expand_dims adds an axis."
        )
    combined = given[0]
    for mask in given[1:]:
        combined = jnp.logical_and(combined, mask)
    return jnp.asarray(combined, dtype)
