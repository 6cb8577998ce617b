"""What an op promises: one trace for each configuration, none for hooks."""

import jax
import jax.numpy as jnp
import pytest

from linnet.ops.axes import from_front, per_axis
from linnet.ops.op import op


def test_one_trace_for_each_configuration():
    """Calls of one configuration and shape share a trace."""
    traced = []

    @op(static=["power"])
    def raised(x, *, power):
        traced.append(power)
        return x**power

    for _ in range(3):
        raised(jnp.ones(2), power=2)
    raised(jnp.ones(2), power=3)
    raised(jnp.ones(3), power=3)
    assert traced == [2, 3, 3]


def test_hooks_never_enter_the_cache():
    """With a hook the body runs as it is; with None for the hook the compiled one does."""
    ran = []

    @op(hooks=["hook"])
    def applied(x, *, hook=None):
        """Apply a hook."""
        ran.append(isinstance(x, jax.core.Tracer))
        return x if hook is None else hook(x)

    applied(1.0)
    applied(1.0, hook=None)
    assert ran == [True]
    for shift in range(3):
        assert applied(1.0, hook=lambda x, shift=shift: x + shift) == 1.0 + shift
    assert ran == [True, False, False, False]
    assert applied.__name__ == "applied"
    assert applied.__doc__ == "Apply a hook."


def test_axis_that_does_not_exist():
    """An axis outside the array is refused with the range of those inside."""
    with pytest.raises(ValueError, match="between -2 and 1"):
        from_front((0, 2), 2)


def test_setting_of_another_length():
    """A setting for another number of axes is refused by name."""
    with pytest.raises(ValueError, match=r"strides=\(1, 2\) has 2 entries"):
        per_axis((1, 2), 3, "strides")
