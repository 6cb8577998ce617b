"""Errors made again: by pickle, in pools of processes, of their message."""

import copy
import importlib
import inspect
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linnet.linen as nn
from linnet import nnx
from linnet.base import errors
from linnet.base.errors.words import Retold

EVERY = sorted(
    {each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, Retold)},
    key=lambda each: each.__name__,
)
X = jnp.ones((1, 2))


def _unknown_stream():
    return nnx.Rngs(params=0).dropout()


def _mistyped():
    class Coder(nn.Module):
        def setup(self):
            self.encoder = nn.Dense(2)

        def __call__(self, x):
            return self.encodr(x)

    return Coder().init(jax.random.key(0), X)


RAISING = {
    "missing collection": lambda: nn.Dense(2).apply({}, X),
    "missing attribute": _mistyped,
    "shape": lambda: nn.Dense(2).apply({"params": {"kernel": X, "bias": jnp.ones(2)}}, X),
    "key error": _unknown_stream,
    "state": lambda: nnx.update(nnx.Dict(a=nnx.Param(X)), {"b": X}),
    "state dict": lambda: nn.Dense(2).init(3, X),
    "features": lambda: nnx.Linear(3, 4, rngs=nnx.Rngs(0))(X),
}


def caught(what):
    """Return the error of a program."""
    with pytest.raises(Exception) as info:  # noqa: PT011 - which one is what the test is about
        RAISING[what]()
    return info.value


@pytest.mark.parametrize("remake", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])
@pytest.mark.parametrize("what", RAISING)
def test_an_error_is_made_again(what, remake):
    """It has the class, the message and the notes that it had."""
    error = caught(what)
    again = remake(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert getattr(again, "__notes__", []) == getattr(error, "__notes__", [])


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_every_class_unpickles(cls):
    """Whatever facts it is made of."""
    error = cls.__new__(cls, "what happened")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert again.args == (str(error),)


def test_an_error_is_made_of_a_message():
    """Programs add to a message so; a class that takes one fact takes it for the fact."""
    error = caught("shape")
    again = type(error)(f"in layer 3: {error}")
    assert str(again) == f"in layer 3: {error}"
    assert str(errors.TraceContextError("message")) == "message"
    assert "message" in str(errors.InvalidScopeError("message"))


def _work(number):
    if number == 2:
        nn.Dense(2).apply({}, np.ones((1, 2), np.float32))
    return number


def test_an_error_comes_out_of_a_pool_of_processes():
    """With its class and message, and the pool goes on working."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_work, number) for number in range(4)]
        with pytest.raises(errors.ScopeCollectionNotFound, match=r"reads|needs|params"):
            futures[2].result(timeout=120)
        assert futures[3].result(timeout=120) == 3


@pytest.mark.parametrize("cls", EVERY, ids=lambda cls: cls.__name__)
def test_every_class_is_named_as_programs_find_it(cls):
    """Tracebacks and pickles say ``linnet.errors``, and there it is."""
    assert cls.__module__ == "linnet.errors"
    assert getattr(importlib.import_module("linnet.errors"), cls.__name__) is cls
