"""Decoding one token at a time.

The keys and values of the past stand in a cache of fixed length; ``extend_cache`` writes the next
ones in and returns the mask that hides what is not yet written.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from linnet.base.typing import Array
from linnet.ops.op import op


@op()
def extend_cache(
    cached_key: Array, cached_value: Array, index: Array, key: Array, value: Array
) -> tuple[Array, Array, Array, Array]:
    """Write the keys and values of the next token into the cache of decoding.

    Shapes:
        cached_key and cached_value: ``(*batch, max_length, heads, depth)``; index: ``()``; key and
        value: ``(*batch, 1, heads, depth)``.

    Args:
        cached_key: the keys of the past.
        cached_value: the values of the past.
        index: how many tokens the past has.
        key: that of the next token.
        value: that of the next token.

    Returns:
        The cached keys, the cached values, the index raised by one, and the boolean mask ``(*batch,
        1, 1, max_length)`` of the tokens written so far.

    Raises:
        ValueError: the key is not of one token, or does not fit the cache.

    >>> empty, token = jnp.zeros((1, 2, 1, 1)), jnp.ones((1, 1, 1, 1))
    >>> keys, _, index, mask = extend_cache(empty, empty, jnp.array(0), token, token)
    >>> keys.ravel().tolist(), int(index), mask.ravel().tolist()
    ([1.0, 0.0], 1, [True, False])
    """
    *batch, max_length, heads, depth = cached_key.shape
    wanted = (*batch, 1, heads, depth)
    if key.shape != wanted:
        raise ValueError(
            f"Decoding with a cache of shape {cached_key.shape} takes one token at a time, "
            f"a key of shape {wanted}, but got {key.shape}. Call the layer on "
            "inputs[..., i:i+1, :], with the batch of the call that made the cache."
        )
    zero = jnp.zeros_like(index)  # the numbers of a place have one dtype
    origin: tuple[Any, ...] = (*(zero for _ in batch), index, zero, zero)
    mask = jnp.broadcast_to(jnp.arange(max_length) <= index, (*batch, 1, 1, max_length))
    return (
        lax.dynamic_update_slice(cached_key, key.astype(cached_key.dtype), origin),
        lax.dynamic_update_slice(cached_value, value.astype(cached_value.dtype), origin),
        index + 1,
        mask,
    )
