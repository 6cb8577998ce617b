"""nnx.vjp, beside Flax's, which has it for graph_updates=False."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.nnx import assert_same
from differential.nnx_models import kinds, layer, model, values
from linnet import nnx
from linnet.base import errors

X = jnp.array([[1.0, -2.0]])
ONES = jnp.ones((1, 2))


def _vjp(nnx, f, *primals, **options):
    return nnx.vjp(f, *primals, graph_updates=False, **options)


def _pulled(nnx, m, cotangents=ONES):
    outputs, pull_back = _vjp(nnx, lambda m, x: m(x), m, X)
    of_model, of_x = pull_back(cotangents)
    state = nnx.state(of_model)
    return outputs, values(state), kinds(state), type(of_model).__name__, of_x


def _counted(nnx):
    count = nnx.Variable(jnp.zeros(()))

    def f(m, count):
        count[...] += 1
        return m(X) * count[...]

    outputs, pull_back = _vjp(nnx, f, layer(nnx), count)
    of_model, of_count = pull_back(ONES)
    return outputs, count[...], values(nnx.state(of_model)), of_count[...]


def _aux(nnx):
    outputs, pull_back, aux = _vjp(
        nnx, lambda m, x: (m(x), {"x": 2 * x}), layer(nnx), X, has_aux=True
    )
    return outputs, aux, pull_back(ONES)[1]


def _nested(nnx):
    outputs, pull_back = _vjp(nnx, lambda d: d["m"](d["x"]), {"m": layer(nnx), "x": X})
    (of_both,) = pull_back(ONES)
    return outputs, values(nnx.state(of_both["m"])), of_both["x"]


def _integers(nnx):
    outputs, pull_back = _vjp(nnx, lambda v, n: v[...] * n, nnx.Variable(jnp.array(3)), 2)
    of_variable, of_n = pull_back(np.zeros((), jax.dtypes.float0))
    return outputs, of_variable[...].dtype.name, of_n.dtype.name


def _in_jit(nnx):
    @nnx.jit
    def pulled(m, x):
        return _vjp(nnx, lambda m, x: m(x), m, x)[1](ONES)[1]

    return [pulled(layer(nnx), X) for _ in range(2)]


def _decorated(nnx, *options):
    transformed = nnx.vjp(has_aux=False, graph_updates=False)(lambda m, x: m(x))
    outputs, pull_back = transformed(layer(nnx), X)
    return outputs, pull_back(ONES)[1]


PROGRAMS = {
    "a layer": lambda nnx: _pulled(nnx, layer(nnx)),
    "updates": _counted,
    "has_aux": _aux,
    "a dictionary": _nested,
    "integers": _integers,
    "in jit": _in_jit,
    "decorator": _decorated,
    "a module as the function": lambda nnx: _vjp(nnx, layer(nnx), X)[1](ONES),
    "bound": lambda nnx: _vjp(nnx, layer(nnx).__call__, X),
    "reduce_axes": lambda nnx: _vjp(nnx, lambda x: x, X, reduce_axes=("a",)),
    "other cotangents": lambda nnx: _pulled(nnx, layer(nnx), jnp.ones((3, 3))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_flax(name):
    """Outputs, cotangents and their form, updates and errors are Flax's."""
    assert_same(PROGRAMS[name])


def test_graphs():
    """Objects that share variables, which Flax refuses, have one cotangent for each variable."""
    m = model(nnx)
    outputs, pull_back = nnx.vjp(lambda m, x: m(x), m, X)
    of_model, of_x = pull_back(ONES)
    assert m.count[...] == 1
    assert of_model.shared is of_model.first
    expected = nnx.grad(lambda m: m(X).sum())(model(nnx))
    np.testing.assert_allclose(of_model.first.kernel[...], expected.first.kernel[...], rtol=1e-6)
    np.testing.assert_allclose(of_x, jax.grad(lambda x: model(nnx)(x).sum())(X), rtol=1e-6)
    np.testing.assert_allclose(outputs, model(nnx)(X), rtol=1e-6)


def test_objects_in_results():
    """An object that the function returns is the caller's own; cotangents stay what they are."""
    m = layer(nnx)
    outputs, pull_back, aux = nnx.vjp(lambda m, x: (m(x), m), m, X, has_aux=True)
    assert aux is m
    of_model, _ = pull_back(jnp.ones_like(outputs))
    assert of_model is not m
    assert isinstance(of_model, type(m))


def test_structure_that_changes():
    """A variable made inside appears on the model, and the cotangents have the old structure."""
    m = layer(nnx)

    def grown(m, x):
        m.seen = nnx.Intermediate(x)
        return m(x)

    _, pull_back = nnx.vjp(grown, m, X)
    of_model, _ = pull_back(ONES)
    np.testing.assert_array_equal(m.seen[...], X)
    assert not hasattr(of_model, "seen")


def test_message_of_reduce_axes():
    """What to write in the place of reduce_axes is told."""
    with pytest.raises(errors.ReduceAxesError, match=r"jax\.lax\.psum"):
        nnx.vjp(lambda x: x, X, reduce_axes=("a",))
