"""The lesson on multiple streams of random keys: every statement of it, checked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linnet.linen as nn
from differential.linen import assert_same
from linnet.base import errors

X = jnp.linspace(-1.0, 2.0, 6)
BOTH = {"params": jax.random.PRNGKey(0), "dropout": jax.random.PRNGKey(1)}


def dropout_model(nn, drop_rate=0.5):
    """The model of the lesson."""

    class DropoutModel(nn.Module):
        drop_rate: float

        @nn.compact
        def __call__(self, x, deterministic):
            x = nn.Dense(features=x.shape[-1])(x)
            return nn.Dropout(rate=self.drop_rate, deterministic=deterministic)(x)

    return DropoutModel(drop_rate=drop_rate)


def test_init_takes_a_dictionary_of_keys_and_forward_keywords():
    """Keys go by stream name; keywords of the call are passed on."""
    variables = assert_same(
        lambda nn: dropout_model(nn).init(BOTH, X, deterministic=False), drawn=True
    )
    assert set(variables) == {"params"}


def test_apply_takes_the_streams_it_consumes():
    """In training the dropout stream is passed; in evaluation `rngs=` is left out."""

    def program(nn):
        model = dropout_model(nn)
        params = model.init(BOTH, X, deterministic=False)
        train = model.apply(params, X, deterministic=False, rngs={"dropout": jax.random.PRNGKey(7)})
        return train, model.apply(params, X, deterministic=True)

    train, evaluated = assert_same(program)
    assert (train == 0.0).any()
    assert (evaluated != 0.0).all()


def test_splitting_keys_gives_a_fresh_mask_each_step_and_reusing_one_does_not():
    """The mask depends on the key alone."""
    model = dropout_model(nn)
    params = model.init(BOTH, jnp.ones(64), deterministic=False)

    def mask(key):
        return model.apply(params, jnp.ones(64), deterministic=False, rngs={"dropout": key}) == 0

    first, second = jax.random.split(jax.random.PRNGKey(0))
    assert (mask(first) == mask(first)).all()
    assert (mask(first) != mask(second)).any()


def test_a_single_key_at_init_feeds_every_stream():
    """The reference page says it (a missing stream falls back on `params`), as does Flax."""
    assert_same(
        lambda nn: dropout_model(nn).init(BOTH["params"], X, deterministic=False), drawn=True
    )


def test_a_missing_key_at_apply_is_an_error():
    """Without `rngs=` there is nothing to fall back on."""
    outcome = assert_same(lambda nn: dropout_model(nn).apply(_params(nn), X, deterministic=False))
    assert outcome.name == "InvalidRngError"


def _params(nn):
    return dropout_model(nn).init(BOTH, X, deterministic=False)


def test_rng_for_rngs_is_caught_with_the_line_to_write():
    """`rng=` would be handed to the method, which does not know it."""
    with pytest.raises(TypeError, match=r"rngs=\{'dropout': key\}"):
        dropout_model(nn).apply(_params(nn), X, deterministic=False, rng=jax.random.PRNGKey(7))


def test_a_misspelt_stream_is_suggested():
    """The near name is named."""
    with pytest.raises(errors.InvalidRngError, match="Is 'dropuot' a misspelling"):
        dropout_model(nn).apply(
            _params(nn), X, deterministic=False, rngs={"dropuot": jax.random.PRNGKey(7)}
        )


@pytest.mark.parametrize("deterministic", [0.0, 1.0])
@pytest.mark.parametrize("drop_rate", [0.0, 0.5, 1.0])
def test_the_problem_of_the_lesson(drop_rate, deterministic):
    """The output is what Flax computes, whatever rate and mode."""

    def program(nn):
        model = dropout_model(nn, drop_rate)
        keys = {"params": jax.random.PRNGKey(3), "dropout": jax.random.PRNGKey(4)}
        params = model.init(keys, X, deterministic=False)
        return model.apply(
            params,
            X,
            deterministic=bool(deterministic >= 0.5),
            rngs={"dropout": jax.random.PRNGKey(4)},
        )

    out = assert_same(program)
    assert out.shape == X.shape
    assert np.isfinite(out).all()
