"""Convolutions against Flax's layers."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import pytest

from differential.functions import assert_same_function, draw, flops
from linnet.ops import convolution
from linnet.ops.axes import per_axis

CASES = [
    ((2, 8, 3), {"kernel_size": (3,)}),
    ((2, 8, 3), {"kernel_size": (3,), "padding": "VALID", "strides": 2}),
    ((2, 8, 3), {"kernel_size": (4,), "padding": "CIRCULAR", "kernel_dilation": 2}),
    ((2, 8, 3), {"kernel_size": (4,), "padding": "REFLECT"}),
    ((2, 8, 3), {"kernel_size": (3,), "padding": "CAUSAL", "kernel_dilation": 2}),
    ((2, 8, 3), {"kernel_size": (3,), "padding": 2}),
    ((2, 6, 7, 3), {"kernel_size": (3, 2), "padding": "SAME", "strides": (2, 1)}),
    ((2, 6, 7, 3), {"kernel_size": (3, 2), "padding": (1, (0, 2))}),
    ((2, 6, 7, 3), {"kernel_size": (3, 2), "padding": "CIRCULAR", "strides": (2, 3)}),
    ((2, 6, 7, 3), {"kernel_size": (3, 3), "padding": "REFLECT"}),
    ((2, 6, 7, 3), {"kernel_size": (2, 2), "padding": 1, "input_dilation": 2}),
    ((6, 7, 3), {"kernel_size": (3, 3)}),
    ((2, 3, 6, 3), {"kernel_size": (3,)}),
    ((2, 6, 4), {"kernel_size": (3,), "feature_group_count": 2}),
    ((2, 6, 3), {"kernel_size": (3,), "dtype": jnp.bfloat16}),
    ((2, 6, 3), {"kernel_size": (3,), "use_bias": False}),
]


def settings_of(case):
    """Return what a layer would pass to the op."""
    rank = len(case["kernel_size"])
    return {
        "padding": convolution.canonicalize_padding(case.get("padding", "SAME"), rank),
        **{
            name: per_axis(case.get(name), rank, name)
            for name in ("strides", "input_dilation", "kernel_dilation")
        },
        **{name: case[name] for name in ("feature_group_count", "dtype") if name in case},
    }


# a local convolution has no feature groups, in JAX as in Flax
LOCAL = [(*case, True) for case in CASES if "feature_group_count" not in case[1]]


@pytest.mark.parametrize(("shape", "case", "local"), [(*case, False) for case in CASES] + LOCAL)
def test_conv_agrees(shape, case, local):
    """Every padding, stride, dilation, group and batch shape gives Flax's outputs and gradients."""
    layer = (fnn.ConvLocal if local else fnn.Conv)(4, **case)
    x = draw(0, *shape)
    params = layer.init(jax.random.key(0), x)["params"]
    bias = draw(1, *params["bias"].shape) if "bias" in params else None
    given = settings_of(case)

    def ours(x, kernel, bias):
        if local:
            return convolution.conv_local(x, kernel, bias, kernel_size=case["kernel_size"], **given)
        return convolution.conv(x, kernel, bias, **given)

    def theirs(x, kernel, bias):
        params = {"kernel": kernel} | ({} if bias is None else {"bias": bias})
        return layer.apply({"params": params}, x)

    if local:
        rank = len(case["kernel_size"])
        positions = convolution.conv_local_positions(
            shape[-rank - 1 : -1],
            case["kernel_size"],
            **{name: value for name, value in given.items() if name != "dtype"},
        )
        assert positions == params["kernel"].shape[:-2]
    assert_same_function(ours, theirs, x, params["kernel"], bias, computed_in=case.get("dtype"))


def test_mask_multiplies_the_kernel():
    """A masked kernel is the kernel times the mask, as in Flax."""
    x, kernel = draw(0, 2, 6, 3), draw(1, 3, 3, 4)
    mask = (draw(2, 3, 3, 4) > 0).astype(jnp.float32)
    layer = fnn.Conv(4, (3,), use_bias=False, mask=mask)
    given = settings_of({"kernel_size": (3,)})
    assert_same_function(
        lambda x, kernel: convolution.conv(x, kernel, mask=mask, **given),
        lambda x, kernel: layer.apply({"params": {"kernel": kernel}}, x),
        x,
        kernel,
    )


def test_hook_gets_flax_s_arguments():
    """A custom convolution is called as Flax calls it."""
    seen = []

    def conv(*args, **kwargs):
        seen.append((len(args), sorted(kwargs)))
        return jax.lax.conv_general_dilated(*args, **kwargs)

    x, kernel = draw(0, 2, 6, 3), draw(1, 3, 3, 4)
    given = settings_of({"kernel_size": (3,)})
    convolution.conv(x, kernel, conv_general_dilated=conv, **given)
    fnn.Conv(4, (3,), use_bias=False, conv_general_dilated=conv).apply(
        {"params": {"kernel": kernel}}, x
    )
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: convolution.canonicalize_padding(((1, 1),), 2), "2 spatial axes"),
        (lambda: convolution.canonicalize_padding(((1, 1, 1), 2), 2), "pairs"),
        (lambda: convolution.check_conv((8,), (3, 3, 4), None), r"inputs\[\.\.\., None\]"),
        (lambda: convolution.check_conv((2, 8, 3), (3, 3, 4), (3, 3)), "broadcast_to"),
        (
            lambda: convolution.pad_borders(jnp.ones((1, 4, 4, 1)), "CAUSAL", (2, 2), (1, 1)),
            "order of time",
        ),
    ],
)
def test_errors_say_what_to_write(call, words):
    """A padding, kernel or mask that does not fit is a ValueError that names the way out."""
    with pytest.raises(ValueError, match=words):
        call()


def test_flops_are_flax_s():
    """The cost that tabulate prints is that of Flax's layer."""
    x, kernel, bias = draw(0, 2, 6, 6, 3), draw(1, 3, 3, 3, 4), draw(2, 4)
    given = settings_of({"kernel_size": (3, 3)})
    ours = flops(lambda x, k, b: convolution.conv(x, k, b, **given), x, kernel, bias)
    params = {"params": {"kernel": kernel, "bias": bias}}
    assert ours == flops(fnn.Conv(4, (3, 3)).apply, params, x)
