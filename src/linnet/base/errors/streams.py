"""Errors of NNX's streams of random keys, and of layers that lack what they need to run."""

from collections.abc import Iterable, Sequence
from typing import Any

from linnet.base.errors.words import LinnetError, listing, near, path_text


def _written(value: Any) -> str:
    """Write a value with its type; streams answer to every attribute, so none is asked for."""
    text = " ".join(repr(value).split())
    text = text if len(text) <= 60 else text[:59] + "…"
    return f"{text} ({type(value).__name__})"


class InvalidSeedError(LinnetError, ValueError):
    """A stream was made of something that is no seed and no key."""

    def __init__(self, value: Any) -> None:
        super().__init__(
            f"A stream of random keys was to be made of {_written(value)}, "
            "which is neither a seed (an integer) nor a key. Write nnx.Rngs(0), or pass a key: "
            "nnx.Rngs(jax.random.key(0)). To hand streams on, write rngs.fork()."
        )


class UnknownStreamError(LinnetError, AttributeError, KeyError):
    """A stream was asked for that is not there, nor a default one."""

    def __init__(self, name: str, have: Iterable[str]) -> None:
        have = list(have)
        super().__init__(
            f"No stream {name!r} in nnx.Rngs: it has {listing(have, 'no streams')}, and no stream "
            f"'default' to stand for the others.{near(name, have)} Write nnx.Rngs(0), which has a "
            f"default stream, or name this one: nnx.Rngs({name}=0)."
        )

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would show the message in quotes


class StackedKeysError(LinnetError, ValueError):
    """One key was asked of, or meant for, a stream that holds one for each entry of an axis."""

    def __init__(
        self, tag: str, shape: tuple[int, ...], *, reseeding: Sequence[Any] | None = None
    ) -> None:
        if reseeding is not None:
            super().__init__(
                f"reseed cannot put one key into the stream {path_text(reseeding)} ({tag!r}), "
                f"which holds keys of shape {shape}. To split the new key among them, write "
                "policy='match_shape'; or give a policy of your own, (path, key, shape) -> keys."
            )
            return
        super().__init__(
            f"Stream {tag!r} was asked for one key, but holds keys of shape {shape}: it was split "
            "or broadcast, to be mapped over. Map over its axis, nnx.vmap(f, in_axes=0)(rngs), or "
            "draw before splitting. After nnx.split_rngs(model, ...) used as a function, "
            "nnx.restore_rngs brings the single key back."
        )


class MissingStreamsError(LinnetError, TypeError, AttributeError, ValueError):
    """A layer that draws was not given streams."""

    def __init__(self, layer: str, value: Any, *, misspelt: bool = False, also: str = "") -> None:
        given = f"rngs={_written(value)}"
        if value is None:
            given = "rng, which it does not know, and no rngs" if misspelt else "no rngs"
        super().__init__(
            f"{layer} was given {given}. It draws random numbers, and takes an nnx.Rngs{also} to "
            "draw from. Make one for the whole model, rngs = nnx.Rngs(0), and pass it to every "
            f"layer: nnx.{layer}(..., rngs=rngs)."
        )


class UndecidedModeError(LinnetError, ValueError):
    """A layer that does one thing in training and another afterwards was not told which."""

    def __init__(self, layer: str, flag: str) -> None:
        super().__init__(
            f"{layer} does not know whether {flag} is True or False: it was given neither to the "
            f"constructor nor to the call. Decide in one of three places. The constructor: "
            f"nnx.{layer}(..., {flag}=False). The call: layer(x, {flag}=True). A view of the whole "
            f"model: nnx.view(model, {flag}=True)."
        )


class MissingCacheError(LinnetError, ValueError):
    """A layer was to decode, but has no cache."""

    def __init__(self, layer: str) -> None:
        super().__init__(
            f"{layer} was called with decode=True, but has no cache to keep the past in. Make one "
            "first, layer.init_cache((batch, max_length, features)), and give the layer one token "
            "at a time; or pass decode=False."
        )
