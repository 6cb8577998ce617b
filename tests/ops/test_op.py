"""What an op promises: one trace for each configuration, none for hooks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linnet.ops.axes import from_front, per_axis
from linnet.ops.linear import dense
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


def test_a_hook_that_does_what_the_body_does():
    """The usual callable in the place of a piece is no hook: the compiled op runs."""
    ran = []

    @op(hooks={"piece": jnp.sin})
    def applied(x, *, piece=None):
        ran.append((isinstance(x, jax.core.Tracer), piece))
        return (piece or jnp.sin)(x)

    assert applied(1.0, piece=jnp.sin) == applied(1.0, piece=None) == applied(1.0)
    assert ran == [(True, None)]
    assert applied(1.0, piece=jnp.cos) == jnp.cos(1.0)
    assert ran[1:] == [(False, jnp.cos)]


def test_configuration_that_does_not_hash():
    """With an array, a list or a tracer for configuration the plain body runs."""

    @op(static=["power"])
    def raised(x, *, power):
        return x ** jnp.asarray(power)

    def by(power):
        return raised(jnp.full(2, 3.0), power=power)

    for power in (2, np.float32(2), np.array(2), jnp.array(2), [2, 2]):
        assert by(power).tolist() == [9.0, 9.0]
    assert jax.jit(by)(2.0).tolist() == [9.0, 9.0]
    assert jax.vmap(by)(jnp.array([1.0, 2.0])).tolist() == [[3.0, 3.0], [9.0, 9.0]]


def test_an_error_of_the_body_stays_what_it_is():
    """A mistake in hashable configuration is told once, and the body is not run again."""
    ran = []

    @op(static=["size"])
    def refused(x, *, size):
        ran.append(size)
        raise ValueError("no such size")

    with pytest.raises(ValueError, match="no such size"):
        refused(jnp.ones(2), size=3)
    assert ran == [3]


def test_the_hook_of_the_dtypes_is_called_first():
    """A hook that brings the arguments to one dtype is called as they are; the rest is compiled."""
    ran = []

    @op(static=["shift"], hooks=["piece", "promote_dtype"], promotes=2)
    def added(x, y, z=0, *, shift=0, piece=None, promote_dtype=None):
        x, y = promote_dtype(x, y, dtype=None)
        ran.append(isinstance(x, jax.core.Tracer))
        return (piece or jnp.add)(x, y) + z + shift

    def halved(x, y, dtype):
        assert not isinstance(x, jax.core.Tracer)
        assert dtype is None
        return x / 2, jnp.asarray(y / 2)

    def other(x, y, dtype):
        return x / 4, jnp.asarray(y / 4)

    two = jnp.array(2.0)
    assert added(two, 4.0, 1, shift=10, promote_dtype=halved) == 14.0
    assert added(two, 4.0, 1, shift=10, promote_dtype=other) == 12.5
    assert ran == [True]
    assert added(two, 4.0, piece=jnp.subtract, promote_dtype=halved) == -1.0
    assert added(2.0, 4.0, promote_dtype=lambda x, y, dtype: (x, y)) == 6.0
    assert ran == [True, False, False]


@pytest.mark.parametrize("kernel", [{}, {"bias": jnp.ones(2)}], ids=["alone", "with a bias"])
def test_an_array_that_is_none(kernel):
    """Is told by name, by the op that needs it; what may be left out may be ``None``."""
    with pytest.raises(TypeError, match="dense was given None for kernel, which has to be an arr"):
        dense(jnp.ones((1, 2)), None, **kernel)
    with pytest.raises(TypeError, match="None for inputs"):
        dense(None, jnp.ones((2, 2)))
    assert dense(jnp.ones((1, 2)), jnp.ones((2, 2)), None).tolist() == [[2.0, 2.0]]
