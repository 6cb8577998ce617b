"""`nnx.tabulate` beside Flax's: a row for each method that was called."""

import threading

import jax.numpy as jnp
import pytest

from differential.nnx import assert_same
from linnet import nnx
from linnet.nnx.objects import call_hooks

X = jnp.ones((1, 4))
NARROW = {"width": 130, "force_terminal": False}


def net(nnx, wait=lambda: None):
    """A model that calls methods of its parts, with arguments of several forms."""

    class Block(nnx.Module):
        def __init__(self, rngs):
            self.inner = nnx.Linear(4, 4, rngs=rngs)
            self.inner.kernel.set_metadata("note", ("row", "col"))
            self.seen = nnx.BatchStat(jnp.zeros(2), out_sharding=("a",), eager_sharding=False)

        def encode(self, x, opts=None, *, train=False):
            wait()
            return self.inner(x)

        def _hidden(self, x):
            return x

        def __call__(self, x):
            return self._hidden(self.encode(x, opts={}))

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.one, self.two = Block(rngs), Block(rngs)

        def __call__(self, x):
            return self.two.encode(self.one(x), opts={"a": x}, train=True)

        def both(self, x, y):
            return self.one(x) + y

    return Net(nnx.Rngs(0))


TABLES = {
    "calls": lambda nnx: ((X,), {}),
    "another method": lambda nnx: ((X, X), {"method": "both"}),
    "by keyword": lambda nnx: ((), {"x": X}),
    "to a depth": lambda nnx: ((X,), {"depth": 1}),
    "operations": lambda nnx: ((X,), {"compute_flops": True}),
    "by the path": lambda nnx: ((X,), {"row_filter": lambda call: "encode" in call.path}),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_as_on_flax(name):
    """Rows, arguments, metadata and sums are Flax's, to the letter."""

    def program(nnx):
        args, options = TABLES[name](nnx)
        return nnx.tabulate(net(nnx), *args, console_kwargs=NARROW, **options)

    assert_same(program)


def test_methods_are_their_own_again():
    """Classes have their own methods after a table is made, also of a model that fails."""
    model = net(nnx)
    cls = type(model.one)
    before = dict(vars(cls))
    nnx.tabulate(model, X, console_kwargs=NARROW)
    with pytest.raises(TypeError):
        nnx.tabulate(model, X, X, console_kwargs=NARROW)
    assert {name: vars(cls)[name] for name in before} == before
    assert not call_hooks.watchers


def test_tables_in_several_threads():
    """A table shows the calls of its own thread, whoever else makes one meanwhile."""
    barrier = threading.Barrier(2, timeout=20)
    tables = {}

    def make(number):
        tables[number] = nnx.tabulate(net(nnx, barrier.wait), X, console_kwargs=NARROW)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tables[0] == tables[1] == nnx.tabulate(net(nnx), X, console_kwargs=NARROW)
