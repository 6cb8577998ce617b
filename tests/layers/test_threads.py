"""Eight threads that switch as often as they can: each gets what it would get alone."""

import contextlib
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import linnet.linen as nn
from linnet import nnx

KEY, X = jax.random.key(0), jnp.ones((2, 3))
THREADS, ROUNDS = 8, 12


@pytest.fixture(autouse=True)
def often():
    """Switch between threads as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Model(nnx.Module):
    """A layer that counts its calls and sows what it is given."""

    def __init__(self):
        self.layer = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
        self.count = nnx.BatchStat(jnp.zeros(()))
        self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))

    def __call__(self, x):
        self.count[...] += 1
        self.sow(nnx.Intermediate, "seen", x)
        return self.layer(x)


class Compiled(nn.Module):
    """A layer whose method is compiled."""

    width: int

    @nn.jit
    @nn.compact
    def __call__(self, x):
        return nn.Dense(self.width)(x)


class Listed(nn.Module):
    """Submodules made in setup."""

    def setup(self):
        self.parts = [nn.Dense(2), nn.Dense(4)]

    def __call__(self, x):
        return self.parts[1](self.parts[0](x))


one = nnx.jit(lambda model, x: (model.count.set_value(model.count + 1), model.layer(x))[1])
two = nnx.jit(lambda first, other: first.layer(X) + other.layer(X))
step = nnx.jit(lambda m, o: o.update(m, nnx.grad(lambda m: m.layer(X).sum())(m)))
TX = optax.sgd(0.1)
SHARED = [Model() for _ in range(ROUNDS)]
EXPECTED = np.asarray(Model().layer(X))
VARIABLES = Listed().init(KEY, X)


def calls(number, turn):
    """Compiled calls of models of one structure, and of others."""
    model = Model()
    if number % 2:
        model.more = nnx.Param(jnp.ones(number))
    one(model, X)
    model.number = number
    np.testing.assert_allclose(one(model, X), EXPECTED, rtol=1e-5, atol=1e-6)
    assert model.count[...] == 2


def shared(number, turn):
    """A model that no thread has called yet, beside one of the thread's own, in both places."""
    other = Model()
    for pair in ((SHARED[turn], other), (other, SHARED[turn])):
        np.testing.assert_allclose(two(*pair), 2 * EXPECTED, rtol=1e-5, atol=1e-6)
    if number % 2:
        vars(SHARED[turn])
    nnx.split(SHARED[turn])


def trained(number, turn):
    """An optimizer for each model, and one step for all."""
    model = Model()
    optimizer = nnx.Optimizer(model, TX, wrt=nnx.Param)
    step(model, optimizer)
    assert optimizer.step[...] == 1
    np.testing.assert_allclose(model.layer.bias[...], -0.2 * jnp.ones(3), rtol=1e-6)


def captured(number, turn):
    """What one thread captures is not seen by another."""
    model = Model()
    _, state = nnx.capture(model, nnx.Intermediate)(X * number)
    (seen,) = jax.tree.leaves(state)
    np.testing.assert_array_equal(seen, X * number)


def modes(number, turn):
    """Flags and modes are those of the thread."""
    model = Model()
    model.train() if number % 2 else model.eval()
    assert model.dropout.deterministic is (number % 2 == 0)
    with nnx.use_eager_sharding(bool(number % 2)):
        assert nnx.using_eager_sharding() is bool(number % 2)


def lifted(number, turn):
    """One class with a compiled method."""
    model = Compiled(number + 1)
    assert model.apply(model.init(KEY, X), X).shape == (2, number + 1)


def bound(number, turn):
    """A bound module for each, and interceptors of some."""

    def added(function, args, kwargs, context):
        result = function(*args, **kwargs)
        return result + 1 if context.method_name == "__call__" else result

    add = nn.intercept_methods(added)
    expected = Listed().apply(VARIABLES, X)
    with add if number % 2 else contextlib.nullcontext():
        got = Listed().bind(VARIABLES)(X)
    assert bool((jnp.abs(got - expected) > 0.5).any()) is bool(number % 2)


@pytest.mark.parametrize("work", [calls, shared, trained, captured, modes, lifted, bound])
def test_threads_do_not_see_each_other(work):
    """Whatever they share."""
    failed = []
    barrier = threading.Barrier(THREADS)

    def run(number):
        barrier.wait()
        try:
            for turn in range(ROUNDS):
                work(number, turn)
        except BaseException as error:  # noqa: BLE001 - whatever a thread may raise
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
