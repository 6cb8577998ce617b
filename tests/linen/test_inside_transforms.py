"""Modules used inside JAX's own transformations, within a module: what works and what raises."""

import jax
import jax.numpy as jnp
import pytest

import linnet.linen
from differential.compare import Raised, compare
from differential.linen import FLAX, assert_same
from differential.programs import outcome
from linnet.base import errors

KEY = jax.random.key(0)
X = jnp.ones((3, 3)) * jnp.arange(3.0)

TRANSFORMS = {
    "jit": lambda f, x: jax.jit(f)(x),
    "grad": lambda f, x: jax.grad(lambda x: f(x).sum())(x),
    "value_and_grad": lambda f, x: jax.value_and_grad(lambda x: f(x).sum())(x),
    "jvp": lambda f, x: jax.jvp(f, (x,), (x,)),
    "vjp": lambda f, x: jax.vjp(f, x)[1](x),
    "vmap": lambda f, x: jax.vmap(f)(x),
    "checkpoint": lambda f, x: jax.checkpoint(f)(x),
    "scan": lambda f, x: jax.lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0],
    "fori_loop": lambda f, x: jax.lax.fori_loop(0, 2, lambda _, c: f(c), x),
    "cond": lambda f, x: jax.lax.cond(x.sum() > 0, f, lambda x: x, x),
    "nested": lambda f, x: jax.jit(jax.vmap(jax.checkpoint(f)))(x),
}

LEAVES = {
    "dense": lambda nn: nn.Dense(3),
    "statistics": lambda nn: nn.BatchNorm(use_running_average=False),
    "evaluation": lambda nn: nn.BatchNorm(use_running_average=True),
    "dropout": lambda nn: nn.Dropout(0.5, deterministic=False),
}


def holds_tracers(tree):
    """Tell whether a tree holds what JAX will have forgotten."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def model(nn, leaf, transform, where):
    """Make a module that uses a leaf inside a transformation."""

    class Outer(nn.Module):
        def setup(self):
            self.ready = LEAVES[leaf](nn)

        @nn.compact
        def __call__(self, x):
            # a function of the module, as a bound module cannot be hashed
            run = TRANSFORMS[transform]
            if where == "setup":
                return run(lambda x: self.ready(x), x)
            if where == "used before":
                self.ready(x)
                return run(lambda x: self.ready(x), x)
            if where == "created outside":
                made = LEAVES[leaf](nn)
                return run(lambda x: made(x), x)
            return run(lambda x: LEAVES[leaf](nn)(x), x)

    return Outer()


PLACES = ["setup", "used before", "created outside", "created inside"]
cases = pytest.mark.parametrize(
    ("leaf", "transform", "where"),
    [
        (leaf, transform, where)
        for leaf in LEAVES
        for transform in TRANSFORMS
        for where in PLACES
        if leaf == "dense" or (where == "setup" and transform in {"jit", "vmap", "grad", "scan"})
    ],
)


@cases
def test_apply_within_transforms(leaf, transform, where):
    """Reading parameters and drawing keys works wherever it does in Flax, with the same values."""
    # given by hand: what `init` does with them is another test
    stats = {"mean": jnp.ones(3), "var": jnp.full(3, 2.0)}
    params = {
        "dense": {"kernel": jnp.eye(3), "bias": jnp.ones(3)},
        "dropout": {},
    }.get(leaf, {"scale": jnp.ones(3), "bias": jnp.ones(3)})
    name = (
        "ready"
        if where in {"setup", "used before"}
        else f"{LEAVES[leaf](FLAX).__class__.__name__}_0"
    )
    variables = {"params": {name: params}, "batch_stats": {name: stats}}

    def program(nn):
        rngs = {"dropout": KEY}
        return model(nn, leaf, transform, where).apply(
            variables, X, rngs=rngs, mutable=["batch_stats"]
        )

    theirs = outcome(program, FLAX)
    if holds_tracers(theirs):
        # Flax hands out a dead tracer; here that is an error
        with pytest.raises(errors.JaxTransformError, match=rf"/{name}"):
            program(linnet.linen)
    else:
        compare(outcome(program, linnet.linen), theirs, tolerance=1e-5, drawn=False)


@cases
def test_init_within_transforms(leaf, transform, where):
    """Where Flax can initialise, so can we, with the same values; we can where it cannot, too."""

    def program(nn):
        return model(nn, leaf, transform, where).init({"params": KEY, "dropout": KEY}, X)

    theirs, ours = outcome(program, FLAX), outcome(program, linnet.linen)
    assert not holds_tracers(ours)
    if isinstance(theirs, Raised) or holds_tracers(theirs):
        names = {"JaxTransformError", getattr(theirs, "name", "")}
        assert not isinstance(ours, Raised) or names & set(ours.bases)
    else:
        compare(ours, theirs, tolerance=1e-5, drawn=True)


def test_a_parameter_made_inside_jit_is_real():
    """It is made at the level of the call, not inside the transformation."""
    variables = model(linnet.linen, "dense", "jit", "created inside").init(KEY, X)
    outside = linnet.linen.Dense(3)
    assert jax.tree.map(jnp.shape, variables["params"]["Dense_0"]) == jax.tree.map(
        jnp.shape, outside.init(KEY, X)["params"]
    )
    assert not holds_tracers(variables)


def test_an_update_from_an_inner_trace_names_the_place():
    """The message names the variable, the module and what to do instead."""

    class Outer(linnet.linen.Module):
        @linnet.linen.compact
        def __call__(self, x):
            v = self.variable("state", "last", lambda: jnp.zeros(3))

            def f(x):
                v.value = x
                return x

            return jax.vmap(f)(x)

    with pytest.raises(
        errors.JaxTransformError, match=r"/ \(Outer\).*'last'.*'state'.*write it .* outside"
    ):
        Outer().apply({}, X, mutable=["state"])


@pytest.mark.parametrize("transform", ["jit", "grad", "vmap", "checkpoint", "scan"])
def test_apply_itself_within_transforms(transform):
    """`apply` is a pure function: whole calls compose with every transformation."""

    def program(nn):
        dense = nn.Dense(3)
        variables = dense.init(KEY, X)
        norm = nn.BatchNorm(use_running_average=False)
        given = norm.init(KEY, X)

        def whole(x):
            y = dense.apply(variables, x)
            y, updates = norm.apply(given, jnp.atleast_2d(y), mutable=["batch_stats"])
            return (y + updates["batch_stats"]["mean"]).reshape(x.shape)

        return TRANSFORMS[transform](whole, X)

    assert_same(program)
