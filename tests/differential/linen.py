"""Linen under Flax and under Linnet: programs, and layers with their variables and gradients."""

from typing import Any

import flax.linen
import jax
import jax.numpy as jnp

import linnet.linen
from differential import programs
from differential.compare import assert_close, compare
from differential.functions import weighed

FLAX = flax.linen
LINNET = linnet.linen
RNGS = {"params": jax.random.key(3), "dropout": jax.random.key(4)}


def assert_same(
    program: Any,
    *,
    tolerance: float = 1e-5,
    drawn: bool = False,
    libraries: tuple[Any, Any] = (FLAX, LINNET),
) -> Any:
    """Check that a program does the same under both libraries; see `programs.assert_same`."""
    return programs.assert_same(program, libraries=libraries, tolerance=tolerance, drawn=drawn)


def shapes(tree):
    """Replace the arrays of a tree by their shapes."""
    return jax.tree.map(jnp.shape, tree)


def both(name, *args, **kwargs):
    """Make a layer of each library, ours first."""
    return tuple(getattr(nn, name)(*args, **kwargs) for nn in (LINNET, FLAX))


def assert_same_variables(ours, theirs):
    """Check names and their order, shapes and dtypes exactly, values to `DRAWN_ULP`."""
    compare(ours, theirs, tolerance=0.0, drawn=True)


def assert_same_layer(layers, *inputs, grad=True, computed_in=None, **call):
    """Check that two layers initialise, compute, update and differentiate alike.

    Args:
      layers: ours and Flax's.
      *inputs: what they are called with.
      grad: whether to compare gradients, by the parameters and the inputs that are real.
      computed_in: the narrowest dtype of the computation.
      **call: keyword arguments of the call.

    Returns:
      The variables.
    """
    ours, theirs = layers
    variables = theirs.init(RNGS, *inputs, **call)
    assert_same_variables(ours.init(RNGS, *inputs, **call), variables)
    run = {"rngs": RNGS, "mutable": ["batch_stats", "cache", "intermediates"], **call}
    assert_close(
        ours.apply(variables, *inputs, **run), theirs.apply(variables, *inputs, **run), computed_in
    )
    if not grad:
        return variables
    rest = {name: value for name, value in variables.items() if name != "params"}
    real = tuple(place for place, x in enumerate(inputs) if jnp.issubdtype(x.dtype, jnp.floating))

    def gradients(layer):
        def loss(params, *inputs):
            return weighed(layer.apply({"params": params, **rest}, *inputs, **run)[0])

        places = (0, *(place + 1 for place in real))
        return jax.jit(jax.grad(loss, argnums=places))(variables.get("params", {}), *inputs)

    assert_close(gradients(ours), gradients(theirs), computed_in)
    return variables
