"""Dropout: zero some elements at random, scale the others so that the mean is kept."""

import jax
import jax.numpy as jnp
from jax import lax, random

from linnet.base.typing import Array, PRNGKey
from linnet.ops.axes import from_front
from linnet.ops.keys import DeferredKey, drawn_key
from linnet.ops.op import op


@op(static=["rate", "broadcast_dims"], made_of=["random.bernoulli"])
def dropout(
    inputs: Array,
    key: PRNGKey | DeferredKey | None,
    *,
    rate: float,
    broadcast_dims: tuple[int, ...] = (),
) -> Array:
    """Zero each element with probability ``rate`` and divide the others by ``1 - rate``.

    Shapes:
        inputs: any.

    Args:
        inputs: what to drop from.
        key: decides which elements; drawn here if it was not. Not used, and may be ``None``, where
            ``rate`` is 0 or 1.
        rate: the probability of zero. 0 returns the inputs, 1 returns zeros.
        broadcast_dims: axes along which the elements share one decision.

    Returns:
        Array like the inputs.

    >>> import jax
    >>> sorted(set(dropout(jnp.ones(64), jax.random.key(0), rate=0.5).tolist()))
    [0.0, 2.0]
    """
    if rate == 0.0:
        return inputs
    if rate == 1.0:
        return jnp.zeros_like(inputs)
    shared = from_front(broadcast_dims, inputs.ndim)
    drawn = tuple(1 if axis in shared else size for axis, size in enumerate(inputs.shape))
    if key is None:
        raise ValueError(
            f"dropout with rate={rate} draws at random, but key is None. Pass a key made by "
            "jax.random.key(seed)."
        )
    keep = jnp.broadcast_to(random.bernoulli(drawn_key(key), 1.0 - rate, drawn), inputs.shape)
    layout = jax.typeof(inputs).sharding
    if layout.mesh.explicit_axes:
        keep = jax.sharding.reshard(keep, layout)
    return lax.select(keep, inputs / (1.0 - rate), jnp.zeros_like(inputs))
