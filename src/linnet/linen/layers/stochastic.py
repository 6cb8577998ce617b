"""Layers that draw at random; the arithmetic stands in ``linnet.ops.dropout``."""

from collections.abc import Sequence

from linnet.base.typing import Array, PRNGKey
from linnet.linen.modules.module import Module, compact, merge_param
from linnet.ops.dropout import dropout


class Dropout(Module):
    """Zero inputs at random, and scale the others so that the mean is kept.

    Attributes:
        rate: the probability that an element is zeroed.
        broadcast_dims: axes along which the elements share one decision.
        deterministic: let everything through, as at inference; to be given here or to the call.
        rng_collection: the stream of keys to draw from.

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> layer = nn.Dropout(rate=0.5, deterministic=False)
    >>> layer.apply({}, jnp.ones(4), rngs={"dropout": jax.random.key(0)}).shape
    (4,)
    """

    rate: float
    broadcast_dims: Sequence[int] = ()
    deterministic: bool | None = None
    rng_collection: str = "dropout"

    @compact
    def __call__(
        self, inputs: Array, deterministic: bool | None = None, rng: PRNGKey | None = None
    ) -> Array:
        """Drop.

        Args:
            inputs: what to drop from.
            deterministic: let everything through.
            rng: the key to draw with; ``None`` takes one from the stream ``rng_collection``.

        Returns:
            Array like the inputs.

        Raises:
            ValueError: ``deterministic`` is given neither here nor to the constructor, or twice.
            InvalidRngError: no key was passed for the stream.
        """
        deterministic = merge_param("deterministic", self.deterministic, deterministic)
        rate = self.rate if isinstance(self.rate, (int, float)) else float(self.rate)
        if rate == 0.0 or deterministic:
            return inputs
        if rng is None and rate != 1.0:
            rng = self.make_rng(self.rng_collection)
        return dropout(inputs, rng, rate=rate, broadcast_dims=tuple(self.broadcast_dims))
