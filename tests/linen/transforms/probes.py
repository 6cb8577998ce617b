"""Modules that show their keys: which one they drew, and in what order, is what they return."""

import jax
import jax.numpy as jnp

RNGS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
X = jnp.arange(12.0).reshape(3, 4) / 10
EACH = {
    "variable_axes": {"params": 0, "intermediates": 0},
    "split_rngs": {"params": True, "dropout": True},
}
SHARED = {
    "variable_axes": {"params": None},
    "split_rngs": {"params": False, "dropout": False},
}


def shown(key):
    """Return a key as numbers."""
    return jax.random.key_data(key)


def leaf(nn):
    """A module that draws parameters and keys in turn, and sows."""

    class Leaf(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.param("first", shown)
            keys = [shown(self.make_rng("dropout")) for _ in range(2)]
            self.param("second", shown)
            self.sow("intermediates", "seen", x)
            return x, keys

    return Leaf


def block(nn):
    """A module with a leaf in it, that draws before and after."""

    class Block(nn.Module):
        @nn.compact
        def __call__(self, x):
            before = shown(self.make_rng("dropout"))
            x, keys = leaf(nn)(name="leaf")(x)
            return x, [before, *keys, shown(self.make_rng("dropout"))]

    return Block


def user(nn):
    """A module with a leaf in a field, and one of its own."""

    class User(nn.Module):
        other: nn.Module

        @nn.compact
        def __call__(self, x):
            before = shown(self.make_rng("dropout"))
            x, theirs = self.other(x)
            x, own = leaf(nn)(name="own")(x)
            return x, [before, *theirs, *own, shown(self.make_rng("dropout"))]

    return User


def step(nn):
    """A block as the body of a scan."""

    class Step(nn.Module):
        @nn.compact
        def __call__(self, carry, x):
            x, keys = block(nn)(name="block")(x)
            return carry, [shown(self.make_rng("dropout")), *keys]

    return Step


def twice(nn, make, *args):
    """Call a module twice, with draws around it."""

    class Outer(nn.Module):
        @nn.compact
        def __call__(self):
            before = shown(self.make_rng("dropout"))
            module = make(nn)
            calls = [module(*args) for _ in range(2)]
            return [before, calls, shown(self.make_rng("dropout"))]

    return Outer()


def everything(model, *args):
    """Make the variables of a model; run it without and with mutable intermediates."""
    output, variables = model.init_with_output(RNGS, *args)
    rngs = {"dropout": RNGS["dropout"]}
    plain = model.apply(variables, *args, rngs=rngs)
    return output, variables, plain, model.apply(variables, *args, rngs=rngs, mutable=True)
