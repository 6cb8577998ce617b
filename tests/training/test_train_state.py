"""TrainState, beside Flax's."""

import flax.core
import flax.serialization
import flax.training.train_state as reference
import jax
import jax.numpy as jnp
import optax
import pytest

from differential.compare import assert_close
from linnet.base.errors import GradientStructureError, LinnetWarning
from linnet.training import train_state as ours
from linnet.training.train_state import OVERWRITE_WITH_GRADIENT, TrainState
from linnet.tree import serialization
from linnet.tree.frozen_dict import freeze

PARAMS = {"dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}, "scale": jnp.ones(2)}
OVERWRITTEN = {"params": PARAMS, OVERWRITE_WITH_GRADIENT: {"amax": jnp.ones(2)}}


def trained(module, params, tx, steps=3):
    """Takes some steps under one library; returns every state."""
    state = module.TrainState.create(apply_fn=None, params=params, tx=tx)
    states = [state]
    for step in range(1, steps + 1):
        grads = jax.tree.map(lambda x, step=step: (x + 0.5) * step, state.params)
        state = state.apply_gradients(grads=grads)
        states.append(state)
    return states


def contents(states):
    """What the states hold, as one tree of plain containers."""
    return [(state.step, dict(state.params), state.opt_state) for state in states]


@pytest.mark.parametrize("params", [PARAMS, OVERWRITTEN], ids=["params", "overwritten"])
@pytest.mark.parametrize("tx", [optax.sgd(0.1, momentum=0.9), optax.adam(0.1)], ids=["sgd", "adam"])
def test_steps_as_flax(params, tx):
    """Steps, parameters and optimizer states equal Flax's, what is overwritten included."""
    assert_close(contents(trained(ours, params, tx)), contents(trained(reference, params, tx)))


def test_frozen_parameters():
    """Frozen parameters are trained like Flax's and stay frozen."""
    mine = trained(ours, freeze(PARAMS), optax.sgd(0.1))[-1].params
    theirs = trained(reference, flax.core.freeze(PARAMS), optax.sgd(0.1))[-1].params
    assert type(mine).__name__ == type(theirs).__name__ == "FrozenDict"
    assert_close(mine.unfreeze(), theirs.unfreeze())


def test_as_pytree():
    """A state crosses jit; the function and the optimizer are structure, the rest is data."""
    state = TrainState.create(apply_fn=len, params=PARAMS, tx=optax.adam(0.1))
    theirs = reference.TrainState.create(apply_fn=len, params=PARAMS, tx=state.tx)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    assert paths == [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(theirs)
    ]
    stepped = jax.jit(lambda state: state.apply_gradients(grads=state.params))(state)
    assert stepped.apply_fn is len
    assert int(stepped.step) == 1


def test_subclass():
    """A subclass carries more, given to create and replaced by apply_gradients."""

    class WithStats(TrainState):
        batch_stats: object

    state = WithStats.create(apply_fn=None, params=PARAMS, tx=optax.sgd(0.1), batch_stats={"m": 1})
    state = state.apply_gradients(grads=PARAMS, batch_stats={"m": 2})
    assert state.batch_stats == {"m": 2}
    assert state.step == 1


def test_all_variables_for_params():
    """Giving the optimizer all collections works as in Flax, with a warning that says better."""
    variables = {"params": PARAMS, "batch_stats": {"mean": jnp.zeros(3)}}
    with pytest.warns(LinnetWarning) as caught:
        state = TrainState.create(apply_fn=None, params=variables, tx=optax.sgd(0.1))
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    assert "the collections 'params', 'batch_stats' as params=" in message
    assert "trains 'batch_stats' like parameters" in message
    assert "params=variables[\"params\"], tx=tx, batch_stats=variables['batch_stats'])" in message
    theirs = reference.TrainState.create(apply_fn=None, params=variables, tx=state.tx)
    assert_close(
        state.apply_gradients(grads=variables).params,
        theirs.apply_gradients(grads=variables).params,
    )


@pytest.mark.parametrize("params", [{"params": PARAMS}, {"params": jnp.ones(2), "b": jnp.ones(2)}])
def test_no_warning_without_another_collection(params):
    """`{"params": ...}` alone, or a parameter of that name, is no mistake."""
    TrainState.create(apply_fn=None, params=params, tx=optax.sgd(0.1))


def test_other_collections_beside_overwritten_ones_are_kept():
    """A collection that no gradient reaches stays where it is; Flax drops it."""
    params = {**OVERWRITTEN, "batch_stats": {"mean": jnp.zeros(3)}}
    state = TrainState.create(apply_fn=None, params=params, tx=optax.sgd(0.1))
    assert set(state.apply_gradients(grads=OVERWRITTEN).params) == set(params)


def test_gradients_of_another_structure():
    """Gradients that do not fit are an error that lists each difference."""
    state = TrainState.create(apply_fn=None, params=PARAMS, tx=optax.sgd(0.1))
    grads = {"dense": {"kernel": jnp.ones((2, 3)), "bais": jnp.zeros(3)}, "scale": jnp.ones(2)}
    with pytest.raises(GradientStructureError) as caught:
        state.apply_gradients(grads=grads)
    assert "Without a gradient: \"['dense']['bias']\"" in str(caught.value)
    assert "without a parameter: \"['dense']['bais']\"" in str(caught.value)
    assert "jax.grad(loss_fn)(state.params)" in str(caught.value)


def test_other_errors_pass():
    """An error that has another cause stays what it is."""
    state = TrainState.create(apply_fn=None, params=PARAMS, tx=optax.sgd(0.1))
    grads = jax.tree.map(lambda x: jnp.ones((7, *x.shape)), PARAMS)
    with pytest.raises((TypeError, ValueError)) as caught:
        state.apply_gradients(grads={**grads, "scale": jnp.ones(5)})
    assert not isinstance(caught.value, GradientStructureError)


def test_checkpoints_as_flax():
    """A state is saved to the bytes that Flax writes, and restored from them."""
    mine = trained(ours, PARAMS, optax.adam(0.1))[-1]
    theirs = trained(reference, PARAMS, mine.tx)[-1]
    saved = flax.serialization.to_bytes(theirs)
    assert len(serialization.to_bytes(mine)) == len(saved)
    fresh = TrainState.create(apply_fn=None, params=PARAMS, tx=mine.tx)
    assert_close(contents([serialization.from_bytes(fresh, saved)]), contents([mine]))


@pytest.mark.parametrize("tx", [None, optax.adam, "adam"])
def test_what_is_no_optimizer(tx):
    """Is refused with what to write."""
    with pytest.raises(TypeError, match=r"TrainState.create was given .* for tx, .*optax.adam\("):
        TrainState.create(apply_fn=None, params=PARAMS, tx=tx)
