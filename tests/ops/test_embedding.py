"""Embedding lookup against Flax's layer."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.compare import assert_close
from differential.functions import assert_same_function, draw, flops
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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("indices", ["int32", "int8", "uint8"])
def test_rows_that_do_not_exist_are_those_of_take(dtype, indices):
    """NaN, or the extreme of an integer; negative indices count from the end."""
    table = jnp.arange(6).reshape(3, 2).astype(dtype)
    chosen = jnp.array([0, 2, 3, 100]).astype(indices)
    if indices != "uint8":
        chosen = jnp.concatenate([chosen, jnp.array([-1, -3, -4, -100]).astype(indices)])
    ours, theirs = embed(chosen, table), jnp.take(table, chosen, axis=0)
    assert ours.dtype == theirs.dtype
    wide = np.float32 if dtype == "bfloat16" else theirs.dtype
    np.testing.assert_array_equal(np.asarray(ours, wide), np.asarray(theirs, wide))


def test_the_gradient_of_rows_that_do_not_exist_is_zero():
    """As that of take: only rows that were found are moved."""
    table, chosen = jnp.ones((3, 2)), jnp.array([0, 7, -9, 2, 2])

    def total(rows):
        return jnp.where(jnp.isnan(rows), 0.0, 3.0 * rows).sum()

    ours = jax.grad(lambda table: total(embed(chosen, table)))(table)
    theirs = jax.grad(lambda table: total(jnp.take(table, chosen, axis=0)))(table)
    np.testing.assert_array_equal(ours, theirs)


def test_backward_flops_are_those_of_take():
    """So that tables show the same figures."""
    table, chosen = jnp.ones((4, 3)), jnp.array([0, 1, 3])

    def counted(look_up):
        def both(table, weights):
            out, back = jax.vjp(look_up, table)
            return out, back(weights)

        return jax.jit(both).lower(table, jnp.ones((3, 3))).cost_analysis()["flops"]

    ours = counted(lambda table: embed(chosen, table))
    assert ours == counted(lambda table: jnp.take(table, chosen, axis=0))
