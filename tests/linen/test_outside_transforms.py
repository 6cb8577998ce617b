"""Models inside JAX's transformations and modes, applied from outside: all as in Flax."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec as P

from differential.linen import assert_same

X = jax.random.normal(jax.random.key(9), (4, 2, 3))


def net(nn):
    """Parameters, statistics and a stream."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, train=True):
            x = nn.Dense(4, kernel_init=nn.initializers.orthogonal())(x)
            x = nn.BatchNorm(use_running_average=not train)(x)
            x = nn.Dropout(0.5, deterministic=not train)(x)
            return nn.Dense(2, kernel_init=nn.initializers.normal(0.1))(x)

    return Net()


def vmapped_ensemble(nn):
    """Initialise and apply four models at once."""
    m = net(nn)
    ks = jax.random.split(jax.random.key(0), 4)
    v = jax.jit(jax.vmap(partial(m.init, train=False)))(ks, X)
    f = jax.vmap(lambda v, k, x: m.apply(v, x, rngs={"dropout": k}, mutable=["batch_stats"]))
    y, u = jax.jit(f)(v, ks, X)
    y2, _ = f(v, ks, X)
    return v, y, u, y2


def scanned_and_checkpointed(nn):
    """Carry statistics through a scan; recompute in the backward pass."""
    m = net(nn)
    v = m.init(jax.random.key(0), X[0], train=False)

    def body(s, i):
        y, u = m.apply(
            {**v, **s},
            X[i],
            rngs={"dropout": jax.random.fold_in(jax.random.key(1), i)},
            mutable=["batch_stats"],
        )
        return u, y

    s, ys = jax.lax.scan(body, {"batch_stats": v["batch_stats"]}, jnp.arange(4))
    g = jax.grad(
        lambda p: jax.checkpoint(lambda p: m.apply({**v, "params": p}, X[0], train=False).sum())(p)
    )(v["params"])
    return s, ys, g


def keys_of_another_generator(nn):
    """Draw parameters with rbg keys."""
    m = net(nn)
    k = jax.random.key(0, impl="rbg")
    return m.init(k, X[0], train=False)


def raw_keys(nn):
    """Draw parameters with untyped keys, eagerly and under jit."""
    m = net(nn)
    return m.init(jax.random.PRNGKey(0), X[0], train=False), jax.jit(partial(m.init, train=False))(
        jax.random.PRNGKey(0), X[0]
    )


def statistics_over_devices(nn):
    """Average over the devices of pmap and shard_map."""
    m = nn.BatchNorm(use_running_average=False, axis_name="i")
    v = m.init(jax.random.key(0), X[0])
    y, u = jax.pmap(lambda x: m.apply(v, x, mutable=["batch_stats"]), axis_name="i")(X)
    mesh = jax.make_mesh((4,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    f = jax.shard_map(
        lambda x: m.apply(v, x, mutable=["batch_stats"])[0],
        mesh=mesh,
        in_specs=P("i"),
        out_specs=P("i"),
    )
    return jax.tree.map(jnp.asarray, (y, u)), f(X)


def double_precision(nn):
    """Parameters and inputs in float64."""
    with jax.enable_x64(True):
        m = nn.Sequential(
            [nn.Dense(3, param_dtype=jnp.float64), nn.LayerNorm(), nn.Dense(2, dtype=jnp.float32)]
        )
        v = m.init(jax.random.key(0), jnp.ones((2, 3), jnp.float64))
        return v, m.apply(v, jnp.ones((2, 3), jnp.float64))


def debug_nans(nn):
    """With the check for NaN."""
    with jax.debug_nans(True):
        m = net(nn)
        v = m.init(jax.random.key(0), X[0], train=False)
        return m.apply(v, X[0], train=False)


def without_jit(nn):
    """Every op as its plain body."""
    with jax.disable_jit():
        m = net(nn)
        v = m.init(jax.random.key(0), X[0], train=False)
        return v, m.apply(v, X[0], train=False)


@pytest.mark.parametrize(
    "program",
    [
        vmapped_ensemble,
        scanned_and_checkpointed,
        statistics_over_devices,
        double_precision,
        debug_nans,
        without_jit,
    ],
    ids=lambda program: program.__name__,
)
def test_a_transformed_model(program):
    """Outputs, gradients and collections to 1e-5."""
    assert_same(program)


@pytest.mark.parametrize(
    "program", [keys_of_another_generator, raw_keys], ids=lambda program: program.__name__
)
def test_kinds_of_keys(program):
    """Initial parameters to 2 units in the last place."""
    assert_same(program, drawn=True)
