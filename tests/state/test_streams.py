"""Streams draw Flax's keys, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as flax_linen, nnx as flax_nnx
from flax.configurations import config as flax_config

from linnet.base.config import config
from linnet.state.streams import draw, is_key, key_at


def flax_key(key, names, count, *, separator):
    """Draw the `count`-th key of a Flax module at a path."""

    class Leaf(flax_linen.Module):
        def __call__(self):
            return [self.make_rng("s") for _ in range(count)][-1]

    class Node(flax_linen.Module):
        rest: tuple

        @flax_linen.compact
        def __call__(self):
            first, *rest = self.rest
            return (Node(tuple(rest), name=first) if rest else Leaf(name=first))()

    with flax_config.temp_flip_flag("fix_rng_separator", separator):
        module = Node(tuple(names)) if names else Leaf()
        return module.apply({}, rngs={"s": key})


@pytest.mark.parametrize("separator", [False, True])
@pytest.mark.parametrize("make_key", [jax.random.key, jax.random.PRNGKey])
@pytest.mark.parametrize(
    ("names", "count"),
    [
        ((), 1),
        (("Dense_0",), 1),
        (("a", "b"), 2),
        (("ab", "c"), 3),
        (("ü", "层"), 1),
        (("x",), 300),
    ],
)
def test_linen_keys_are_flax(names, count, make_key, separator):
    """The number folded in is made of path and count, with and without separator."""
    key = make_key(7)
    with config.temp_flip_flag("flax_fix_rng_separator", separator):
        ours = key_at(key, (*names, count)).draw()
    theirs = flax_key(key, names, count, separator=separator)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(_data(ours), _data(theirs))


def _data(key):
    return jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key


def test_without_separator_two_places_may_share_a_key():
    """Why the flag exists, and why it does not change anything by itself."""
    key = jax.random.key(0)
    assert key_at(key, ("ab", "c", 1)).draw() == key_at(key, ("a", "bc", 1)).draw()
    with config.temp_flip_flag("flax_fix_rng_separator", True):
        assert key_at(key, ("ab", "c", 1)).draw() != key_at(key, ("a", "bc", 1)).draw()


def test_nnx_keys_are_flax():
    """The count itself is folded in, from zero."""
    rngs = flax_nnx.Rngs(params=3)
    theirs = [rngs.params() for _ in range(4)]
    ours = [draw(jax.random.key(3), count) for count in range(4)]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(jax.random.key_data(one), jax.random.key_data(other))


def test_a_traced_count_draws_the_same_keys():
    """Under jit the count is an array."""
    key = jax.random.key(0)
    assert jax.jit(draw)(key, jnp.uint32(5)) == draw(key, 5)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (jax.random.key(0), True),
        (jax.random.PRNGKey(0), True),
        (jax.random.key(0, impl="rbg"), True),
        (np.zeros(2, np.uint32), True),
        (jax.random.split(jax.random.key(0)), False),
        (jnp.ones((2, 3)), False),
        (3, False),
        (None, False),
    ],
)
def test_is_key(value, expected):
    """One key, typed or raw, and nothing else."""
    assert is_key(value) == expected
