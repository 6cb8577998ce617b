"""Layers that draw at random; the arithmetic stands in ``linnet.ops.dropout``."""

from collections.abc import Sequence
from typing import Any

from linnet.base import errors
from linnet.base.typing import Array, PRNGKey
from linnet.nnx.layers.layer import Layer, chosen, decided
from linnet.nnx.random.streams import Rngs, RngStream
from linnet.ops.dropout import dropout
from linnet.ops.keys import DeferredKey


def forked(rngs: Any, name: str, layer: Any) -> RngStream | None:
    """Return a stream of a layer's own, made of the next key of the one that it was given.

    Raises:
        MissingStreamsError: ``rngs`` are neither streams nor ``None``.
    """
    if rngs is None:
        return None
    if isinstance(rngs, Rngs):
        return rngs[name].fork()
    if isinstance(rngs, RngStream):
        return rngs.fork()
    raise errors.MissingStreamsError(type(layer).__name__, rngs, also=", an nnx.RngStream or None")


def next_key(rngs: Any, name: str, layer: Any) -> PRNGKey | DeferredKey:
    """Return the next key of streams, of one stream, or the key itself.

    Raises:
        MissingStreamsError: ``rngs`` is none of them.
    """
    if isinstance(rngs, Rngs):
        return rngs[name].draw_later()
    if isinstance(rngs, RngStream):
        return rngs.draw_later()
    if isinstance(rngs, Array):
        return rngs
    raise errors.MissingStreamsError(type(layer).__name__, rngs, also=", an nnx.RngStream or a key")


class Dropout(Layer):
    """Zero inputs at random, and scale the others so that the mean is kept.

    Args:
        rate: the probability that an element is zeroed.
        broadcast_dims: axes along which the elements share one decision.
        deterministic: let everything through, as in evaluation; ``None`` to decide at the call.
        rng_collection: the stream of keys to draw from.
        rngs: streams, or one stream. The layer takes one key, and draws from a stream of its own
            made of that; ``None`` if the call will be given streams.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer, x = nnx.Dropout(0.5, rngs=nnx.Rngs(0)), jnp.ones(64)
    >>> sorted(set(layer(x).tolist())), sorted(set(layer(x, deterministic=True).tolist()))
    ([0.0, 2.0], [1.0])
    """

    def __init__(
        self,
        rate: float,
        *,
        broadcast_dims: Sequence[int] = (),
        deterministic: bool | None = False,
        rng_collection: str = "dropout",
        rngs: Rngs | RngStream | None = None,
    ) -> None:
        given = dict(locals())
        self._set_up(
            ("rngs",),
            **chosen(given, "rate broadcast_dims deterministic rng_collection"),
            rngs=forked(rngs, rng_collection, self),
        )

    def __call__(
        self,
        inputs: Array,
        *,
        deterministic: bool | None = None,
        rngs: Rngs | RngStream | PRNGKey | None = None,
    ) -> Array:
        """Drop.

        Args:
            inputs: what to drop from.
            deterministic: let everything through; comes before what the constructor was told.
            rngs: streams, one stream or a key; come before those of the constructor.

        Returns:
            Array like the inputs.

        Raises:
            UndecidedModeError: ``deterministic`` was given neither here nor before.
            MissingStreamsError: there are no streams to draw from.
        """
        off = decided("deterministic", self, deterministic, self.deterministic)
        rate = self.rate if isinstance(self.rate, int | float) else float(self.rate)
        if off or rate == 0.0:
            return inputs
        key = None
        if rate != 1.0:
            key = next_key(self.rngs if rngs is None else rngs, self.rng_collection, self)
        return dropout(inputs, key, rate=rate, broadcast_dims=tuple(self.broadcast_dims))

    def set_view(self, deterministic: bool | None = None) -> None:
        """Set what ``nnx.view`` asks for.

        Args:
            deterministic: let everything through.
        """
        if deterministic is not None:
            self.deterministic = deterministic
