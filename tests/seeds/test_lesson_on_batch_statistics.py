"""The lesson on training with mutable `batch_stats`: every statement of it, checked."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import linnet.linen as nn
from differential.linen import assert_same
from linnet.base import errors

X = jax.random.normal(jax.random.key(0), (8, 3))
Y = jnp.sin(X.sum(-1))


def model_of(nn):
    """The model of the lesson: Dense → BatchNorm → ReLU → Dense(1)."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            x = nn.Dense(4)(x)
            x = nn.BatchNorm(use_running_average=not train)(x)
            return nn.Dense(1)(nn.relu(x))

    return Model()


def step(nn, seed=0, lr=0.1):
    """One training step, as the lesson writes it; returns all that it makes."""
    model = model_of(nn)
    variables = model.init(jax.random.PRNGKey(seed), X, train=False)
    params, batch_stats = variables["params"], variables["batch_stats"]
    tx = optax.sgd(lr)
    opt_state = tx.init(params)

    def loss_fn(params, batch_stats, x, y):
        out, updated = model.apply(
            {"params": params, "batch_stats": batch_stats}, x, train=True, mutable=["batch_stats"]
        )
        return jnp.mean((out.reshape(-1) - y) ** 2), updated["batch_stats"]

    grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
    (loss, new_batch_stats), grads = grad_fn(params, batch_stats, X, Y)
    updates, opt_state = tx.update(grads, opt_state, params)
    params = optax.apply_updates(params, updates)
    out, _ = model.apply(
        {"params": params, "batch_stats": new_batch_stats}, X, train=False, mutable=["batch_stats"]
    )
    final = jnp.mean((out.reshape(-1) - Y) ** 2)
    return {
        "loss": loss,
        "grads": grads,
        "params": params,
        "before": batch_stats,
        "after": new_batch_stats,
        "final": final[None],
    }


def test_init_returns_params_and_batch_stats():
    """The variables split in two, with the same keys as in Flax."""
    variables = assert_same(
        lambda nn: model_of(nn).init(jax.random.key(1), X, train=False), drawn=True
    )
    assert set(variables) == {"params", "batch_stats"}
    assert set(variables["batch_stats"]["BatchNorm_0"]) == {"mean", "var"}


@pytest.mark.parametrize("seed", [0, 5])
def test_the_problem_of_the_lesson(seed):
    """Loss, gradients, new parameters, statistics and final loss are Flax's."""
    result = assert_same(lambda nn: step(nn, seed))
    assert result["final"].shape == (1,)


def test_gradients_have_the_shape_of_params_and_nothing_else():
    """`batch_stats` is not differentiated."""
    result = step(nn)
    assert jax.tree.structure(result["grads"]) == jax.tree.structure(result["params"])


def test_training_changes_the_statistics_and_evaluation_does_not():
    """In evaluation BatchNorm reads the statistics but does not write them."""
    result = step(nn)
    before, after = result["before"]["BatchNorm_0"], result["after"]["BatchNorm_0"]
    assert not np.allclose(before["mean"], after["mean"])
    model = model_of(nn)
    variables = {"params": result["params"], "batch_stats": result["after"]}
    _, updated = model.apply(variables, X, train=False, mutable=["batch_stats"])
    jax.tree.map(np.testing.assert_array_equal, updated["batch_stats"], result["after"])
    assert model.apply(variables, X, train=False).shape == (8, 1)


def test_forgetting_mutable_is_an_error_that_says_what_to_write():
    """BatchNorm tries to write, and the message names it, its path and the line."""
    model = model_of(nn)
    variables = model.init(jax.random.key(0), X, train=False)
    with pytest.raises(errors.ModifyScopeVariableError) as caught:
        model.apply(variables, X, train=True)
    message = str(caught.value)
    assert message.startswith("/BatchNorm_0 (BatchNorm) writes variable 'mean'")
    assert "y, updates = model.apply(variables, ..., mutable=['batch_stats'])" in message
    assert "use_running_average=True" in message


def test_forgetting_has_aux_is_jax_own_error():
    """`jax.grad` refuses a function that returns a pair."""
    model = model_of(nn)
    variables = model.init(jax.random.key(0), X, train=False)

    def loss_fn(params):
        return model.apply({**variables, "params": params}, X, train=True, mutable=["batch_stats"])

    with pytest.raises(TypeError, match="scalar"):
        jax.grad(loss_fn)(variables["params"])


def test_differentiating_batch_stats_too_is_warned_of():
    """What would be optimised to noise in silence is named, with the line to write."""
    model = model_of(nn)
    variables = model.init(jax.random.key(0), X, train=False)

    def loss_fn(variables):
        out, updated = model.apply(variables, X, train=True, mutable=["batch_stats"])
        return out.sum(), updated

    with pytest.warns(errors.LinnetWarning, match=r'tx.init\(variables\["params"\]\)'):
        jax.grad(loss_fn, has_aux=True)(variables)
