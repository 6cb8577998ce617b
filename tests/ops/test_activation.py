"""Activations against Flax's."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from differential.compare import assert_close
from differential.functions import assert_same_function, draw, flops
from linnet.base.names import read
from linnet.linen.names import MODULES
from linnet.nnx import names as nnx_names
from linnet.ops import activation
from versions import since_newest

GATHERED = read(MODULES["activation"]) | read(nnx_names.MODULES["nn.activations"])
NAMES = sorted(GATHERED.keys() - {"PReLU", "one_hot", "logsumexp"})


@pytest.mark.parametrize("name", NAMES)
def test_activations_agree(name):
    """Every activation gives what Flax's of the same name gives."""
    theirs = getattr(fnn, name, None) or getattr(nnx, name)
    x = draw(0, 3, 4)
    assert_close(getattr(activation, name)(x), theirs(x))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_prelu_agrees(dtype):
    """The learnt slope is cast to the dtype of the inputs, as in Flax."""
    layer = fnn.PReLU()
    assert_same_function(
        activation.prelu,
        lambda x, slope: layer.apply({"params": {"negative_slope": slope}}, x),
        draw(0, 3, 4, dtype=dtype),
        jnp.float32(0.2),
        computed_in=dtype,
    )


def test_gelu_flops_are_flax_s():
    """The cost that tabulate prints is that of Flax's function."""
    x = draw(0, 3, 4)
    assert flops(activation.gelu, x) == flops(fnn.gelu, x)


def test_options_are_passed_by_position_or_name():
    """The exact gelu, and a softmax over another axis or under a mask, are Flax's."""
    x = draw(0, 3, 4)
    assert_close(activation.gelu(x, False), fnn.gelu(x, False))
    assert_close(activation.gelu(x, approximate=False), fnn.gelu(x, approximate=False))
    assert_close(activation.softmax(x, (0, 1)), fnn.softmax(x, (0, 1)))
    assert_close(activation.softmax(x, axis=0, where=x > 0), fnn.softmax(x, axis=0, where=x > 0))


IDS = jnp.array([[0, 2, 5, 1], [3, 9, -1, 2]])


@pytest.mark.parametrize("settings", [{}, {"dtype": jnp.bfloat16}, {"dtype": int}, {"axis": 1}])
@pytest.mark.parametrize("theirs", [fnn.one_hot, nnx.one_hot], ids=["linen", "nnx"])
def test_one_hot_agrees(theirs, settings):
    """Indices, those outside the classes too, are written as Flax writes them."""
    assert_close(activation.one_hot(IDS, 4, **settings), theirs(IDS, 4, **settings))


SHARDINGS = [PartitionSpec("x"), PartitionSpec("x", None, "y"), PartitionSpec(None, "y")]


def laid_out(one_hot, sharding, spread, jit):
    """Write indices that lie on a mesh, and return the numbers and where they lie."""
    mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        ids = jax.device_put(IDS, PartitionSpec("x") if spread else PartitionSpec())
        write = lambda ids: one_hot(ids, 4, out_sharding=sharding)
        hot = (jax.jit(write) if jit else write)(ids)
        return np.asarray(hot), hot.sharding.spec


# Flax wants the axes of the indices to lie as the indices do; Linnet moves them
IN_FLAX = [
    (PartitionSpec("x", None, "y"), True),
    (PartitionSpec("x", None, None), True),
    (PartitionSpec(None, None, "y"), False),
]


@since_newest
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(("sharding", "spread"), IN_FLAX, ids=str)
@pytest.mark.parametrize("theirs", [fnn.one_hot, nnx.one_hot], ids=["linen", "nnx"])
def test_one_hot_is_laid_out_as_in_flax(theirs, sharding, spread, jit):
    """With `out_sharding` the numbers and where they lie are Flax's."""
    ours, where = laid_out(activation.one_hot, sharding, spread, jit)
    expected, there = laid_out(theirs, sharding, spread, jit)
    np.testing.assert_array_equal(ours, expected)
    assert where == there


@pytest.mark.parametrize("sharding", SHARDINGS, ids=str)
def test_one_hot_is_laid_out_as_asked(sharding):
    """The result lies where `out_sharding` says, with the numbers it has anyhow."""
    hot, where = laid_out(activation.one_hot, sharding, spread=False, jit=False)
    np.testing.assert_array_equal(hot, activation.one_hot(IDS, 4))
    assert where == PartitionSpec(*sharding, *[None] * (3 - len(sharding)))


def test_one_hot_takes_a_named_sharding():
    """`out_sharding` may name its mesh."""
    mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Explicit,) * 2)
    sharding = NamedSharding(mesh, PartitionSpec("x"))
    with jax.set_mesh(mesh):
        hot = activation.one_hot(jax.device_put(IDS, PartitionSpec()), 4, out_sharding=sharding)
    assert hot.sharding.is_equivalent_to(sharding, 3)
