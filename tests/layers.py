"""One layer under Flax and under Linnet: variables from one seed, outputs, updates, gradients."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np

import linnet.linen
from agreement import assert_close
from versions import DRAWN_ULP

RNGS = {"params": jax.random.key(3), "dropout": jax.random.key(4)}


def both(name, *args, **kwargs):
    """Make a layer of each library, ours first."""
    return tuple(getattr(nn, name)(*args, **kwargs) for nn in (linnet.linen, flax.linen))


def assert_same_variables(ours, theirs):
    """Check names and their order, shapes and dtypes exactly, values to `DRAWN_ULP`."""
    assert list(ours) == list(theirs)
    for name, theirs_value in theirs.items():
        if isinstance(theirs_value, dict):
            assert_same_variables(ours[name], theirs_value)
            continue
        assert ours[name].dtype == theirs_value.dtype
        np.testing.assert_array_max_ulp(
            np.asarray(ours[name], np.float32),
            np.asarray(theirs_value, np.float32),
            maxulp=DRAWN_ULP,
        )


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
            out, _ = layer.apply({"params": params, **rest}, *inputs, **run)
            out = jnp.asarray(out, jnp.float32)
            return jnp.sum(out * jnp.linspace(-1.0, 1.0, out.size).reshape(out.shape))

        places = (0, *(place + 1 for place in real))
        return jax.jit(jax.grad(loss, argnums=places))(variables.get("params", {}), *inputs)

    assert_close(gradients(ours), gradients(theirs), computed_in)
    return variables
