"""Normalisations against Flax's layers."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import pytest

from differential.compare import assert_close
from differential.functions import assert_same_function, draw, flops
from linnet.ops import normalization, statistics

X = (2, 6, 4)
CASES = [
    {},
    {"dtype": jnp.bfloat16},
    {"use_fast_variance": False},
    {"epsilon": 1e-2},
    {"force_float32_reductions": False},
]
INPUTS = [jnp.float32, jnp.bfloat16]


def applied(layer, **kwargs):
    """Return a layer of Flax as a function of inputs, scale and bias."""

    def apply(x, scale, bias=None):
        params = {"scale": scale} | ({} if bias is None else {"bias": bias})
        return layer.apply({"params": params}, x, **kwargs)

    return apply


@pytest.mark.parametrize("input_dtype", INPUTS)
@pytest.mark.parametrize("case", CASES)
def test_layer_norm_agrees(case, input_dtype):
    """Layer normalisation has Flax's outputs and gradients."""
    assert_same_function(
        lambda *args: normalization.layer_norm(*args, **case),
        applied(fnn.LayerNorm(**case)),
        draw(0, *X, dtype=input_dtype),
        draw(1, 4),
        draw(2, 4),
        computed_in=input_dtype,
    )


@pytest.mark.parametrize(
    "axes", [{"reduction_axes": (1, 2)}, {"reduction_axes": (1, 2), "feature_axes": (1, 2)}]
)
def test_layer_norm_over_several_axes(axes):
    """Reduction and feature axes may be several and differ."""
    layer = fnn.LayerNorm(**axes)
    x = draw(0, *X)
    shape = layer.init(jax.random.key(0), x)["params"]["scale"].shape
    assert_same_function(
        lambda *args: normalization.layer_norm(*args, **axes),
        applied(layer),
        x,
        draw(1, *shape),
        draw(2, *shape),
    )


@pytest.mark.parametrize("input_dtype", INPUTS)
@pytest.mark.parametrize("case", CASES)
def test_rms_norm_agrees(case, input_dtype):
    """Without mean and bias it is Flax's RMS normalisation."""
    assert_same_function(
        lambda x, scale: normalization.layer_norm(x, scale, use_mean=False, **case),
        applied(fnn.RMSNorm(**case)),
        draw(0, *X, dtype=input_dtype),
        draw(1, 4),
        computed_in=input_dtype,
    )


@pytest.mark.parametrize("case", CASES)
def test_group_norm_agrees(case):
    """Group normalisation has Flax's outputs and gradients."""
    assert_same_function(
        lambda *args: normalization.group_norm(*args, num_groups=2, reduction_axes=(1, 2), **case),
        applied(fnn.GroupNorm(2, **case)),
        draw(0, *X),
        draw(1, 4),
        draw(2, 4),
    )


def test_group_norm_of_each_position():
    """Reduction over the features alone keeps the spatial axes apart."""
    assert_same_function(
        lambda *args: normalization.group_norm(*args, num_groups=2, reduction_axes=(-1,)),
        applied(fnn.GroupNorm(2, reduction_axes=(-1,))),
        draw(0, 2, 3, 8),
        draw(1, 8),
        draw(2, 8),
    )


def test_instance_norm_agrees():
    """Reduction over the spatial axes alone is Flax's instance normalisation."""
    assert_same_function(
        lambda *args: normalization.layer_norm(*args, reduction_axes=(1,)),
        applied(fnn.InstanceNorm()),
        draw(0, *X),
        draw(1, 4),
        draw(2, 4),
    )


@pytest.mark.parametrize("input_dtype", INPUTS)
@pytest.mark.parametrize("case", [*CASES, {"axis": 1}])
def test_batch_norm_agrees(case, input_dtype):
    """Batch normalisation has Flax's outputs and moves the running statistics as Flax does."""
    x = draw(0, *X, dtype=input_dtype)
    size = x.shape[case.get("axis", -1)]
    running = (draw(3, size), jnp.abs(draw(4, size)))
    scale, bias = draw(1, size), draw(2, size)
    theirs, moved = fnn.BatchNorm(use_running_average=False, momentum=0.9, **case).apply(
        {
            "params": {"scale": scale, "bias": bias},
            "batch_stats": {"mean": running[0], "var": running[1]},
        },
        x,
        mutable=["batch_stats"],
    )
    mine = {**case, "axis": (case.get("axis", -1),)}
    ours, kept = normalization.batch_norm(x, running, scale, bias, momentum=0.9, **mine)
    assert_close(ours, theirs, input_dtype)
    assert_close(kept, (moved["batch_stats"]["mean"], moved["batch_stats"]["var"]), input_dtype)


def test_batch_norm_by_running_statistics_agrees():
    """At inference the given statistics normalise."""
    x, scale, bias, mean, var = (
        draw(0, *X),
        draw(1, 4),
        draw(2, 4),
        draw(3, 4),
        jnp.abs(draw(4, 4)),
    )
    layer = fnn.BatchNorm(use_running_average=True)
    assert_same_function(
        lambda x, mean, var, scale, bias: statistics.normalize(
            x, mean, var, scale, bias, reduction_axes=(0, 1), feature_axes=(2,), epsilon=1e-5
        ),
        lambda x, mean, var, scale, bias: layer.apply(
            {
                "params": {"scale": scale, "bias": bias},
                "batch_stats": {"mean": mean, "var": var},
            },
            x,
        ),
        x,
        mean,
        var,
        scale,
        bias,
    )


MASK = jnp.arange(12).reshape(2, 6, 1) % 3 > 0


@pytest.mark.parametrize(
    ("ours", "layer"),
    [
        (normalization.layer_norm, fnn.LayerNorm()),
        (
            lambda x, s, b, m: normalization.layer_norm(x, s, b, m, reduction_axes=(1,)),
            fnn.InstanceNorm(),
        ),
        (
            lambda x, s, b, m: normalization.group_norm(
                x, s, b, m, num_groups=2, reduction_axes=(1, 2)
            ),
            fnn.GroupNorm(2),
        ),
    ],
    ids=["layer", "instance", "group"],
)
def test_masks_agree(ours, layer):
    """Masked elements do not count in the statistics, as in Flax."""
    mask = jnp.broadcast_to(MASK, X)
    args = draw(0, *X), draw(1, 4), draw(2, 4)
    # a row with every element masked has no statistics: both give nan there
    assert_close(ours(*args, mask), applied(layer, mask=mask)(*args))


def test_moments_over_a_mapped_axis():
    """With an axis name the statistics are those of all the mapped examples, one collective."""
    x = draw(0, 3, 5, 4)
    mean, var = jax.vmap(
        lambda x: statistics.moments(x, axes=(0,), axis_name="batch"), axis_name="batch"
    )(x)
    assert_close(mean[0], x.mean((0, 1)))
    assert_close(var[0], x.var((0, 1)))
    collectives = str(
        jax.make_jaxpr(
            jax.vmap(
                lambda x: statistics.moments(x, axes=(0,), axis_name="batch"),
                axis_name="batch",
            )
        )(x)
    )
    assert collectives.count("psum") <= 1


def test_complex_moments():
    """The variance of complex numbers is real."""
    x = (draw(0, 8) + 1j * draw(1, 8)).astype(jnp.complex64)
    _, var = statistics.moments(x, axes=(0,))
    assert jnp.isrealobj(var)
    assert_close(var, jnp.var(x))


@pytest.mark.parametrize(
    ("ours", "layer"),
    [
        (normalization.layer_norm, fnn.LayerNorm()),
        (lambda x, s, b: normalization.layer_norm(x, s, use_mean=False), fnn.RMSNorm()),
        (
            lambda x, s, b: normalization.group_norm(x, s, b, num_groups=2, reduction_axes=(1, 2)),
            fnn.GroupNorm(2),
        ),
    ],
    ids=["layer", "rms", "group"],
)
def test_flops_are_flax_s(ours, layer):
    """The cost that tabulate prints is that of Flax's layer."""
    args = draw(0, *X), draw(1, 4), draw(2, 4)
    theirs = applied(layer)
    if isinstance(layer, fnn.RMSNorm):
        assert flops(ours, *args) == flops(theirs, *args[:2])
    else:
        assert flops(ours, *args) == flops(theirs, *args)


def test_batch_norm_flops_are_flax_s():
    """The cost of training with batch normalisation is that of Flax's layer."""
    x, scale, bias = draw(0, *X), draw(1, 4), draw(2, 4)
    layer = fnn.BatchNorm(use_running_average=False)
    variables = layer.init(jax.random.key(0), x)

    def ours(x, mean, var, scale, bias):
        return normalization.batch_norm(x, (mean, var), scale, bias, momentum=0.99)

    def theirs(variables, x):
        return layer.apply(variables, x, mutable=["batch_stats"])

    assert flops(ours, x, scale, bias, scale, bias) == flops(theirs, variables, x)
