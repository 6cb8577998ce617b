"""nnx.grad, nnx.value_and_grad and nnx.remat, beside Flax's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.nnx import assert_same
from differential.nnx_models import kinds, layer, model, values
from linnet import nnx
from linnet.base import errors

X = jnp.array([[1.0, -2.0]])


def loss(m, x=X):
    """The mean square of the output."""
    return (m(x) ** 2).mean()


def _grads(nnx, grads):
    return values(grads), kinds(grads), type(grads).__name__


PROGRAMS = {
    "grad": lambda nnx: _grads(nnx, nnx.grad(loss)(model(nnx))),
    "value_and_grad": lambda nnx: _value(nnx),
    "updates": lambda nnx: _updates(nnx),
    "structure": lambda nnx: _structure(nnx),
    "argnums": lambda nnx: values(nnx.grad(loss, argnums=(0, 1))(model(nnx), X)[0]),
    "second argument": lambda nnx: nnx.grad(lambda m, x: loss(m, x), argnums=1)(model(nnx), X),
    "negative": lambda nnx: nnx.grad(lambda m, x: loss(m, x), argnums=-1)(model(nnx), X),
    "DiffState": lambda nnx: values(
        nnx.grad(loss, argnums=nnx.DiffState(0, nnx.PathContains("bias")))(model(nnx))
    ),
    "two DiffStates": lambda nnx: [
        values(g)
        for g in nnx.grad(
            lambda a, b: loss(a) + loss(b),
            argnums=(nnx.DiffState(0, nnx.Param), nnx.DiffState(1, nnx.PathContains("kernel"))),
        )(layer(nnx), layer(nnx))
    ],
    "has_aux": lambda nnx: nnx.grad(lambda m: (loss(m), m(X)), has_aux=True)(layer(nnx))[1],
    "value has_aux": lambda nnx: nnx.value_and_grad(lambda m: (loss(m), 3), has_aux=True)(
        layer(nnx)
    )[0],
    "a dictionary": lambda nnx: values(
        nnx.grad(lambda d: loss(d["m"], d["x"]))({"m": layer(nnx), "x": X})["m"]
    ),
    "a variable": lambda nnx: _variable(nnx),
    "decorator": lambda nnx: values(nnx.grad(argnums=0)(loss)(layer(nnx))),
    "in jit": lambda nnx: _in_jit(nnx),
    "not a scalar": lambda nnx: nnx.grad(lambda m: m(X))(layer(nnx)),
    "values only": lambda nnx: values(nnx.state(nnx.grad(loss, graph_updates=False)(layer(nnx)))),
    "bound": lambda nnx: nnx.grad(layer(nnx).__call__),
    "remat": lambda nnx: _remat(nnx),
    "remat static": lambda nnx: nnx.remat(lambda m, n, x: m(x) * n, static_argnums=1)(
        layer(nnx), 2, X
    ),
    "remat method": lambda nnx: _remat_method(nnx),
    "by a state": lambda nnx: _by_leaves(nnx, nnx.state(statistics(nnx))),
    "by a part of a state": lambda nnx: values(
        nnx.grad(lambda s: s.a[...] ** 2)(nnx.state(statistics(nnx), nnx.BatchStat))
    ),
    "by a dictionary": lambda nnx: _by_leaves(nnx, dict(statistics(nnx).items())),
    "by a statistic": lambda nnx: nnx.grad(lambda v: v[...] ** 2)(statistics(nnx).a),
    "by a state, DiffState": lambda nnx: _by_leaves(
        nnx, nnx.state(statistics(nnx)), nnx.DiffState(0, nnx.BatchStat)
    ),
    "by a model of statistics": lambda nnx: _by_leaves(nnx, statistics(nnx)),
    "by models beside statistics": lambda nnx: jax.tree.leaves(
        nnx.grad(lambda d: squared(d["m"]) * d["v"][...])(
            {"m": statistics(nnx), "v": nnx.BatchStat(jnp.array(5.0))}
        )
    ),
    "DiffState, values only": lambda nnx: nnx.grad(
        squared, argnums=nnx.DiffState(0, nnx.Param), graph_updates=False
    )(statistics(nnx)),
    "aliases": lambda nnx: _aliases(nnx),
    "aliases, values only": lambda nnx: _aliases(nnx, graph_updates=False),
    "an array deleted": lambda nnx: _deleted(nnx),
    "an array replaced": lambda nnx: _deleted(nnx, nnx.BatchStat(jnp.zeros(3))),
}


def statistics(nnx):
    """A model of a statistic and a parameter."""
    return nnx.Dict(a=nnx.BatchStat(jnp.array(2.0)), b=nnx.Param(jnp.array(3.0)))


def squared(m):
    """A number."""
    return m["a"][...] ** 2 * m["b"][...]


def _by_leaves(nnx, argument, by=0):
    grads = nnx.grad(squared, argnums=by)(argument)
    return [(str(path), g) for path, g in jax.tree_util.tree_leaves_with_path(grads)]


def _aliases(nnx, **how):
    p, q = nnx.Param(jnp.array(2.0)), nnx.Param(jnp.array(3.0))
    f = nnx.grad(lambda m: m["a"][0] * m["a"][1] + m["b"], **how)
    grads = f({"a": [p, q], "b": p})
    return jax.tree.leaves(grads), type(grads["b"]).__name__


def _deleted(nnx, instead=None):
    m = nnx.Dict(w=nnx.Param(jnp.array(2.0)), h=nnx.data(jnp.ones(2)))

    def f(m):
        del m.h
        if instead is not None:
            m.h = instead
        return m.w[...] ** 2

    return nnx.grad(f)(m).w[...], hasattr(m, "h")


def _value(nnx):
    m = model(nnx)
    value, grads = nnx.value_and_grad(loss)(m)
    return value, values(grads), m.count[...]


def _updates(nnx):
    m = model(nnx)

    def counted(m):
        m.first.bias[...] += 1
        return loss(m)

    grads = nnx.grad(counted)(m)
    return values(grads), values(nnx.state(m))


def _structure(nnx):
    m = layer(nnx)

    def grown(m):
        m.seen = nnx.Intermediate(m(X))
        return loss(m)

    grads = nnx.grad(grown)(m)
    return values(grads), m.seen[...]


def _variable(nnx):
    grad = nnx.grad(lambda v: (v[...] ** 2).sum())(nnx.Param(X))
    return grad[...], type(grad).__name__


def _in_jit(nnx):
    m = model(nnx)

    @nnx.jit
    def step(m, x):
        value, grads = nnx.value_and_grad(lambda m: loss(m, x))(m)
        nnx.update(m, jax.tree.map(lambda p, g: p - 0.1 * g, nnx.state(m, nnx.Param), grads))
        return value

    return [step(m, X) for _ in range(3)], values(nnx.state(m))


def _remat(nnx):
    m = model(nnx)
    block = nnx.remat(lambda m, x: m(x))
    value, grads = nnx.value_and_grad(lambda m: (block(m, X) ** 2).mean())(m)
    return value, values(grads), m.count[...]


def _remat_method(nnx):
    class Block(nnx.Module):
        def __init__(self):
            self.inner = layer(nnx)
            self.seen = nnx.BatchStat(jnp.zeros(()))

        @nnx.remat
        def __call__(self, x):
            self.seen[...] += 1
            return jnp.sin(self.inner(x))

    b = Block()
    return values(nnx.grad(loss)(b)), b.seen[...]


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_flax(name):
    """Gradients, their form, updates and errors are Flax's."""
    assert_same(PROGRAMS[name])


def test_remat_computes_again():
    """The forward pass runs again in the backward pass."""
    block = nnx.remat(lambda m, x: jnp.sin(jnp.sin(m(x))))
    m = layer(nnx)
    text = str(jax.make_jaxpr(lambda x: jax.grad(lambda x: block(m, x).sum())(x))(X))
    assert "remat" in text


def test_a_variable_reached_in_two_ways_has_one_gradient():
    """A shared variable that only one of two arguments differentiates is a conflict, with paths."""
    m = model(nnx)
    with pytest.raises(errors.ConflictingPlacementError, match="argument 1") as caught:
        nnx.grad(lambda m, first: loss(m) + loss(first))(m, m.first)
    assert "/argument 0/first/bias" in str(caught.value)


def test_keyword_arguments():
    """Keyword arguments reach the function, and are not differentiated."""
    grads = nnx.grad(lambda m, *, x: loss(m, x))(layer(nnx), x=2 * X)
    expected = nnx.grad(lambda m: loss(m, 2 * X))(layer(nnx))
    jax.tree.map(np.testing.assert_array_equal, grads, expected)


def test_argnums_out_of_range():
    """Argnums that names no argument is told."""
    with pytest.raises(ValueError, match="argnums=2"):
        nnx.grad(loss, argnums=2)(layer(nnx))
