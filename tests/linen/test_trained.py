"""The warning for differentiating what is no parameter: when it comes, and when it must not."""

import warnings

import jax
import jax.numpy as jnp
import pytest

import linnet.linen as nn
from linnet.base.errors import LinnetWarning

KEY = jax.random.key(0)
X = jnp.ones((4, 3)) * jnp.arange(3.0)
norm = nn.BatchNorm(use_running_average=False)
VARIABLES = norm.init(KEY, X)


def loss(variables, x=X):
    """Apply with statistics updated."""
    y, updates = norm.apply(variables, x, mutable=["batch_stats"])
    return jnp.sum(y**2), updates


def test_differentiating_all_variables_is_warned_of():
    """The collection is named, and what to write instead."""
    with pytest.warns(LinnetWarning, match=r"'batch_stats'.*variables\[\"params\"\]"):
        jax.grad(loss, has_aux=True)(VARIABLES)


def test_also_in_a_jitted_step():
    """The mistake is the same under `jax.jit` around it."""
    with pytest.warns(LinnetWarning, match="batch_stats"):
        jax.jit(jax.grad(loss, has_aux=True))(VARIABLES)


@pytest.mark.parametrize(
    "differentiate",
    [
        lambda: jax.grad(lambda p: loss({**VARIABLES, "params": p})[0])(VARIABLES["params"]),
        lambda: jax.grad(lambda x: loss(VARIABLES, x)[0])(X),
        lambda: jax.jit(loss)(VARIABLES),
        lambda: jax.vmap(lambda x: loss(VARIABLES, x)[0])(X[None]),
        lambda: loss(VARIABLES),
        lambda: (
            jax.grad(lambda v: norm.apply(v, X, use_running_average=True).sum())
            and nn.BatchNorm(use_running_average=True).apply(VARIABLES, X)
        ),
        lambda: jax.jvp(
            lambda p: loss({**VARIABLES, "params": p})[0],
            (VARIABLES["params"],) * 1,
            (VARIABLES["params"],),
        ),
    ],
    ids=["params", "inputs", "jit", "vmap", "plain", "evaluation", "jvp"],
)
def test_what_is_right_is_not_warned_of(differentiate):
    """Differentiating parameters or inputs, or nothing, passes in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        differentiate()


def test_statistics_carried_through_two_calls_are_not_warned_of():
    """Inside one differentiated function the second call's statistics come from the first."""

    def two(params):
        _, updates = norm.apply({**VARIABLES, "params": params}, X, mutable=["batch_stats"])
        y, _ = norm.apply({**updates, "params": params}, X + 1, mutable=["batch_stats"])
        return jnp.sum(y**2)

    # the statistics depend on the parameters of the layer below
    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.BatchNorm(use_running_average=False)(nn.Dense(3)(x))

    model = Two()
    variables = model.init(KEY, X)

    def deep(params):
        stats = variables["batch_stats"]
        for _ in range(2):
            y, updates = model.apply(
                {"params": params, "batch_stats": stats}, X, mutable=["batch_stats"]
            )
            stats = updates["batch_stats"]
        return jnp.sum(y**2)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.grad(two)(VARIABLES["params"])
        jax.grad(deep)(variables["params"])


def test_perturbations_are_meant_to_be_differentiated():
    """As are parameters that the call may write."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            return self.perturb("h", nn.Dense(2)(x)).sum()

    variables = Model().init(KEY, X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.grad(lambda v: Model().apply(v, X, mutable=True)[0])(variables)
