"""``out_sharding``: where the result of a layer lies on an explicit mesh, as in Flax."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec

from differential.functions import draw
from differential.nnx import assert_same

LAID_OUT = PartitionSpec("x", None, "y")
IDS = jnp.arange(8).reshape(4, 2) % 5


def attended(nnx):
    """Make an attention layer."""
    return nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(0))


CALLS = {
    "linear": lambda nnx, x: nnx.Linear(4, 8, rngs=nnx.Rngs(0))(x, out_sharding=LAID_OUT),
    "general": lambda nnx, x: nnx.LinearGeneral(4, 8, rngs=nnx.Rngs(0))(x, out_sharding=LAID_OUT),
    "einsum": lambda nnx, x: nnx.Einsum("nta,ab->ntb", (4, 8), rngs=nnx.Rngs(0))(
        x, out_sharding=LAID_OUT
    ),
    "embed": lambda nnx, x: nnx.Embed(5, 8, rngs=nnx.Rngs(0))(IDS, out_sharding=LAID_OUT),
    "attend": lambda nnx, x: nnx.Embed(8, 4, rngs=nnx.Rngs(0)).attend(x, out_sharding=LAID_OUT),
    "conv": lambda nnx, x: nnx.Conv(4, 8, (3,), rngs=nnx.Rngs(0))(
        x, out_sharding=PartitionSpec("x")
    ),
    "attention": lambda nnx, x: attended(nnx)(
        x, out_sharding=LAID_OUT, qkv_sharding=PartitionSpec("x")
    ),
    "adaptation": lambda nnx, x: nnx.LoRALinear(4, 8, lora_rank=2, rngs=nnx.Rngs(0))(
        x, out_sharding=PartitionSpec("x")
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_out_sharding(call):
    """The result is laid out as asked, with the numbers that it has anyhow."""
    mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Explicit,) * 2)

    def program(nnx):
        with jax.set_mesh(mesh):
            x = jax.device_put(draw(0, 4, 2, 4), PartitionSpec("x"))
            outputs = call(nnx, x)
            return jax.device_get(outputs), str(outputs.sharding.spec)

    outputs, _ = assert_same(program)
    assert outputs.shape[0] == 4
