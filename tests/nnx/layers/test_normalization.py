"""Layers that normalise: parameters, statistics, outputs and gradients as in Flax."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.compare import TOLERANCE
from differential.functions import draw
from differential.nnx import assert_same, assert_same_layer, variables_of
from linnet import nnx
from linnet.base import errors

X = 3 * draw(0, 2, 5, 4) + 1
BF16 = {"dtype": jnp.bfloat16}
MASK = jnp.array([[1, 1, 0, 1, 1], [1, 0, 1, 1, 0]], bool)[..., None]


def recorded(args, **kwargs):
    """Stand in the place of ``promote_dtype``."""
    del kwargs
    return tuple(None if x is None else x.astype(jnp.float32) * 2 for x in args)


def drawn(key, shape, dtype):
    """Draw factors that are not all one."""
    return jax.random.uniform(key, shape, dtype) + 1


SETTINGS = {
    "plain": ({}, X),
    "drawn": ({"scale_init": drawn, "bias_init": drawn}, X),
    "no scale": ({"use_scale": False}, X),
    "no bias": ({"use_bias": False}, X),
    "neither": ({"use_scale": False, "use_bias": False}, X),
    "bfloat16": (BF16, X),
    "bfloat16 inputs": ({}, X.astype(jnp.bfloat16)),
    "bfloat16 inputs alone": (
        {"use_scale": False, "use_bias": False},
        X.astype(jnp.bfloat16),
    ),
    "bfloat16 parameters": ({"param_dtype": jnp.bfloat16}, X),
    "two passes": ({"use_fast_variance": False}, X),
    "epsilon": ({"epsilon": 0.1}, X),
    "promote_dtype": ({"promote_dtype": recorded}, X),
    "metadata": ({"scale_metadata": {"a": 1}}, X),
    "integers": ({}, jnp.arange(40).reshape(2, 5, 4)),
}
LAYERS = ("BatchNorm", "LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm")


def tolerance_of(settings, x):
    """Return the tolerance of the narrowest dtype at work."""
    narrow = [settings.get("dtype"), settings.get("param_dtype"), x.dtype]
    return TOLERANCE["bfloat16"] if jnp.bfloat16 in narrow else 1e-5


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("settings", "x"), SETTINGS.values(), ids=SETTINGS)
def test_settings(name, settings, x):
    """Every layer is made, computes and is differentiated as in Flax, with every setting."""
    if name == "RMSNorm":
        settings = {key: value for key, value in settings.items() if "bias" not in key}
    if name == "GroupNorm":
        settings = {"num_groups": 2, **settings}
    assert_same_layer(
        lambda nnx, rngs: getattr(nnx, name)(4, rngs=rngs, **settings),
        x,
        tolerance=tolerance_of(settings, x),
        grad="integers" not in settings,
    )


@pytest.mark.parametrize("name", ["BatchNorm", "LayerNorm", "RMSNorm", "InstanceNorm"])
def test_masks(name):
    """Statistics are taken of the elements that a mask lets count."""
    assert_same_layer(
        lambda nnx, rngs: getattr(nnx, name)(4, rngs=rngs),
        X,
        call=lambda layer, x: layer(x, mask=MASK),
    )


AXES = {
    "layer: two axes": lambda nnx, rngs: nnx.LayerNorm(
        20, reduction_axes=(-2, -1), feature_axes=(-2, -1), rngs=rngs
    ),
    "layer: other features": lambda nnx, rngs: nnx.LayerNorm(
        5, reduction_axes=-1, feature_axes=1, rngs=rngs
    ),
    "rms: two axes": lambda nnx, rngs: nnx.RMSNorm(4, reduction_axes=(1, 2), rngs=rngs),
    "batch: first": lambda nnx, rngs: nnx.BatchNorm(2, axis=0, rngs=rngs),
    "batch: middle": lambda nnx, rngs: nnx.BatchNorm(5, axis=1, rngs=rngs),
    "batch: momentum": lambda nnx, rngs: nnx.BatchNorm(4, momentum=0.5, rngs=rngs),
    "group: size": lambda nnx, rngs: nnx.GroupNorm(4, None, 2, rngs=rngs),
    "group: all axes": lambda nnx, rngs: nnx.GroupNorm(4, 2, reduction_axes=(1, 2), rngs=rngs),
    "instance: features": lambda nnx, rngs: nnx.InstanceNorm(5, feature_axes=1, rngs=rngs),
}


@pytest.mark.parametrize("make", AXES.values(), ids=AXES)
def test_axes(make):
    """Other axes, groups and momenta give what they give in Flax."""
    assert_same_layer(make, X)


@pytest.mark.parametrize("axes", [(-1,), (1, -1)])
def test_groups_with_fewer_axes(axes):
    """Each position that keeps its own statistics gets them.

    Flax's Linen does, too; its NNX gives each the statistics of another group, or place.
    """
    x = draw(1, 2, 3, 5, 6)
    theirs = flax.linen.GroupNorm(2, reduction_axes=axes)
    expected = theirs.apply(theirs.init(jax.random.key(0), x), x)
    ours = nnx.GroupNorm(6, 2, reduction_axes=axes, rngs=nnx.Rngs(0))(x)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, BF16, {"use_scale": False, "use_bias": False}], ids=repr)
@pytest.mark.parametrize("x", [X, X.astype(jnp.bfloat16)], ids=["float32", "bfloat16"])
def test_batch_norm_over_time(settings, x):
    """Running statistics move as in Flax, and are used in evaluation, however that is asked for."""

    def program(nnx):
        layer = nnx.BatchNorm(4, rngs=nnx.Rngs(0), **settings)
        outputs = [layer(x), layer(2 * x), layer(x, use_running_average=True)]
        layer.set_view(use_running_average=True)
        outputs.append(layer(x))
        layer.set_view()
        return outputs, layer.use_running_average, variables_of(nnx, layer)

    assert_same(program, tolerance=tolerance_of(settings, x))


def test_statistics_over_devices():
    """With an axis name the statistics are those of all the mapped examples."""

    def program(nnx):
        def run(x):
            layer = nnx.LayerNorm(4, axis_name="batch", rngs=nnx.Rngs(0))
            batch = nnx.BatchNorm(4, axis_name="batch", rngs=nnx.Rngs(0))
            return layer(x), batch(x), batch.mean[...]

        return jax.vmap(run, axis_name="batch")(X)

    assert_same(program)


WRONG = {
    "undecided": lambda nnx: nnx.BatchNorm(4, use_running_average=None, rngs=nnx.Rngs(0))(X),
    "batch": lambda nnx: nnx.BatchNorm(3, rngs=nnx.Rngs(0))(X),
    "batch without scale": lambda nnx: nnx.BatchNorm(
        3, use_scale=False, use_bias=False, rngs=nnx.Rngs(0)
    )(X),
    "layer": lambda nnx: nnx.LayerNorm(3, rngs=nnx.Rngs(0))(X),
    "group": lambda nnx: nnx.GroupNorm(6, 2, rngs=nnx.Rngs(0))(X),
    "groups": lambda nnx: nnx.GroupNorm(6, 4, rngs=nnx.Rngs(0)),
    "both": lambda nnx: nnx.GroupNorm(6, 2, 3, rngs=nnx.Rngs(0)),
    "neither": lambda nnx: nnx.GroupNorm(6, None, None, rngs=nnx.Rngs(0)),
    "size": lambda nnx: nnx.GroupNorm(6, None, 4, rngs=nnx.Rngs(0)),
    "no rngs": lambda nnx: nnx.LayerNorm(4),
    "rngs of None": lambda nnx: nnx.LayerNorm(4, rngs=None),
    "view": lambda nnx: nnx.BatchNorm(4, rngs=nnx.Rngs(0)).set_view(deterministic=True),
}


@pytest.mark.parametrize("program", WRONG.values(), ids=WRONG)
def test_mistakes_are_errors_of_the_same_class(program):
    """What Flax refuses is refused, by a class that is caught as Flax's is."""
    assert_same(program)


def test_mistakes_are_told():
    """Messages name the three ways to decide, and the shapes that do not fit."""
    with pytest.raises(errors.UndecidedModeError) as caught:
        WRONG["undecided"](nnx)
    for way in ("BatchNorm(..., use_running_average=", "layer(x, use_r", "nnx.view(model, use_r"):
        assert way in str(caught.value)
    for name in ("batch", "layer", "batch without scale"):
        with pytest.raises(errors.ShapeMismatchError, match=r"shape \(2, 5, 4\).*shape \(3,\)"):
            WRONG[name](nnx)
    with pytest.raises(ValueError, match="num_groups=4 does not divide the 6"):
        WRONG["groups"](nnx)
