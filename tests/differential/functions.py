"""An op against the Flax layer that computes the same: values, gradients, operations."""

import jax
import jax.numpy as jnp
import numpy as np

from differential.compare import assert_close


def draw(seed, *shape, dtype=jnp.float32):
    """Return normal numbers."""
    numbers = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(numbers, dtype)


def weighed(outputs):
    """Reduce outputs to a number in which each has a weight of its own."""
    outputs = jnp.asarray(outputs, jnp.float32)
    return jnp.sum(outputs * jnp.linspace(-1.0, 1.0, outputs.size).reshape(outputs.shape))


def assert_same_function(ours, theirs, *args, computed_in=None):
    """Check that two functions agree in value and in the gradient by every real argument."""
    assert_close(ours(*args), theirs(*args), computed_in)
    real = tuple(
        place
        for place, arg in enumerate(args)
        if arg is not None and jnp.issubdtype(jnp.asarray(arg).dtype, jnp.floating)
    )
    if not real:
        return

    def gradients(function):
        return jax.grad(lambda *args: weighed(function(*args)), argnums=real)(*args)

    assert_close(gradients(ours), gradients(theirs), computed_in)


def flops(function, *args):
    """Count the floating point operations of a function, as tabulate does."""
    return jax.jit(function).lower(*args).cost_analysis()["flops"]
