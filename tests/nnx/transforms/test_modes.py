"""Modes and other settings: of a thread, of a `with` block, of a function."""

import threading

import jax.numpy as jnp
import pytest

from differential.nnx import assert_same
from linnet import nnx
from linnet.base.config import config

SETTINGS = {
    "graph mode": lambda nnx: (nnx.set_graph_mode, nnx.set_graph_mode.current_value),
    "graph updates": lambda nnx: (nnx.set_graph_updates, nnx.set_graph_updates.current_value),
    "eager sharding": lambda nnx: (nnx.use_eager_sharding, nnx.using_eager_sharding),
}


def elsewhere(f):
    """What a function returns in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(f()))
    thread.start()
    thread.join()
    return found[0]


def as_statement(change, now):
    """Set it for good, here and elsewhere."""
    change(False)
    try:
        return now(), elsewhere(now), elsewhere(lambda: (change(False) and None) or now()), now()
    finally:
        change(True)


def as_block(change, now):
    """Set it for blocks, one of which fails."""
    seen = []
    with change(False):
        seen += [now(), elsewhere(now)]
        with change(True):
            seen.append(now())
        change(True)
        seen.append(now())
    seen.append(now())
    try:
        with change(False):
            raise KeyError
    except KeyError:
        seen.append(now())
    return seen


def as_decorator(change, now):
    """Set it for a function, a recursive one and a method."""

    @change(False)
    def f(n=1):
        """Say what it is."""
        return now() if n else f(1)

    class Holder:
        @change(False)
        def method(self):
            return now()

    return now(), f(), f(0), f.__name__, f.__doc__, Holder().method(), now()


def overlapping(change, now):
    """Two threads whose blocks overlap."""
    first, second = threading.Event(), threading.Event()

    def one():
        with change(False):
            first.set()
            second.wait(20)

    def two():
        first.wait(20)
        with change(False):
            second.set()

    threads = [threading.Thread(target=f) for f in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return now(), elsewhere(now)


@pytest.mark.parametrize("use", [as_statement, as_block, as_decorator, overlapping])
@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_as_on_flax(setting, use):
    """A setting is of the thread that sets it, and ends where its block or function does."""
    assert_same(lambda nnx: elsewhere(lambda: use(*SETTINGS[setting](nnx))))


def test_the_value_of_the_process_is_behind_that_of_a_thread():
    """`config.update` is seen where no thread has set another value."""
    with nnx.set_graph_updates(True):
        config.update("nnx_graph_updates", False)
        try:
            assert nnx.set_graph_updates.current_value() is True
            assert elsewhere(nnx.set_graph_updates.current_value) is False
        finally:
            config.update("nnx_graph_updates", True)


def test_a_mode_is_that_of_the_call():
    """Gradients have the form of the mode in the thread that takes them."""
    m = nnx.Dict(w=nnx.Param(jnp.array(2.0)))
    grad = nnx.grad(lambda m: m.w[...] ** 2)
    with nnx.set_graph_updates(False):
        assert isinstance(grad(m), nnx.Dict)
        assert isinstance(elsewhere(lambda: grad(m)), nnx.State)
    assert isinstance(grad(m), nnx.State)


def test_update_contexts_are_of_a_thread():
    """An update context is open in the thread that opened it, and forgotten when it is closed."""

    def current():
        try:
            return nnx.graphlib.current_update_context("tag").tag
        except ValueError:
            return None

    with nnx.update_context("tag"):
        assert current() == "tag"
        assert elsewhere(current) is None
        with nnx.update_context("tag"):
            assert current() == "tag"
        assert current() == "tag"
    assert current() is None
