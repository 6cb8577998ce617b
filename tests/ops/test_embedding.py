"""Embedding lookup against Flax's layer."""

import flax.linen as fnn
import jax.numpy as jnp
import pytest

from agreement import assert_close, assert_same_function, draw, flops
from linnet.ops.embedding import attend, embed


@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
@pytest.mark.parametrize("indices", [jnp.array([2]), jnp.array([[0, 3, -1], [9, 1, 2]])])
def test_embed_agrees(rows, dtype, indices):
    """Any shape of indices, outside the table too, gives Flax's rows and gradients."""
    table = draw(0, rows, 3)
    layer = fnn.Embed(rows, 3, dtype=dtype)
    assert_close(
        embed(indices, table, dtype=dtype), layer.apply({"params": {"embedding": table}}, indices)
    )
    inside = jnp.clip(indices, 0, rows - 1)
    assert_same_function(
        lambda table: embed(inside, table, dtype=dtype),
        lambda table: layer.apply({"params": {"embedding": table}}, inside),
        table,
        computed_in=dtype,
    )


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_attend_agrees(dtype):
    """Scores against the table are Flax's."""
    layer = fnn.Embed(4, 3, dtype=dtype)
    assert_same_function(
        lambda query, table: attend(query, table, dtype=dtype),
        lambda query, table: layer.apply(
            {"params": {"embedding": table}}, query, method=layer.attend
        ),
        draw(0, 2, 3),
        draw(1, 4, 3),
        computed_in=dtype,
    )


def test_indices_must_be_integers():
    """Indices of another dtype are refused, with the cast to write."""
    with pytest.raises(ValueError, match=r"inputs\.astype\(jnp\.int32\)"):
        embed(jnp.ones(3), draw(0, 4, 3))


def test_flops_are_flax_s():
    """The cost that tabulate prints is that of Flax's layer."""
    table, indices = draw(0, 4, 3), jnp.array([1, 2])
    layer = fnn.Embed(4, 3)
    assert flops(embed, indices, table) == flops(
        layer.apply, {"params": {"embedding": table}}, indices
    )
