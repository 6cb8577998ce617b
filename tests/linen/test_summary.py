"""Tables of models: every cell, total and path is Flax's."""

import re

import jax
import jax.numpy as jnp
import pytest

import linnet.linen
from differential.linen import FLAX, LINNET, assert_same

KEYS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
X = jnp.ones((4, 3))


def table(text):
    """Read a table back: for each row its cells by column, and the line below.

    By column, as Flax shows the collections in the order of a set, which varies from run to run.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    rows, current = [], []
    for line in text.splitlines():
        if line[:1] in tuple("├└┡┏┣╇"):
            if current:
                rows.append(
                    [" ".join(" ".join(cell).split()) for cell in zip(*current, strict=True)]
                )
            current = []
        elif line[:1] in ("│", "┃"):
            current.append([cell.strip() for cell in re.split("[│┃]", line)[1:-1]])
    caption = [line.strip() for line in text.splitlines() if "Total Parameters" in line]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]], caption


def cells(nn, model, *args, **options):
    """Tabulate a model of a library and read the table back."""
    options = {"console_kwargs": {"width": 400, "force_terminal": False}, **options}
    return table(model(nn).tabulate(KEYS, *args, **options))


def mlp(nn):
    """A block used twice, a plain layer, an activation between."""

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, scale=1.0):
            return nn.relu(nn.Dense(3)(x)) * scale

    class Mlp(nn.Module):
        def setup(self):
            self.block = Block()
            self.head = nn.Dense(2)

        def __call__(self, x):
            return self.head(self.block(self.block(x), scale=2.0))

    return Mlp()


def trained(nn):
    """Statistics, dropout, an embedding, collections of one's own, sown values."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, train=True):
            self.variable("buffers", "offset", lambda: jnp.zeros((3,), jnp.int32))
            x = nn.BatchNorm(use_running_average=not train)(x)
            x = nn.Dropout(0.5, deterministic=not train)(x)
            self.sow("intermediates", "x", x)
            self.param("tree", lambda key: {"a": jnp.ones((2,)), "b": jnp.ones(())})
            return x + nn.Embed(7, 3)(jnp.zeros((4,), jnp.int32))

    return Model()


def partitioned(nn):
    """Parameters that carry names of axes."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            init = nn.with_partitioning(nn.initializers.ones, ("in", None))
            return nn.Dense(2, kernel_init=init)(x)

    return Model()


def several(nn):
    """Inputs and outputs that are trees, strings and None; other methods than `__call__`."""

    class Inner(nn.Module):
        def setup(self):
            self.dense = nn.Dense(3)

        def encode(self, x):
            return self.dense(x), {"name": "text", "none": None, "n": 3}

    class Model(nn.Module):
        @nn.compact
        def __call__(self, batch, *, flag=None):
            out, about = Inner().encode(batch["x"])
            return [out, (batch["y"], about)]

    return Model()


def empty(nn):
    """No variables at all."""

    class Model(nn.Module):
        def __call__(self, x):
            return x

    return Model()


MODELS = {"mlp": mlp, "trained": trained, "partitioned": partitioned, "empty": empty}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"depth": 0},
        {"depth": 1},
        {"show_repeated": True},
        {"mutable": ["params", "batch_stats", "buffers"]},
        {"mutable": True},
    ],
    ids=str,
)
def test_tables(model, options):
    """Paths, modules, inputs, outputs, variables, counts and totals, cell by cell."""
    ours, theirs = (cells(nn, MODELS[model], X, **options) for nn in (LINNET, FLAX))
    assert ours == theirs


@pytest.mark.parametrize("model", ["mlp", "trained"])
@pytest.mark.parametrize("flags", [(True, False), (False, True), (True, True)])
def test_flops_are_positive_and_named(model, flags):
    """The columns appear as asked for, with a number in each row of a layer that computes."""
    forward, backward = flags
    rows, _ = cells(
        linnet.linen, MODELS[model], X, compute_flops=forward, compute_vjp_flops=backward
    )
    columns = [c for c in ("flops", "vjp_flops") if c in rows[0]]
    assert columns == [c for c, on in zip(("flops", "vjp_flops"), flags, strict=True) if on]
    for row in rows[:-1]:
        if row["module"].startswith("Dense"):
            assert all(int(row[column]) > 0 for column in columns)


def test_flops_are_flaxs():
    """Forward and backward, for each module."""
    ours, theirs = (
        cells(nn, mlp, X, compute_flops=True, compute_vjp_flops=True) for nn in (LINNET, FLAX)
    )
    assert ours == theirs


def test_trees_of_inputs_and_outputs():
    """Dictionaries, lists, strings and None are written as Flax writes them."""
    batch = {"x": X, "y": None}
    ours, theirs = (cells(nn, several, batch, flag="on") for nn in (LINNET, FLAX))
    assert ours == theirs


def test_abstract_inputs():
    """Shapes do for inputs."""
    rows, _ = cells(linnet.linen, mlp, jax.ShapeDtypeStruct((4, 3), jnp.float32))
    assert rows == cells(linnet.linen, mlp, X)[0]


def test_function_form_and_arguments_of_the_table():
    """`nn.tabulate` makes a function; the table can be set up."""

    def text(nn):
        options = {"console_kwargs": {"width": 200, "force_terminal": False}}
        return nn.tabulate(mlp(nn), KEYS, table_kwargs={"min_width": 90}, **options)(X)

    ours, theirs = text(linnet.linen), text(FLAX)
    assert table(ours) == table(theirs)


def test_large_models_cost_nothing():
    """Nothing is computed: a model that would not fit in memory has a table."""
    text = linnet.linen.Dense(10**6).tabulate(
        KEYS,
        jax.ShapeDtypeStruct((1, 10**6), jnp.float32),
        console_kwargs={"width": 200, "force_terminal": False},
    )
    assert "Total Parameters: 1,000,001,000,000 (4,000.0 GB)" in text


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("repeated", [False, True])
def test_module_paths(model, repeated):
    """Paths and modules, in order of the first call, each an unbound copy."""

    def program(nn):
        found = MODELS[model](nn).module_paths(KEYS, X, show_repeated=repeated)
        return {
            path: (type(module).__name__, module.name, module.scope is None)
            for path, module in found.items()
        }

    assert_same(program)
