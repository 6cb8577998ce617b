"""Streams of random keys, as objects that models hold.

A :class:`RngStream` is a base key and a count, both variables, so that they are part of a model's
state. The n-th key it hands out is ``fold_in(key, n)``, counted from zero, and handing one out
raises the count. An :class:`Rngs` is several streams by name; a name that it does not have stands
for its stream ``default``.

Three ways to get streams out of streams, each at the price of one key of theirs:

* ``fork``: an independent stream, for a part of the model that draws on its own;
* ``split``: as many independent keys as asked for, stacked, for ``vmap`` and ``scan`` to map over;
* ``broadcast``: one key repeated, for what shall draw the same everywhere.

Outside a trace the count is an array of numpy, not one on a device: to raise it compiles nothing
and waits for nothing. It is an array and not a scalar, which checkpoints of others do not take. Who
reads it gets an array of JAX.
"""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from linnet.base import errors
from linnet.base.typing import PRNGKey
from linnet.nnx.objects.pytree import Pytree, attributes_of
from linnet.nnx.objects.variable import Variable
from linnet.nnx.random.samplers import KeySource
from linnet.ops.keys import DeferredKey
from linnet.state.filters import Predicate, to_predicate

Counts = int | tuple[int, ...]

_ONE = np.uint32(1)


class RngState(Variable[Any]):
    """What a stream remembers; ``tag`` is the name of the stream."""

    tag: str


class RngKey(RngState):
    """The base key of a stream."""


class RngCount(RngState):
    """How many keys a stream has handed out, a uint32."""

    def get_value(self, **index: Any) -> Any:
        """Return the count as an array of JAX."""
        return _of_jax(super().get_value(**index))

    def get_raw_value(self) -> Any:
        """Return the count as an array of JAX, without hooks."""
        return _of_jax(self._raw_value)

    def set_value(self, value: Any, **index: Any) -> None:
        """Set the count."""
        super().set_value(np.array(value, np.uint32) if type(value) is int else value, **index)


def _of_jax(count: Any) -> Any:
    return jnp.asarray(count) if isinstance(count, np.ndarray | np.generic) else count


def as_key(value: Any) -> PRNGKey:
    """Return a random key for what a user may give: a seed, a key, or the old form of a key.

    Raises:
        InvalidSeedError: it is none of them.
    """
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            return value
        if value.dtype == jnp.uint32 and value.ndim == 1:
            return random.wrap_key_data(value)
        if value.ndim == 0 and jnp.issubdtype(value.dtype, jnp.integer):
            return random.key(value)
    elif isinstance(value, int | np.integer):
        return random.key(int(value))
    raise errors.InvalidSeedError(value)


class RngStream(KeySource, Pytree):
    """One source of random keys.

    Args:
        key: the base key, or a seed.
        tag: the name of the stream.

    >>> from linnet import nnx
    >>> stream = nnx.RngStream(0, tag="dropout")
    >>> key, another = stream(), stream()
    >>> int(stream.count[...])
    2
    """

    tag: str
    key: RngKey
    count: RngCount

    def __init__(self, key: PRNGKey | int, *, tag: str) -> None:
        key = as_key(key)
        self.tag = tag
        self.key = RngKey(key, tag=tag)
        self.count = RngCount(np.zeros(key.shape, np.uint32), tag=tag)

    def draw_later(self) -> DeferredKey:
        """Count the next key and return it undrawn.

        An initializer that can fold the number into the base key itself does so inside the
        compiled function that draws; one that needs no key costs none.

        Raises:
            ValueError: the stream holds several keys, one for each entry of a mapped axis.
        """
        key, count = self.key, self.count
        base, number = key.get_value(), count._raw_value
        if base.shape:
            raise errors.StackedKeysError(self.tag, base.shape)
        if isinstance(number, np.ndarray | np.generic):
            count.set_raw_value(np.asarray(np.asarray(number, np.uint32) + _ONE))
        else:
            count.set_raw_value(number + 1)
        return DeferredKey(base, number)

    def __call__(self) -> PRNGKey:
        """Return the next key."""
        return self.draw_later().draw()

    def fork(self, *, split: Counts | None = None) -> "RngStream":
        """Return an independent stream, made of the next key; ``split`` is an old form of it."""
        if split is not None:
            _warn_of_split()
            return self.split(split)
        return type(self)(self(), tag=self.tag)

    def split(self, k: Counts) -> "RngStream":
        """Return a stream of ``k`` independent keys, stacked, made of the next key."""
        return type(self)(random.split(self(), k), tag=self.tag)

    def broadcast(self, k: Counts) -> "RngStream":
        """Return a stream of the next key, repeated along new axes of the sizes ``k``."""
        shape = k if isinstance(k, tuple) else (k,)
        return type(self)(jnp.broadcast_to(self(), shape), tag=self.tag)

    def _again(self) -> "RngStream":
        """Return another stream of the same key, from the beginning."""
        return type(self)(self.key.get_value(), tag=self.tag)


def _warn_of_split() -> None:
    """Warn that ``fork(split=...)`` is an old form."""
    warnings.warn("fork(split=n) is deprecated; write split(n).", DeprecationWarning, stacklevel=3)


class Rngs(KeySource, Pytree):
    """Several streams of random keys, by name.

    Args:
        default: the seed, key or stream for every name that is not given; or a mapping of names to
            seeds.
        **rngs: seeds, keys or streams by name.

    >>> from linnet import nnx
    >>> rngs = nnx.Rngs(0, params=1)
    >>> list(rngs), rngs.dropout is rngs.default
    (['params', 'default'], True)
    >>> rngs.normal((2,)).shape
    (2,)
    """

    def __init__(
        self,
        default: Any = None,
        **rngs: Any,
    ) -> None:
        if isinstance(default, Mapping):
            rngs = {**default, **rngs}
        elif default is not None:
            rngs["default"] = default
        for name, value in rngs.items():
            key = value.key.get_value() if isinstance(value, RngStream) else value
            setattr(self, name, RngStream(key, tag=name))

    def __getattr__(self, name: str) -> Any:
        return self._stream(name)

    def _stream(self, name: str) -> RngStream:
        """Return the stream of a name, or the default one.

        Raises:
            UnknownStreamError: there is neither.
        """
        attributes = attributes_of(self)
        found = attributes.get(name)
        if found is None and not name.startswith("_"):
            found = attributes.get("default")
        if found is None:
            raise errors.UnknownStreamError(name, list(self))
        return found

    def __getitem__(self, name: str) -> RngStream:
        return self._stream(name)

    def __contains__(self, name: Any) -> bool:
        return isinstance(attributes_of(self).get(name), RngStream)

    def __iter__(self) -> Iterator[str]:
        return (name for name, value in attributes_of(self).items() if isinstance(value, RngStream))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def items(self) -> Iterator[tuple[str, RngStream]]:
        """Iterate over names and streams."""
        return (
            (name, value)
            for name, value in attributes_of(self).items()
            if isinstance(value, RngStream)
        )

    def __call__(self) -> PRNGKey:
        """Return the next key of the stream ``default``."""
        return self.default()

    def fork(self, /, *, split: Any = None) -> "Rngs":
        """Return independent streams of the same names, each made of the next key of its own.

        ``split`` is an old form of ``split``, with the streams it does not name forked.
        """
        if split is None:
            return self._each(lambda stream, _: stream.fork(), [])
        _warn_of_split()
        counts = split_counts(split)
        return self._each(lambda stream, k: stream.fork() if k is None else stream.split(k), counts)

    def split(self, k: Any) -> "Rngs":
        """Return streams of ``k`` independent keys each, stacked; or of as many as a filter says.

        Args:
            k: an integer, the sizes of several axes, or a mapping of filters to those. A stream
                that no filter matches keeps its key, and counts from zero again.

        >>> from linnet import nnx
        >>> nnx.Rngs(0, params=1).split({"params": 3}).params.key.shape
        (3,)
        """
        return self._each(
            lambda stream, k: stream._again() if k is None else stream.split(k), split_counts(k)
        )

    def broadcast(self, k: Any) -> "Rngs":
        """Return streams of one key each, repeated; the arguments are those of ``split``."""
        return self._each(
            lambda stream, k: stream._again() if k is None else stream.broadcast(k), split_counts(k)
        )

    def _each(self, function: Any, counts: "list[tuple[Predicate, Counts | None]]") -> "Rngs":
        """Make an ``Rngs`` of what a function makes of each stream and its count."""
        made = {
            name: function(stream, count_for(counts, (name,), stream))
            for name, stream in self.items()
        }
        # a subclass may take other arguments, and make other streams of them
        held = Rngs()
        for name, stream in made.items():
            setattr(held, name, stream)
        return held


def split_counts(k: Any) -> list[tuple[Predicate, Counts | None]]:
    """Read how many keys each stream is to have: one number for all, or one for each filter."""
    if isinstance(k, Mapping):
        return [(to_predicate(only), count) for only, count in k.items()]
    return [] if k is None else [(to_predicate(...), k)]


def count_for(
    counts: list[tuple[Predicate, Counts | None]], path: tuple[Any, ...], stream: RngStream
) -> Counts | None:
    """Return the count of the first filter that matches a stream; ``None`` if none does."""
    return next((count for matches, count in counts if matches(path, stream)), None)
