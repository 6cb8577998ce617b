"""The chain of layers: which arguments reach which layer, as in Flax 0.12.12."""

import functools

import jax
import jax.numpy as jnp
import pytest

from differential.nnx import assert_same
from linnet import nnx
from linnet.base.errors import LinnetWarning
from versions import since_newest


class Chain:
    """A chain of functions that note how they were called."""

    def __init__(self, nnx):
        self.nnx, self.calls = nnx, []

    def plain(self, x):
        self.calls.append("plain")
        return x

    def option(self, x, k=5):
        self.calls.append(("option", k))
        return x

    def keyword(self, x, *, k=6):
        self.calls.append(("keyword", k))
        return x

    def every(self, *args, **kwargs):
        self.calls.append(("every", args, kwargs))
        return args[0]

    def several(self, *xs, k=4):
        self.calls.append(("several", k))
        return xs[0]

    def dictionary(self, x):
        return {"x": x, "k": 9}

    def pair(self, x):
        return x, 7

    def run(self, names, *args, **kwargs):
        layers = [getattr(self, name) if isinstance(name, str) else name for name in names]
        return self.nnx.Sequential(*layers)(*args, **kwargs), self.calls


ARGUMENTS = {
    "to every layer": (["option", "keyword", "every"], (1,), {"k": 3}),
    "past one that has none": (["option", "plain", "option"], (1,), {"k": 3}),
    "past the first": (["plain", "keyword"], (1,), {"k": 3}),
    "to what takes all": (["option", "every"], (1,), {"z": 3, "k": 1}),
    "of a name in use": (["plain", "plain"], (), {"x": 1}),
    "a pair": (["pair", "option"], (1,), {"k": 3}),
    "a dictionary": (["dictionary", "option", "option"], (1,), {}),
    "given twice": (["dictionary", "option"], (1,), {"k": 3}),
    "a dictionary that has too much": (["dictionary", "plain"], (1,), {"k": 3}),
    "streams": (["plain", "every", "option"], (1,), {"rngs": 3}),
    "streams for nobody": (["plain", "option"], (1,), {"rngs": 3}),
    "missing": (["plain", lambda x, *, needed: x], (1,), {}),
    "function in C": ([jnp.sin, "option"], (1.0,), {"k": 3}),
    "function that does not tell": ([max, "option"], (1, 2), {"k": 3}),
    "compiled function": ([jax.jit(jnp.sin), "option"], (1.0,), {"k": 3}),
    "partial": ([functools.partial(lambda x, k: x + k, k=1), "option"], (1,), {"k": 3}),
    "by name after several": (["several", "option"], (1, 2), {"k": 3}),
    "several": (["every", "every"], (1, 2), {"k": 3}),
    "no layers": ([], (1,), {"k": 3}),
    "no layers and no argument": ([], (), {"x": 3}),
}


@since_newest
@pytest.mark.parametrize(("names", "args", "kwargs"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments(names, args, kwargs):
    """Keyword arguments of the call reach every layer that has an argument of their name."""
    assert_same(lambda nnx: Chain(nnx).run(names, *args, **kwargs))


def test_options_of_layers():
    """One call turns dropout off in every layer, of chains inside chains too."""
    rngs = nnx.Rngs(0)
    inner = nnx.Sequential(nnx.Dropout(0.5, rngs=rngs), nnx.Linear(3, 3, rngs=rngs))
    chain = nnx.Sequential(nnx.Linear(3, 3, rngs=rngs), inner, nnx.Dropout(0.9, rngs=rngs))
    x = jnp.ones((2, 3))
    expected = inner.layers[1](chain.layers[0](x))
    assert jnp.array_equal(chain(x, deterministic=True), expected)


def test_what_nobody_takes_is_told():
    """A keyword that no layer takes, lost silently in Flax 0.12.12, is warned about."""
    chain = Chain(nnx)
    with pytest.warns(LinnetWarning, match="called with dterministic, but none of its layers"):
        chain.run(["option"], 1, dterministic=True, k=2)
    assert chain.calls == [("option", 2)]


def test_what_is_given_twice_is_told():
    """The message names the argument and the two layers."""
    with pytest.raises(TypeError, match="with k, which layer 1 takes, but layer 0 returned"):
        Chain(nnx).run(["dictionary", "option"], 1, k=3)
