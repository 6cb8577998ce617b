"""Dropout: masks bit for bit as in Flax, and errors that say where to decide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.nnx import assert_same, assert_same_layer, variables_of
from linnet import nnx
from linnet.base import errors

X = jnp.linspace(-1.0, 1.0, 24).reshape(2, 3, 4)

LAYERS = {
    "plain": lambda nnx, rngs: nnx.Dropout(0.5, rngs=rngs),
    "shared decisions": lambda nnx, rngs: nnx.Dropout(0.5, broadcast_dims=(0, -1), rngs=rngs),
    "other stream": lambda nnx, rngs: nnx.Dropout(0.3, rng_collection="noise", rngs=rngs),
    "a stream": lambda nnx, rngs: nnx.Dropout(0.3, rngs=rngs.noise),
    "nothing": lambda nnx, rngs: nnx.Dropout(0.0, rngs=rngs),
    "everything": lambda nnx, rngs: nnx.Dropout(1.0, rngs=rngs),
    "off": lambda nnx, rngs: nnx.Dropout(0.5, deterministic=True, rngs=rngs),
    "number of numpy": lambda nnx, rngs: nnx.Dropout(np.float32(0.5), rngs=rngs),
    "no streams": lambda nnx, rngs: nnx.Dropout(0.5, deterministic=True),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_dropout(make):
    """The layer forks Flax's stream, drops what Flax drops, and counts as Flax counts."""
    assert_same_layer(make, X, call=lambda layer, x: layer(x) + 2 * layer(x))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_masks_are_equal_bit_for_bit(dtype):
    """The same elements are zero, in every dtype, traced or not."""

    def program(nnx):
        layer = nnx.Dropout(0.3, rngs=nnx.Rngs(5))
        x = jnp.ones((16, 16), dtype)
        masks = [layer(x) == 0, layer(x) == 0]
        graphdef, state = nnx.split(layer)

        @jax.jit
        def step(state, x):
            layer = nnx.merge(graphdef, state)
            return layer(x) == 0, nnx.state(layer)

        traced, state = step(state, x)
        return masks, traced, variables_of(nnx, nnx.merge(graphdef, state))

    assert_same(program)


SOURCES = {
    "streams": lambda nnx: nnx.Rngs(0),
    "named": lambda nnx: nnx.Rngs(dropout=3),
    "one stream": lambda nnx: nnx.RngStream(0, tag="a"),
    "key": lambda nnx: jax.random.key(3),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_streams_of_the_call(source):
    """Streams, one stream or a key may come with the call, and come first."""

    def program(nnx):
        rngs, layer = source(nnx), nnx.Dropout(0.5, rngs=nnx.Rngs(9))
        outputs = layer(X, rngs=rngs), nnx.Dropout(0.5)(X, rngs=rngs)
        return outputs, variables_of(nnx, layer)

    assert_same(program)


def test_deciding():
    """The call comes before the constructor, and a view before neither."""

    def program(nnx):
        layer = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
        outputs = [layer(X, deterministic=True)]
        layer.set_view(deterministic=True)
        outputs += [layer(X), layer(X, deterministic=False)]
        layer.set_view()
        return outputs, layer.deterministic

    assert_same(program)


WRONG = {
    "undecided": lambda nnx: nnx.Dropout(0.5, deterministic=None)(X),
    "undecided at rate 0": lambda nnx: nnx.Dropout(0.0, deterministic=None)(X),
    "no streams": lambda nnx: nnx.Dropout(0.5)(X),
    "a seed": lambda nnx: nnx.Dropout(0.5, rngs=3),
    "a key": lambda nnx: nnx.Dropout(0.5, rngs=jax.random.key(0)),
    "a seed at the call": lambda nnx: nnx.Dropout(0.5)(X, rngs=3),
    "another stream": lambda nnx: nnx.Dropout(0.5, rngs=nnx.Rngs(params=0)),
}


@pytest.mark.parametrize("program", WRONG.values(), ids=WRONG)
def test_mistakes_are_errors_of_the_same_class(program):
    """What Flax refuses is refused, by a class that is caught as Flax's is."""
    assert_same(program)


def test_mistakes_are_told():
    """Messages name the three ways to decide, and what takes the place of the streams."""
    with pytest.raises(errors.UndecidedModeError) as caught:
        WRONG["undecided"](nnx)
    for way in ("nnx.Dropout(..., deter", "layer(x, deterministic=True)", "nnx.view(model, deter"):
        assert way in str(caught.value)
    with pytest.raises(errors.MissingStreamsError, match=r"no rngs.*nnx.RngStream or a key"):
        WRONG["no streams"](nnx)
    with pytest.raises(errors.UnknownStreamError, match=r"nnx.Rngs\(dropout=0\)"):
        WRONG["another stream"](nnx)
