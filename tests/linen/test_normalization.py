"""Normalisation layers under Flax and under Linnet."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import pytest

import linnet.linen as nn
from differential.compare import assert_close
from differential.functions import draw
from differential.linen import RNGS, assert_same_layer, both

X = (2, 5, 8)
CASES = [
    ("LayerNorm", {}),
    ("LayerNorm", {"use_bias": False, "use_scale": False}),
    ("LayerNorm", {"reduction_axes": (1, 2), "feature_axes": (-1, 1)}),
    ("LayerNorm", {"dtype": jnp.bfloat16, "use_fast_variance": False}),
    ("RMSNorm", {}),
    ("RMSNorm", {"dtype": jnp.bfloat16, "param_dtype": jnp.bfloat16}),
    ("GroupNorm", {"num_groups": 2}),
    ("GroupNorm", {"num_groups": None, "group_size": 4, "use_scale": False}),
    ("GroupNorm", {"num_groups": 2, "reduction_axes": [-1]}),
    ("InstanceNorm", {}),
    ("InstanceNorm", {"feature_axes": (1, 2)}),
    ("BatchNorm", {"use_running_average": False}),
    ("BatchNorm", {"use_running_average": True}),
    ("BatchNorm", {"use_running_average": False, "axis": 1, "momentum": 0.5}),
    ("BatchNorm", {"use_running_average": False, "axis": (1, 2), "use_bias": False}),
    ("BatchNorm", {"use_running_average": False, "dtype": jnp.bfloat16}),
]


@pytest.mark.parametrize(("name", "config"), CASES)
def test_layers_agree(name, config):
    """Variables, outputs, running statistics and gradients are Flax's."""
    # with every position alone there is nothing to normalise: the gradient is rounding
    grad = config.get("feature_axes") != (1, 2)
    assert_same_layer(both(name, **config), draw(0, *X), grad=grad, computed_in=config.get("dtype"))


@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm", "BatchNorm"])
def test_masks_agree(name):
    """Masked elements do not count, as in Flax."""
    config = {"GroupNorm": {"num_groups": 2}, "BatchNorm": {"use_running_average": False}}
    mask = draw(1, *X) > -0.5
    assert_same_layer(both(name, **config.get(name, {})), draw(0, *X), grad=False, mask=mask)


def test_statistics_over_a_mapped_axis():
    """With an axis name, batch statistics are those of all mapped examples, as in Flax."""
    ours, theirs = both("BatchNorm", use_running_average=False, axis_name="batch")
    x = draw(0, 3, 4, 2)
    variables = theirs.init(RNGS, x[0])
    mapped = (
        jax.vmap(
            lambda x, layer=layer: layer.apply(variables, x, mutable=["batch_stats"]),
            axis_name="batch",
        )(x)
        for layer in (ours, theirs)
    )
    assert_close(*mapped)


def test_training_then_inference():
    """A few steps of training leave Flax's running statistics, and inference uses them."""
    ours, theirs = both("BatchNorm")
    x = draw(0, 4, 3)
    kept = [theirs.init(RNGS, x, use_running_average=False)] * 2
    for step in range(3):
        batch = draw(step, 4, 3)
        for place, layer in enumerate((ours, theirs)):
            _, moved = layer.apply(
                kept[place], batch, use_running_average=False, mutable=["batch_stats"]
            )
            kept[place] = {**kept[place], **moved}
    assert_close(*kept)
    assert_close(
        ours.apply(kept[0], x, use_running_average=True),
        theirs.apply(kept[1], x, use_running_average=True),
    )


ERRORS = [
    (lambda nn: nn.BatchNorm().init(RNGS, jnp.ones((2, 3))), "use_running_average"),
    (
        lambda nn: nn.BatchNorm(use_running_average=True).init(RNGS, jnp.ones((2, 3)), True),
        "use_running_average",
    ),
    (lambda nn: nn.GroupNorm().init(RNGS, jnp.ones((2, 6))), r"num_groups=6\."),
    (lambda nn: nn.GroupNorm(2, group_size=2).init(RNGS, jnp.ones((2, 6))), "exactly one"),
    (lambda nn: nn.GroupNorm(None, 4).init(RNGS, jnp.ones((2, 6))), "divisor of 6"),
    (
        lambda nn: nn.GroupNorm(2, reduction_axes=(0,)).init(RNGS, jnp.ones((2, 6))),
        "Add -1",
    ),
    (lambda nn: nn.InstanceNorm(feature_axes=0).init(RNGS, jnp.ones((2, 6))), "first axis"),
]


@pytest.mark.parametrize(("program", "words"), ERRORS)
def test_errors_say_what_to_write(program, words):
    """Settings that do not fit are refused with Flax's class and a way out."""
    with pytest.raises(ValueError, match=words):
        program(nn)
    with pytest.raises(ValueError):  # noqa: PT011  the words are ours
        program(fnn)


def test_statistics_must_be_mutable():
    """Training without mutable batch_stats is an error of one name in both libraries."""
    x = draw(0, 4, 3)
    for layer in both("BatchNorm", use_running_average=False):
        variables = layer.init(RNGS, x)
        with pytest.raises(Exception, match="batch_stats") as caught:
            layer.apply(variables, x)
        assert type(caught.value).__name__ == "ModifyScopeVariableError"
