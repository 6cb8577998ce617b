"""Functions of JAX that a program replaces while a model runs, as quantisation and exporters do."""

import contextlib

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from differential.compare import Raised, compare
from differential.layers import CASES
from differential.programs import outcome
from linnet import linen, nnx
from linnet.ops.op import op

PLACES = [
    (lax, "dot_general"),
    (lax, "conv_general_dilated"),
    (lax, "conv_general_dilated_local"),
    (lax, "conv_transpose"),
    (lax, "reduce_window"),
    (lax, "rsqrt"),
    (jnp, "mean"),
    (jnp, "einsum"),
    (jnp, "dot"),
    (jnp, "take"),
    (jax.nn, "softmax"),
    (jax.nn, "dot_product_attention"),
]
X = jnp.ones((1, 2))


@contextlib.contextmanager
def replaced(home, name):
    """Put a function that doubles in the place of one of JAX."""
    original = getattr(home, name)

    def doubled(*args, **how):
        return 2 * original(*args, **how)

    setattr(home, name, doubled)
    try:
        yield
    finally:
        setattr(home, name, original)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layers_see_it_where_they_do_on_flax(case):
    """A layer that was traced before calls what stands there now, and is itself again later."""

    def program(library):
        results = {"before": case.run(library)}
        for home, name in PLACES:
            with replaced(home, name):
                results[name] = case.run(library)
        return {**results, "after": case.run(library)}

    theirs, ours = (outcome(program, library) for library in case.libraries)
    assert not isinstance(theirs, Raised)
    compare(ours, theirs, str(case), tolerance=1e-5)


@pytest.mark.parametrize("pool", ["max_pool", "avg_pool"])
def test_pooling_sees_it(pool):
    """Pooling was traced before, and calls what stands there now."""

    def run():
        return getattr(linen, pool)(jnp.ones((1, 4, 1)), (2,)).ravel().tolist()

    before = run()
    with replaced(lax, "reduce_window"):
        assert run() == [2 * number for number in before]
    assert run() == before


def test_dropout_sees_it(monkeypatch):
    """Dropout was traced before, and draws with what stands there now."""

    def run():
        layer = linen.Dropout(0.5, deterministic=False)
        return layer.apply({}, jnp.ones(64), rngs={"dropout": jax.random.key(0)}).tolist()

    before = run()
    assert 0.0 in before
    with monkeypatch.context() as patched:
        patched.setattr(jax.random, "bernoulli", lambda key, p, shape: jnp.ones(shape, bool))
        assert set(run()) == {2.0}
    assert run() == before


def test_nothing_of_it_is_kept():
    """A configuration that is first met while a function is replaced is itself afterwards."""
    layer = linen.Dense(1, use_bias=False, precision="highest")
    variables = {"params": {"kernel": jnp.ones((2, 1))}}
    with replaced(lax, "dot_general"):
        assert float(layer.apply(variables, X)[0, 0]) == 4.0
    assert float(layer.apply(variables, X)[0, 0]) == 2.0


def test_a_function_that_no_op_asks_for_is_not_kept_either():
    """An op that is first traced while any function of JAX is replaced is itself afterwards."""

    @op()
    def shaped(x):
        return jnp.reshape(x, (2, 1)) + 1.0

    with replaced(jnp, "reshape"):
        assert shaped(X).ravel().tolist() == [3.0, 3.0]
        assert jax.jit(shaped)(X).ravel().tolist() == [3.0, 3.0]
    assert shaped(X).ravel().tolist() == [2.0, 2.0]


def test_inside_a_compiled_function():
    """A function of the user's that is traced while one of JAX is replaced holds that one."""
    layer = linen.DenseGeneral((1,), use_bias=False)
    variables = {"params": {"kernel": jnp.ones((2, 1))}}
    compiled = jax.jit(lambda x: layer.apply(variables, x))
    with replaced(lax, "dot_general"):
        assert float(compiled(X)[0, 0]) == 4.0
        assert float(jax.grad(lambda x: layer.apply(variables, x)[0, 0])(X)[0, 0]) == 2.0
    assert float(layer.apply(variables, X)[0, 0]) == 2.0


def test_an_op_within_an_op():
    """The op inside sees the function too."""

    @op(made_of=["lax.dot_general"])
    def product(x):
        return lax.dot_general(x, x, (((1,), (1,)), ((), ())))

    @op(made_of=["lax.dot_general"])
    def twice(x):
        return product(x) + product(x)

    assert float(twice(X)[0, 0]) == 4.0
    with replaced(lax, "dot_general"):
        assert float(twice(X)[0, 0]) == 8.0
    assert float(twice(X)[0, 0]) == 4.0


def test_the_product_sees_the_axes_of_the_layer():
    """What stands in the place of the product is given kernels as they are, not as matrices."""
    layer = nnx.LinearGeneral(2, (3, 4), rngs=nnx.Rngs(0))
    seen, original = [], lax.dot_general

    def spy(inputs, kernel, *args, **how):
        seen.append(kernel.shape)
        return original(inputs, kernel, *args, **how)

    layer(X)
    lax.dot_general = spy
    try:
        layer(X)
    finally:
        lax.dot_general = original
    assert seen == [(2, 3, 4)]
