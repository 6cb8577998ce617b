"""Streams: named sources of random keys.

A stream is a base key and a counter. The n-th key drawn from it depends on the base key, on n and,
in Linen, on the place in the model where it is drawn, and on nothing else. That is what makes two
runs of one program from one seed equal, whatever is added elsewhere in the model. Both façades draw
by folding an integer into the base key; they differ in where the integer comes from:

* Linen folds in a number made from the path of the module and the count of keys drawn there so far
  (:func:`key_at`). The number is static: it is known while the program is traced, and costs
  nothing in the compiled one.
* NNX folds in the count itself (:func:`draw`), which may be a traced array.

The numbers are Flax's (law 4 of the design): the first four bytes, big-endian, of the SHA-1 of the
names and counts on the way, strings as UTF-8, integers as the fewest big-endian bytes that hold
them, and a zero byte before each of them if ``config.flax_fix_rng_separator`` is set. Without that
separator, ``("ab", "c")`` and ``("a", "bc")`` draw the same keys; it stays off by default because
changing it changes every model's numbers.
"""

import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linnet.base.config import config
from linnet.base.typing import Array, PRNGKey
from linnet.ops.keys import DeferredKey, fold_in


@functools.lru_cache(maxsize=65536)
def _number_of(place: tuple[str | int, ...], separator: bool) -> np.uint32:
    """Hash a place in a model to 32 bits."""
    digest = hashlib.sha1(usedforsecurity=False)
    for item in place:
        if separator:
            digest.update(b"\x00")
        if isinstance(item, str):
            digest.update(item.encode())
        else:
            digest.update(item.to_bytes((item.bit_length() + 7) // 8, "big"))
    return np.uint32(int.from_bytes(digest.digest()[:4], "big"))


def key_at(key: PRNGKey, place: tuple[str | int, ...]) -> DeferredKey:
    """Return the key that belongs to a place in a model, not drawn yet.

    Args:
        key: the stream's base key.
        place: the names on the path to the module, then the count of this draw, from 1.

    >>> a = key_at(jax.random.key(0), ("Dense_0", 1)).draw()
    >>> b = key_at(jax.random.key(0), ("Dense_0", 2)).draw()
    >>> bool((jax.random.key_data(a) == jax.random.key_data(b)).all())
    False
    """
    return DeferredKey(key, _number_of(place, config.flax_fix_rng_separator))


def draw(key: PRNGKey, count: Array | int) -> PRNGKey:
    """Draw the ``count``-th key of a stream that counts from zero.

    Args:
        key: the stream's base key.
        count: how many keys were drawn before, a uint32 that may be traced.

    Returns:
        A key of the same kind as ``key``.
    """
    return fold_in(key, count)


def is_key(value: Any) -> bool:
    """Tell whether a value is one random key, of the new typed sort or the old raw one.

    >>> is_key(jax.random.key(0)), is_key(jax.random.PRNGKey(0)), is_key(0)
    (True, True, False)
    """
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return False
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return value.shape == ()
    return dtype == np.uint32 and value.ndim == 1
