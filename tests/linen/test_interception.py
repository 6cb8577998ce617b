"""What interceptors see of the layers: the methods that Flax's layers have, and no others."""

import jax
import jax.numpy as jnp
import pytest

import linnet.linen
from differential.linen import assert_same

KEYS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
X = jnp.ones((1, 4, 4, 8))
LAYERS = {
    "dense": lambda nn: nn.Dense(2),
    "dense_general": lambda nn: nn.DenseGeneral((2, 2), axis=(-1, -2)),
    "conv": lambda nn: nn.Conv(2, (3, 3)),
    "conv_local": lambda nn: nn.ConvLocal(2, (3, 3)),
    "conv_transpose": lambda nn: nn.ConvTranspose(2, (3, 3)),
    "batch_norm": lambda nn: nn.BatchNorm(use_running_average=False),
    "layer_norm": lambda nn: nn.LayerNorm(),
    "rms_norm": lambda nn: nn.RMSNorm(),
    "group_norm": lambda nn: nn.GroupNorm(2),
    "instance_norm": lambda nn: nn.InstanceNorm(),
    "dropout": lambda nn: nn.Dropout(0.5, deterministic=False),
    "attention": lambda nn: nn.MultiHeadDotProductAttention(2, normalize_qk=True),
    "self_attention": lambda nn: nn.SelfAttention(2),
    "prelu": lambda nn: nn.PReLU(),
    "sequential": lambda nn: nn.Sequential([nn.Dense(3), nn.relu, nn.Dense(2)]),
}


def calls(nn, layer, x):
    """List the calls that an interceptor sees, as (path, class, method)."""
    seen = []

    def watch(next_fun, args, kwargs, context):
        path = "/".join(context.module.path)
        seen.append((path, type(context.module).__name__, context.method_name))
        return next_fun(*args, **kwargs)

    def init(keys):
        with nn.intercept_methods(watch):
            return layer.init(keys, x)

    jax.eval_shape(init, KEYS)
    return seen


@pytest.mark.filterwarnings("ignore:SelfAttention:DeprecationWarning")
@pytest.mark.parametrize("name", LAYERS)
def test_the_methods_of_a_layer(name):
    """In order, with paths."""
    assert assert_same(lambda nn: calls(nn, LAYERS[name](nn), X))


def test_einsum_shows_its_call_alone():
    """Flax's shows a helper of its own, too, which is no part of its interface."""
    layer = linnet.linen.Einsum((8, 2), "abci,io->abco")
    assert calls(linnet.linen, layer, X) == [("", "Einsum", "__call__")]


def test_the_methods_of_embed():
    """`setup` is one of them."""
    seen = assert_same(lambda nn: calls(nn, nn.Embed(4, 2), jnp.arange(3)))
    assert ("", "Embed", "setup") in seen


def test_the_methods_of_decoding():
    """The cache adds none."""

    def program(nn):
        layer = nn.MultiHeadDotProductAttention(2, decode=True)
        return calls(nn, layer, X)

    assert_same(program)
