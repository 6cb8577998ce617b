"""The lesson on NNX's mutability: each of its sentences, as a test."""

import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import linnet.nnx as nnx
from linnet.base import errors


class Counter(nnx.Module):
    """The worked example of the lesson, word for word."""

    def __init__(self, rngs):
        _ = rngs.params()  # consume one key for shape consistency
        self.count = nnx.Variable(jnp.array(0.0))

    def __call__(self, x):
        self.count.value = self.count.value + 1.0
        return x


def mutability_increment_count(seed, x, n_calls):
    """The problem that the lesson sets."""
    model = Counter(rngs=nnx.Rngs(int(seed)))
    last_x = x
    for _ in range(int(n_calls)):
        last_x = model(x)
    return jnp.array([model.count.value, last_x.sum()])


def test_the_worked_example(capsys):
    """Three calls; the count survives; x is unchanged."""
    model = Counter(rngs=nnx.Rngs(0))
    x = jnp.ones((4,))
    for _ in range(3):
        out = model(x)
    print(model.count.value)
    print(out)
    assert capsys.readouterr().out == "3.0\n[1. 1. 1. 1.]\n"


@pytest.mark.parametrize(("seed", "n_calls"), [(0.0, 1.0), (3.0, 5.0), (7.0, 12.0)])
def test_the_problem(seed, n_calls):
    """Expected: count equals n_calls; last_x.sum() equals x.sum()."""
    x = jnp.arange(5.0)
    np.testing.assert_array_equal(mutability_increment_count(seed, x, n_calls), [n_calls, x.sum()])


def test_nnx_is_eagerly_mutable():
    """Inside __call__, `self.some_var.value = new` is written, and the change persists."""
    model = Counter(nnx.Rngs(0))
    model(1.0)
    assert model.count.value == 1.0
    model(1.0)
    assert model.count.value == 2.0


def test_value_reads_and_writes_and_so_does_ellipsis():
    """`.value` to read and write; the variable is a wrapper; `var[...] = new` is the other form."""
    count = nnx.Variable(jnp.array(0.0))
    count.value = count.value + 1.0
    assert isinstance(count.value, jax.Array)
    count[...] = count[...] + 1.0
    assert count.value == count[...] == 2.0


def test_arrays_are_immutable():
    """`+=` on the wrapper fails and says what to write; on `.value` it makes a new array."""
    model = Counter(nnx.Rngs(0))
    with pytest.raises(NotImplementedError, match="value"):
        model.count += 1
    before = model.count.value
    model.count.value += 1.0  # Python computes a new array and reassigns
    assert before == 0.0
    assert model.count.value is not before
    with pytest.raises(TypeError, match="immutable"):
        before[...] = 1.0


def test_no_collections_and_no_return_tuple():
    """No mutable=[...]: the call returns its output alone, and the state is on the model."""
    out = Counter(nnx.Rngs(0))(jnp.ones(2))
    assert isinstance(out, jax.Array)


def test_the_running_mean_pattern():
    """The running mean of Linen's lesson is one assignment here."""

    class RunningMean(nnx.Module):
        def __init__(self, d, momentum):
            self.running_mean = nnx.BatchStat(jnp.zeros((d,)))
            self.momentum = momentum

        def __call__(self, x):
            batch_mean = x.mean(axis=0)
            self.running_mean.value = (
                self.momentum * self.running_mean.value + (1 - self.momentum) * batch_mean
            )
            return x - self.running_mean.value

    model = RunningMean(2, 0.9)
    x = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    model(x)
    np.testing.assert_allclose(model.running_mean.value, [0.2, 0.3], rtol=1e-6)
    model(x)
    np.testing.assert_allclose(model.running_mean.value, [0.38, 0.57], rtol=1e-6)


def test_pure_transformations_do_not_tolerate_side_effects():
    """Traced regions of plain JAX refuse the mutation of a model from outside."""
    model = Counter(nnx.Rngs(0))
    with pytest.raises(errors.TraceContextError, match=r"model\.count"):
        jax.jit(lambda x: model(x))(1.0)
    assert model.count.value == 0.0


def test_split_and_merge_solve_it():
    """The first cure: state goes in and comes out of a pure function."""
    graphdef, state = nnx.split(Counter(nnx.Rngs(0)))

    @jax.jit
    def step(state, x):
        model = nnx.merge(graphdef, state)
        y = model(x)
        return y, nnx.state(model)

    for _ in range(3):
        _, state = step(state, 1.0)
    assert state["count"].value == 3.0


def test_lifted_transformations_solve_it():
    """The second cure: nnx.jit, nnx.vmap and nnx.grad carry the mutation out."""
    model = Counter(nnx.Rngs(0))
    nnx.jit(lambda model, x: model(x))(model, 1.0)
    nnx.grad(lambda model, x: model(x), argnums=1)(model, 1.0)
    nnx.vmap(lambda model, x: model(x), in_axes=(None, 0))(model, jnp.ones(3))
    assert model.count.value == 3.0


def test_forgetting_value_replaces_the_wrapper():
    """The pitfall does what the lesson says, with a warning that says what to write."""
    model = Counter(nnx.Rngs(0))
    with pytest.warns(errors.VariableReplacedWarning, match=r"self\.count\[\.\.\.\] = x"):
        model.count = model.count + 1
    assert isinstance(model.count, jax.Array)  # a raw array in place of the wrapper
    with pytest.raises(AttributeError):  # subsequent .value access is broken
        model.count.value  # noqa: B018
    assert not nnx.state(model, nnx.Variable)  # and no variable of the state any more


def test_a_param_would_be_updated_by_the_optimizer():
    """A counter that is a Param is trained; one that is a Variable is not."""

    class Both(nnx.Module):
        def __init__(self):
            self.wrong, self.right = nnx.Param(jnp.array(1.0)), nnx.Variable(jnp.array(1.0))

    model = Both()
    optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    optimizer.update(model, nnx.grad(lambda m: m.wrong.value * m.right.value)(model))
    assert model.wrong.value == pytest.approx(0.9)
    assert model.right.value == 1.0


def test_the_same_on_flax():
    """The example runs on Flax to the same end."""

    class Theirs(flax.nnx.Module):
        def __init__(self, rngs):
            _ = rngs.params()
            self.count = flax.nnx.Variable(jnp.array(0.0))

        def __call__(self, x):
            self.count[...] = self.count[...] + 1.0
            return x

    theirs, ours = Theirs(flax.nnx.Rngs(0)), Counter(nnx.Rngs(0))
    for model in (theirs, ours):
        for _ in range(3):
            model(jnp.ones(4))
    assert theirs.count[...] == ours.count.value == 3.0
