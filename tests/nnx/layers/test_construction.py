"""Making layers: eagerly, compiled, abstractly and many at once, always with the same keys."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.compare import compare
from differential.nnx import assert_same, variables_of
from linnet import nnx

LAYERS = {
    "linear": lambda nnx, rngs: nnx.Linear(4, 4, rngs=rngs),
    "general": lambda nnx, rngs: nnx.LinearGeneral(4, (2, 2), rngs=rngs),
    "einsum": lambda nnx, rngs: nnx.Einsum("ab,bc->ac", (4, 4), (4,), rngs=rngs),
    "embed": lambda nnx, rngs: nnx.Embed(5, 4, rngs=rngs),
    "conv": lambda nnx, rngs: nnx.Conv(4, 4, (3,), rngs=rngs),
    "conv_transpose": lambda nnx, rngs: nnx.ConvTranspose(4, 4, (3,), rngs=rngs),
    "batch": lambda nnx, rngs: nnx.BatchNorm(4, rngs=rngs),
    "layer": lambda nnx, rngs: nnx.LayerNorm(4, rngs=rngs),
    "dropout": lambda nnx, rngs: nnx.Dropout(0.5, rngs=rngs),
    "lora": lambda nnx, rngs: nnx.LoRALinear(4, 4, lora_rank=2, rngs=rngs),
    "prelu": lambda nnx, rngs: nnx.PReLU(),
    "attention": lambda nnx, rngs: nnx.MultiHeadAttention(
        2, 4, dropout_rate=0.5, normalize_qk=True, rngs=rngs
    ),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_made_in_a_trace(make):
    """A layer made inside ``nnx.jit`` holds what Flax's holds; one made abstractly, its shapes."""

    def program(nnx):
        made = nnx.jit(lambda: make(nnx, nnx.Rngs(0, dropout=1)))()
        shapes = nnx.eval_shape(lambda: make(nnx, nnx.Rngs(0, dropout=1)))
        return variables_of(nnx, made), [
            (path, type(variable).__name__, variable.shape, str(variable.dtype))
            for path, variable in nnx.to_flat_state(nnx.state(shapes))
        ]

    assert_same(program, drawn=True)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_made_in_a_trace_as_eagerly(make):
    """A layer holds the same whether it is made in a trace or not, to the last two bits."""
    eager = make(nnx, nnx.Rngs(0, dropout=1))
    traced = nnx.jit(lambda: make(nnx, nnx.Rngs(0, dropout=1)))()
    for one, other in zip(*(variables_of(nnx, m).values() for m in (eager, traced)), strict=True):
        if jnp.issubdtype(one["value"].dtype, jnp.floating):
            np.testing.assert_array_max_ulp(one["value"], other["value"], maxulp=2)
        else:
            np.testing.assert_array_equal(
                *(
                    jax.random.key_data(held["value"])
                    if jnp.issubdtype(held["value"].dtype, jax.dtypes.prng_key)
                    else held["value"]
                    for held in (one, other)
                )
            )


@pytest.mark.parametrize("name", ["linear", "attention", "batch"])
def test_made_many_at_once(name):
    """Layers stacked by ``vmap`` over split streams are Flax's, and so are their outputs."""

    def program(nnx):
        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=0)
        def create(rngs):
            return LAYERS[name](nnx, rngs)

        rngs = nnx.Rngs(0, dropout=1)
        return variables_of(nnx, create(rngs)), variables_of(nnx, rngs)

    assert_same(program, drawn=True)


def test_dropout_for_each_example():
    """Streams split for a mapped axis drop for each example what Flax's drop, and come back."""

    def program(nnx):
        layer = nnx.Dropout(0.5, rngs=nnx.Rngs(0))

        @nnx.split_rngs(splits=4)
        @nnx.vmap(in_axes=(nnx.StateAxes({nnx.RngState: 0, ...: None}), 0))
        def call(layer, x):
            return layer(x)

        return (
            call(layer, jnp.ones((4, 8))),
            call(layer, jnp.ones((4, 8))),
            variables_of(nnx, layer),
        )

    assert_same(program)


def test_views_share_parameters():
    """A view for evaluation shares variables with the model, and turns off what is random."""

    def program(nnx):
        model = nnx.Sequential(
            nnx.Linear(4, 4, rngs=nnx.Rngs(0)),
            nnx.BatchNorm(4, rngs=nnx.Rngs(1)),
            nnx.Dropout(0.5, rngs=nnx.Rngs(2)),
        )
        x = jnp.linspace(-1.0, 1.0, 12).reshape(3, 4)
        trained = model(x)
        evaluated = nnx.view(model, deterministic=True, use_running_average=True)
        outputs = trained, evaluated(x), evaluated(x), model(x)
        model.eval()
        return outputs, model(x), variables_of(nnx, model)

    assert_same(program)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_pickled_and_copied(make):
    """A layer comes back from pickle and from deepcopy as it was, streams included."""
    layer = make(nnx, nnx.Rngs(0, dropout=1))
    for again in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert nnx.graphdef(again) == nnx.graphdef(layer)
        compare(variables_of(nnx, again), variables_of(nnx, layer), tolerance=0.0, drawn=False)
