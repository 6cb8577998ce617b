"""How close is close: comparisons between an op and the Flax layer that computes the same."""

import jax
import jax.numpy as jnp
import numpy as np

# relative to the largest element: float32 as the design asks; bfloat16 has 8 bits, and a layer
# rounds a handful of times
TOLERANCE = {"float32": 1e-5, "bfloat16": 3e-2, "float16": 4e-3, "complex64": 1e-5}


def assert_close(ours, theirs, computed_in=None):
    """Check that two trees agree in structure, shape, dtype and value.

    What was computed in a narrow dtype is compared by that dtype's tolerance, whatever dtype the
    result has: within one compiled function XLA may keep more bits than were asked for.
    """
    ours, theirs = (jax.tree.map(jnp.asarray, tree) for tree in (ours, theirs))
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        if not jnp.issubdtype(one.dtype, jnp.inexact):
            np.testing.assert_array_equal(one, other)
            continue
        names = [one.dtype.name] + ([] if computed_in is None else [jnp.dtype(computed_in).name])
        tolerance = max(TOLERANCE[name] for name in names)
        wide = np.complex128 if jnp.iscomplexobj(one) else np.float64
        one, other = np.asarray(one).astype(wide), np.asarray(other).astype(wide)
        finite = np.abs(other[np.isfinite(other)])
        scale = finite.max() if finite.size else 1.0
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)


def assert_same_function(ours, theirs, *args, computed_in=None):
    """Check that two functions agree in value and in the gradient by every real argument."""
    assert_close(ours(*args), theirs(*args), computed_in)
    real = [
        place
        for place, arg in enumerate(args)
        if arg is not None and jnp.issubdtype(jnp.asarray(arg).dtype, jnp.floating)
    ]
    if not real:
        return

    def weighed(function):
        def total(*args):
            out = jnp.asarray(function(*args), jnp.float32)
            weights = jnp.linspace(-1.0, 1.0, out.size).reshape(out.shape)
            return jnp.sum(out * weights)

        return jax.grad(total, argnums=tuple(real))

    assert_close(weighed(ours)(*args), weighed(theirs)(*args), computed_in)


def flops(function, *args):
    """Count the floating point operations of a function, as tabulate does."""
    return jax.jit(function).lower(*args).cost_analysis()["flops"]


def draw(seed, *shape, dtype=jnp.float32):
    """Return normal numbers."""
    numbers = np.random.default_rng(seed).normal(size=shape)
    return jnp.asarray(numbers, dtype)
