"""`capture_noop`, and the flag of its default: nothing is sown outside of a capture."""

import jax.numpy as jnp
import pytest

from differential.nnx import LIBRARIES, assert_same
from linnet import nnx
from linnet.base.config import config
from versions import NEWEST, since_newest


def configuration(nnx):
    """Return the flags of one library."""
    if nnx is LIBRARIES[1]:
        return config
    from flax import configurations

    return configurations.config


def sown(nnx, **settings):
    """Sow and perturb outside of captures and inside, and return all that shows."""

    class Sower(nnx.Module):
        def __call__(self, x):
            kept = self.sow(nnx.Intermediate, "seen", x, **settings)
            return kept, self.perturb("nudge", 2 * x, **settings)

    x = jnp.ones(2)
    outside, inside = Sower(), Sower()
    result = outside(x)
    captured = [
        nnx.capture(inside, nnx.Intermediate)(x),
        nnx.capture(inside, nnx.Intermediate, nnx.Perturbation)(x),
    ]
    states = [[nnx.to_pure_dict(state) for state in states] for _, *states in captured]
    kept = [name for name in ("seen", "nudge") if hasattr(outside, name)]
    return result, kept, [outputs for outputs, *_ in captured], states


@since_newest
@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("settings", [{}, {"capture_noop": True}, {"capture_noop": False}])
def test_nothing_outside_of_a_capture(flag, settings):
    """The argument comes before the flag, and captures are not affected, as in Flax."""

    def program(nnx):
        flags = configuration(nnx)
        flags.update("nnx_sow_capture_noop", flag)
        try:
            return sown(nnx, **settings)
        finally:
            flags.update("nnx_sow_capture_noop", False)

    assert_same(program)


@pytest.mark.parametrize(
    ("flag", "settings", "kept"),
    [
        (False, {}, True),
        (True, {}, False),
        (False, {"capture_noop": True}, False),
        (True, {"capture_noop": False}, True),
    ],
)
def test_what_is_kept(flag, settings, kept):
    """Values stay on the module unless the argument or the flag says otherwise."""
    with config.temp_flip_flag("nnx_sow_capture_noop", flag):
        (was_kept, value), names, *_ = sown(nnx, **settings)
    assert was_kept is kept
    assert names == (["seen", "nudge"] if kept else [])
    assert value.tolist() == [2.0, 2.0]


def test_the_flag_is_flaxs():
    """It starts as off, as in Flax, where Flax has it."""
    assert config.nnx_sow_capture_noop is False
    assert hasattr(configuration(LIBRARIES[0]), "nnx_sow_capture_noop") is NEWEST
