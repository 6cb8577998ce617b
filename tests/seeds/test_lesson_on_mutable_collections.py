"""The lesson on multiple mutable collections: every statement of it, checked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linnet.linen as nn
from differential.linen import assert_same
from linnet.base import errors

X = jnp.arange(12.0).reshape(3, 4)
KEYS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}


def tiny(nn, drop_rate=0.5):
    """The model of the lesson: params, a dropout stream and a user-defined collection."""

    class Tiny(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Dense(4)(x)
            x = nn.Dropout(rate=drop_rate, deterministic=False)(x)
            running_count = self.variable("buffers", "running_count", lambda: jnp.array(0.0))
            if not self.is_initializing():
                running_count.value = running_count.value + 1.0
            return x

    return Tiny()


def test_variables_live_in_any_collection_one_invents():
    """`init` makes params and the invented collection side by side."""
    variables = tiny(nn).init(KEYS, X)
    assert set(variables) == {"params", "buffers"}
    assert set(variables["params"]["Dense_0"]) == {"kernel", "bias"}


def test_three_concerns_in_one_apply():
    """One call computes with params, draws from the dropout stream and counts in buffers."""

    def program(nn):
        model = tiny(nn)
        variables = model.init(KEYS, X)
        out, mutated = model.apply(
            variables, X, rngs={"dropout": jax.random.key(7)}, mutable=["buffers"]
        )
        return [mutated, out, jnp.sum(out)]

    mutated, out, _ = assert_same(program)
    assert mutated["buffers"]["running_count"] == 1.0
    assert out.shape == (3, 4)
    assert set(mutated) == {"buffers"}


def test_the_increment_does_not_fire_during_init():
    """The guard `is_initializing()` keeps the initial value."""
    assert tiny(nn).init(KEYS, X)["buffers"]["running_count"] == 0.0


def test_init_accepts_a_single_key_or_a_dictionary():
    """A single key feeds every stream through `params`."""
    model = tiny(nn)
    single, named = model.init(KEYS["params"], X), model.init(KEYS, X)
    jax.tree.map(np.testing.assert_array_equal, single["params"], named["params"])


def test_params_are_immutable_by_default_and_several_collections_may_be_mutable():
    """What is not listed in `mutable` is not returned; several may be listed."""
    model = tiny(nn)
    variables = model.init(KEYS, X)
    rngs = {"dropout": jax.random.key(2)}
    _, mutated = model.apply(variables, X, rngs=rngs, mutable=["params", "buffers"])
    assert set(mutated) == {"params", "buffers"}
    assert variables["buffers"]["running_count"] == 0.0


def test_count_goes_on_when_updates_are_carried():
    """Each call counts from the value it is given."""
    model = tiny(nn)
    variables = model.init(KEYS, X)
    for step in range(3):
        rngs = {"dropout": jax.random.key(step)}
        _, mutated = model.apply(variables, X, rngs=rngs, mutable=["buffers"])
        variables = {**variables, **mutated}
    assert variables["buffers"]["running_count"] == 3.0


def test_forgetting_mutable_is_a_clear_error():
    """The message names the collection, the variable and the line to write."""
    model = tiny(nn)
    variables = model.init(KEYS, X)
    with pytest.raises(errors.ModifyScopeVariableError) as caught:
        model.apply(variables, X, rngs={"dropout": jax.random.key(2)})
    message = str(caught.value)
    assert "/ (Tiny) writes variable 'running_count' of collection 'buffers'" in message
    assert "mutable=['buffers']" in message


def test_forgetting_the_dropout_key_is_a_clear_error():
    """The message names the stream and the line to write."""
    model = tiny(nn)
    variables = model.init(KEYS, X)
    with pytest.raises(errors.InvalidRngError) as caught:
        model.apply(variables, X, mutable=["buffers"])
    message = str(caught.value)
    assert "/Dropout_0 (Dropout) draws a random key from stream 'dropout'" in message
    assert "rngs={'dropout': key}" in message


def test_passing_params_for_variables_is_a_clear_error():
    """The message says what was passed and how to wrap it."""
    model = tiny(nn)
    params = model.init(KEYS, X)["params"]
    with pytest.raises(errors.ScopeCollectionNotFound) as caught:
        model.apply(params, X, rngs={"dropout": jax.random.key(2)}, mutable=["buffers"])
    assert 'model.apply({"params": params}, ...)' in str(caught.value)


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("drop_rate", [0.0, 0.25])
def test_the_problem_of_the_lesson(seed, drop_rate):
    """`[running_count_after, output_sum]` is what Flax computes."""

    def program(nn):
        model = tiny(nn, drop_rate)
        init_rng, dropout_rng = jax.random.split(jax.random.PRNGKey(seed))
        variables = model.init({"params": init_rng, "dropout": dropout_rng}, X)
        out, mutated = model.apply(variables, X, rngs={"dropout": dropout_rng}, mutable=["buffers"])
        return jnp.array([mutated["buffers"]["running_count"], jnp.sum(out)])

    assert assert_same(program)[0] == 1.0
