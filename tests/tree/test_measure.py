"""Sizes of trees."""

import flax.linen.summary as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linnet.tree.measure import TreeSize, bytes_text, size_of


@pytest.mark.parametrize(
    "tree",
    [
        3,
        {"a": jnp.ones(3), "b": np.ones(2)},
        {"a": "x", "b": 1.5, "c": True, "d": None},
        jax.random.key(0),
        {"a": jax.ShapeDtypeStruct((4,), jnp.bfloat16), "b": jnp.ones(3, jnp.int4)},
        {},
    ],
)
def test_size_as_flax(tree):
    """Elements and bytes are counted as in Flax's tables."""
    size = size_of(tree)
    assert (size.count, size.bytes) == reference._size_and_bytes(tree)


@pytest.mark.parametrize(
    "number",
    [0, 1, 999, 1000, 1001, 1024, 9999, 999_950, 10**6, 2**20, 123_456_789, 10**9, 2**30, 10**15],
)
def test_bytes_text_as_flax(number):
    """Bytes are written as in Flax's tables, in the same units."""
    assert bytes_text(number) == reference._bytes_repr(number)


def test_sizes_add_up():
    """A sum of sizes is a size, and nothing is false."""
    assert TreeSize(3, 12) + TreeSize(1, 2) == TreeSize(4, 14)
    assert not size_of({"a": 3})
    assert str(TreeSize(10_000, 12_345)) == "10,000 (12.3 KB)"
