"""Layers of random configuration under Flax and under Linnet: variables, outputs, gradients.

Convolutions of random configuration stand in ``test_linear.py``. Here everything else, at most a
handful of configurations each, as every one is compiled twice.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from differential.compare import TOLERANCE, Raised, compare
from differential.functions import draw
from differential.linen import FLAX, LINNET
from differential.programs import outcome

RNGS = {"params": jax.random.key(1), "dropout": jax.random.key(2)}

flags = st.booleans()
dtypes = st.sampled_from([None, None, None, jnp.bfloat16])
inputs = st.sampled_from([(2, 4), (2, 3, 4), (2, 3, 2, 4)])


initializers = st.sampled_from(["lecun_normal", "glorot_uniform", "he_normal", "orthogonal"])


def windows(low=1, high=3, rank=2):
    """Draw one number for each axis."""
    return st.tuples(*[st.integers(low, high)] * rank)


normalization = {"use_scale": flags, "use_bias": flags, "use_fast_variance": flags, "dtype": dtypes}
padding = st.sampled_from(["SAME", "VALID", "CIRCULAR"])

# layer → (its options, the shape of its inputs, options of the call)
LAYERS = {
    "Dense": (
        {
            "features": st.integers(1, 4),
            "use_bias": flags,
            "dtype": dtypes,
            "kernel_init": initializers,
        },
        inputs,
        {},
    ),
    "DenseGeneral": (
        {
            "features": st.sampled_from([3, (2, 3), [1, 2]]),
            "axis": st.sampled_from([-1, (-1,), (-2, -1), (1, -1)]),
            "batch_dims": st.sampled_from([(), (), (0,)]),
            "use_bias": flags,
            "dtype": dtypes,
        },
        st.sampled_from([(2, 3, 4), (2, 3, 2, 4)]),
        {},
    ),
    "Einsum": (
        {
            "shape": st.just((4, 2, 3)),
            "einsum_str": st.sampled_from(
                ["...d,dhk->...hk", "abd,dhk->ahbk", "abd,dhk->ak", "x,y"]
            ),
            "use_bias": flags,
        },
        st.just((2, 3, 4)),
        {},
    ),
    "ConvTranspose": (
        {
            "features": st.integers(1, 3),
            "kernel_size": windows(),
            "strides": st.none() | windows(1, 2),
            "padding": padding,
            "kernel_dilation": st.none() | windows(1, 2),
            "use_bias": flags,
            "transpose_kernel": flags,
        },
        st.just((2, 5, 4, 2)),
        {},
    ),
    "ConvLocal": (
        {
            "features": st.integers(1, 3),
            "kernel_size": windows(),
            "strides": windows(1, 2),
            "padding": padding,
            "use_bias": flags,
        },
        st.just((2, 5, 4, 2)),
        {},
    ),
    "BatchNorm": (
        {
            **normalization,
            "axis": st.sampled_from([-1, 1]),
            "momentum": st.sampled_from([0.5, 0.9]),
            "use_running_average": flags,
        },
        st.sampled_from([(4, 4), (3, 4, 4)]),
        {"mask": st.none()},
    ),
    "LayerNorm": (
        {
            **normalization,
            "reduction_axes": st.sampled_from([-1, (-2, -1), (1, 2)]),
            "feature_axes": st.sampled_from([-1, (-2, -1)]),
        },
        st.just((2, 3, 4)),
        {},
    ),
    "RMSNorm": (
        {
            "use_scale": flags,
            "dtype": dtypes,
            "reduction_axes": st.sampled_from([-1, (-2, -1)]),
            "epsilon": st.sampled_from([1e-6, 0.1]),
        },
        inputs,
        {},
    ),
    "GroupNorm": (
        {
            **normalization,
            "num_groups": st.sampled_from([1, 2, 3, 4, None]),
            "group_size": st.none() | st.just(2),
        },
        st.sampled_from([(2, 3, 4), (2, 3, 2, 4)]),
        {},
    ),
    "InstanceNorm": (
        {**normalization, "feature_axes": st.sampled_from([-1, (-2, -1)])},
        st.just((2, 3, 2, 4)),
        {},
    ),
    "Dropout": (
        {
            "rate": st.sampled_from([0.0, 0.3, 0.5, 1.0]),
            "broadcast_dims": st.sampled_from([(), (0,), (-1,), (0, 1)]),
            "deterministic": flags | st.none(),
        },
        inputs,
        {},
    ),
    "PReLU": ({"negative_slope_init": st.sampled_from([0.0, 0.25])}, inputs, {}),
    "MultiHeadDotProductAttention": (
        {
            "num_heads": st.sampled_from([1, 2, 4]),
            "qkv_features": st.sampled_from([None, 8, 6]),
            "out_features": st.sampled_from([None, 3]),
            "dropout_rate": st.sampled_from([0.0, 0.5]),
            "broadcast_dropout": flags,
            "use_bias": flags,
            "normalize_qk": flags,
        },
        st.just((2, 3, 4)),
        {"deterministic": flags},
    ),
}


def resolve(nn, config):
    """Turn the names of initializers into those of a library."""
    return {
        key: getattr(nn.initializers, value)()
        if key.endswith("_init") and isinstance(value, str)
        else value
        for key, value in config.items()
    }


def assert_agree(name, config, shape, call):
    """Compare a layer of one configuration under both libraries."""
    x = draw(0, *shape)
    narrow = config.get("dtype") is not None
    tolerance = TOLERANCE["bfloat16" if narrow else "float32"]

    def init(nn):
        layer = getattr(nn, name)(**resolve(nn, config))
        return jax.jit(lambda rngs, x: layer.init(rngs, x, **call))(RNGS, x)

    ours, theirs = outcome(init, LINNET), outcome(init, FLAX)
    if isinstance(theirs, Raised):
        assert isinstance(ours, Raised), ours
        return False
    compare(ours, theirs, tolerance=0.0, drawn=True)

    def run(nn):
        layer = getattr(nn, name)(**resolve(nn, config))

        def loss(params, x):
            out, changed = layer.apply(
                {**theirs, "params": params}, x, rngs=RNGS, mutable=["batch_stats"], **call
            )
            weights = jnp.cos(jnp.arange(out.size, dtype=jnp.float32)).reshape(out.shape)
            return jnp.sum(jnp.asarray(out, jnp.float32) * weights), (out, changed)

        return jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(theirs.get("params", {}), x)

    (ours_grads, ours_out), (theirs_grads, theirs_out) = run(LINNET), run(FLAX)
    compare(ours_out, theirs_out, "outputs", tolerance=tolerance, drawn=False)
    if not narrow:
        compare(ours_grads, theirs_grads, "grad", tolerance=tolerance, drawn=False, floor=1.0)
    return True


@pytest.mark.parametrize("name", LAYERS)
def test_random_configurations_agree(name):
    """Six configurations of each layer; where Flax refuses one, so do we."""
    options, shapes, call = LAYERS[name]
    worked = []

    @given(config=st.fixed_dictionaries(options), shape=shapes, call=st.fixed_dictionaries(call))
    @settings(
        max_examples=6,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def agree(config, shape, call):
        worked.append(assert_agree(name, config, shape, call))

    agree()
    assert any(worked)


@given(
    shape=st.sampled_from([(2, 6, 5, 3), (6, 5, 3)]),
    window=windows(),
    strides=st.none() | windows(1, 2),
    pad=st.sampled_from(["SAME", "VALID", ((1, 0), (0, 1))]),
    kind=st.sampled_from(["avg_pool", "max_pool", "avg_pool without padding"]),
)
@settings(max_examples=12, derandomize=True, deadline=None, database=None)
def test_random_pools_agree(shape, window, strides, pad, kind):
    """Pools of random windows, strides and padding have Flax's outputs and gradients."""
    x = draw(0, *shape)
    function, more = (kind, {}) if " " not in kind else ("avg_pool", {"count_include_pad": False})

    def run(nn):
        def loss(x):
            out = getattr(nn, function)(x, window, strides=strides, padding=pad, **more)
            return jnp.sum(out * jnp.cos(jnp.arange(float(out.size))).reshape(out.shape)), out

        return jax.jit(jax.grad(loss, has_aux=True))(x)

    ours, theirs = outcome(run, LINNET), outcome(run, FLAX)
    compare(ours, theirs, tolerance=1e-5, drawn=False)


@given(
    indices=st.lists(st.integers(-2, 6), min_size=1, max_size=4),
    features=st.integers(1, 3),
    dtype=dtypes,
)
@settings(max_examples=8, derandomize=True, deadline=None, database=None)
def test_random_embeddings_agree(indices, features, dtype):
    """Tables and rows are Flax's, for indices in range and out of it."""

    def run(nn):
        layer = nn.Embed(5, features, dtype=dtype)
        return layer.init_with_output(RNGS, np.asarray(indices))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = outcome(run, LINNET), outcome(run, FLAX)
    compare(ours, theirs, tolerance=3e-2 if dtype else 1e-5, drawn=False)
