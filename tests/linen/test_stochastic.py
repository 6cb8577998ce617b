"""Dropout, PReLU, Sequential and what Linen re-exports, under Flax and under Linnet."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linnet.linen as nn
from differential.functions import draw
from differential.linen import both


@pytest.mark.parametrize("config", [{"rate": 0.5}, {"rate": 0.3, "broadcast_dims": [0]}])
def test_masks_are_flax_s_bit_for_bit(config):
    """The same seed drops the same elements, at the root and in a submodule."""

    def model(nn):
        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                x = nn.Dropout(**config, deterministic=False)(x)
                return nn.Dropout(**config)(x, deterministic=False)

        return Model()

    x = draw(0, 6, 7)
    for make in (model, lambda nn: nn.Dropout(**config, deterministic=False)):
        ours, theirs = (
            make(nn_).apply({}, x, rngs={"dropout": jax.random.key(1)}) for nn_ in (nn, fnn)
        )
        np.testing.assert_array_equal(ours, theirs)


def test_other_streams_and_given_keys():
    """Another stream, the fallback to params, and a key in the call draw as in Flax."""
    x, key = draw(0, 6, 7), jax.random.key(5)
    for kwargs, rngs, call in (
        ({"rng_collection": "noise"}, {"noise": key}, {}),
        ({}, {"params": key}, {}),
        ({}, {}, {"rng": key}),
    ):
        ours, theirs = both("Dropout", 0.5, deterministic=False, **kwargs)
        np.testing.assert_array_equal(
            ours.apply({}, x, rngs=rngs, **call), theirs.apply({}, x, rngs=rngs, **call)
        )


@pytest.mark.parametrize("config", [{"rate": 0.0}, {"rate": 0.5, "deterministic": True}])
def test_nothing_dropped_needs_no_key(config):
    """Without dropout the inputs come back as they are, and no key is asked for."""
    x = draw(0, 3)
    assert nn.Dropout(**{"deterministic": False, **config}).apply({}, x) is x


def test_everything_dropped():
    """At rate 1 zeros come back, without a key."""
    out = nn.Dropout(1.0, deterministic=False).apply({}, draw(0, 3))
    np.testing.assert_array_equal(out, np.zeros(3))


@pytest.mark.parametrize(
    ("program", "error", "words"),
    [
        (lambda nn: nn.Dropout(0.5).apply({}, jnp.ones(2)), "ValueError", "deterministic"),
        (
            lambda nn: nn.Dropout(0.5, deterministic=True).apply({}, jnp.ones(2), True),
            "ValueError",
            "deterministic",
        ),
        (
            lambda nn: nn.Dropout(0.5, deterministic=False).apply({}, jnp.ones(2)),
            "InvalidRngError",
            "dropout",
        ),
        (lambda nn: nn.Sequential([]).apply({}, jnp.ones(2)), "ValueError", "Sequential"),
        (lambda nn: nn.Sequential(nn.Dense(2)), "ValueError", "Dense"),
    ],
)
def test_errors_are_of_flax_s_class(program, error, words):
    """The same mistakes are errors of the same name."""
    for nn_ in (nn, fnn):
        with pytest.raises(Exception, match=words) as caught:
            program(nn_)
        assert type(caught.value).__name__ == error
