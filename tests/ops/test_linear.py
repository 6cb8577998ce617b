"""Dense maps and einsums against Flax's layers."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from differential.compare import assert_close
from differential.functions import assert_same_function, draw, flops
from linnet.ops import linear

DTYPES = [None, jnp.float32, jnp.bfloat16]


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 4, 3)])
def test_dense_agrees(shape, dtype, use_bias):
    """Dense has Flax's outputs and gradients for any rank and dtype."""
    x, kernel = draw(0, *shape), draw(1, 3, 5)
    bias = draw(2, 5) if use_bias else None
    layer = fnn.Dense(5, use_bias=use_bias, dtype=dtype)

    def theirs(x, kernel, bias):
        params = {"kernel": kernel} | ({} if bias is None else {"bias": bias})
        return layer.apply({"params": params}, x)

    assert_same_function(
        lambda *args: linear.dense(*args, dtype=dtype), theirs, x, kernel, bias, computed_in=dtype
    )


def test_dense_promotes_integers():
    """Integer inputs are promoted to float32, as in Flax."""
    x, kernel = jnp.arange(6).reshape(2, 3), draw(1, 3, 5)
    theirs = fnn.Dense(5, use_bias=False).apply({"params": {"kernel": kernel}}, x)
    assert_close(linear.dense(x, kernel), theirs)


@pytest.mark.parametrize(
    ("shape", "features", "axis", "batch_dims"),
    [
        ((2, 3, 4), (5,), -1, ()),
        ((2, 3, 4), (5, 6), (1, 2), ()),
        ((2, 3, 4), (5,), (2, 1), ()),
        ((2, 3, 4), (5,), (0, 2), ()),
        ((2, 3, 4), (5, 6), (2,), (0,)),
        ((2, 3, 4), (5,), (-1,), (0, 1)),
        ((2, 3, 4, 5), (2, 2), (-2, 3), (0,)),
    ],
)
@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_dense_general_agrees(shape, features, axis, batch_dims, dtype):
    """Any contracted axes and batch axes give Flax's outputs and gradients."""
    layer = fnn.DenseGeneral(features, axis=axis, batch_dims=batch_dims, dtype=dtype)
    x = draw(0, *shape)
    params = layer.init(jax.random.key(0), x)["params"]
    bias = draw(1, *params["bias"].shape)
    assert_same_function(
        lambda *args: linear.dense_general(*args, axis=axis, batch_dims=batch_dims, dtype=dtype),
        lambda x, kernel, bias: layer.apply({"params": {"kernel": kernel, "bias": bias}}, x),
        x,
        params["kernel"],
        bias,
        computed_in=dtype,
    )


EQUATIONS = [
    ((4, 5), "abc,cd->abd", (2, 3, 4)),
    ((4, 5), "...c,cd->...d", (2, 3, 4)),
    ((4, 5), "abc , cd -> dab", (2, 3, 4)),
    ((4, 5), "abc,cd->ab", (2, 3, 4)),
    ((4, 5, 6), "abc,cde->eabd", (2, 3, 4)),
    ((4, 5, 6), "a...c,cde->ea...d", (2, 2, 3, 4)),
    ((4, 5, 6), "ac,c...->a...", (2, 4)),
    ((3, 4, 5), "...c,...cd->...d", (2, 3, 4)),
    ((3, 4, 5), "bc,...cd->...d", (2, 4)),
]


@pytest.mark.parametrize(("shape", "equation", "input_shape"), EQUATIONS)
def test_einsum_agrees(shape, equation, input_shape):
    """An einsum's bias has Flax's shape, and outputs and gradients are Flax's."""
    layer = fnn.Einsum(shape, equation)
    x = draw(0, *input_shape)
    params = layer.init(jax.random.key(0), x)["params"]
    checked = linear.check_einsum(equation)
    bias_shape, _ = linear.einsum_bias_shapes(checked, x.ndim, shape)
    assert bias_shape == params["bias"].shape
    assert_same_function(
        lambda *args: linear.einsum(*args, equation=checked),
        lambda x, kernel, bias: layer.apply({"params": {"kernel": kernel, "bias": bias}}, x),
        x,
        params["kernel"],
        draw(1, *bias_shape),
    )


@given(
    lead=st.lists(st.integers(1, 3), max_size=3),
    features=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    size=st.integers(1, 4),
)
@settings(max_examples=10, deadline=None)
def test_dense_general_is_an_einsum(lead, features, size):
    """Contracting the last axis is the einsum that says so."""
    x, kernel = draw(0, *lead, size), draw(1, size, *features)
    names = "jk"[: len(features)]
    assert_close(
        linear.dense_general(x, kernel), jnp.einsum(f"...i,i{names}->...{names}", x, kernel)
    )


@pytest.mark.parametrize("equation", ["ab,bc", "ab->b", "ab,bc,cd->ad"])
def test_einsum_equation_must_fit_a_layer(equation):
    """An equation without output, or not of two operands, is refused with one that fits."""
    with pytest.raises(ValueError, match=r"\.\.\.i,io->\.\.\.o"):
        linear.check_einsum(equation)


def test_hooks_run_the_plain_body():
    """A hook is called with Flax's arguments, and no cache grows by it."""
    seen = []

    def dot_general(*args, **kwargs):
        seen.append((len(args), sorted(kwargs)))
        return jax.lax.dot_general(*args, **kwargs)

    x, kernel = draw(0, 2, 3), draw(1, 3, 5)
    assert_close(linear.dense(x, kernel, dot_general=dot_general), linear.dense(x, kernel))
    assert seen == [(3, ["precision"])]


def test_flops_are_flax_s():
    """The cost that tabulate prints is that of Flax's layer."""
    x, kernel, bias = draw(0, 8, 3), draw(1, 3, 5), draw(2, 5)
    params = {"params": {"kernel": kernel, "bias": bias}}
    assert flops(linear.dense, x, kernel, bias) == flops(fnn.Dense(5).apply, params, x)


@pytest.mark.parametrize("spec", [(None, None, "b"), (None, "b", None), (None, None, None)])
def test_explicit_shardings_pass_through(spec):
    """On a mesh with explicit axes the output is laid out as Flax's is."""
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(jax.sharding.AxisType.Explicit,) * 2)

    def place(array, *names):
        return jax.device_put(array, jax.NamedSharding(mesh, jax.P(*names)))

    inputs, kernel, bias = draw(0, 4, 6, 8), draw(1, 8, 4, 2), draw(2, 4, 2)
    with jax.set_mesh(mesh):
        args = place(inputs, "a"), place(kernel, *spec), place(bias, *spec[1:])
        ours = jax.jit(linear.dense_general)(*args)
        params = {"kernel": args[1], "bias": args[2]}
        theirs = jax.jit(fnn.DenseGeneral((4, 2)).apply)({"params": params}, args[0])
    assert ours.sharding.spec == theirs.sharding.spec
    assert_close(jnp.asarray(np.asarray(ours)), jnp.asarray(np.asarray(theirs)))
