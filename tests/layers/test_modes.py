"""Every layer in every numeric mode of JAX, beside Flax in the same mode."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.compare import Raised, compare
from differential.layers import CASES
from differential.programs import outcome

# how a mode is entered, and how the layer is run in it
MODES = {
    "x64": (lambda: jax.enable_x64(True), {"cast": np.float64}),
    "float16": (contextlib.nullcontext, {"cast": np.float16}),
    "bfloat16": (contextlib.nullcontext, {"cast": jnp.bfloat16}),
    "strict promotion": (lambda: jax.numpy_dtype_promotion("strict"), {}),
    "debug nans": (lambda: jax.debug_nans(True), {}),
    "no jit": (jax.disable_jit, {}),
    "no leaks": (jax.checking_leaks, {"jit": True}),
    "jit": (contextlib.nullcontext, {"jit": True}),
}
NARROW = {"float16": 1e-2, "bfloat16": 5e-2}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_layers_in_every_mode(case, mode):
    """A layer does in a numeric mode what it does on Flax; where Flax fails, it works."""
    enter, how = MODES[mode]

    def program(library):
        with enter():
            return case.run(library, **how)

    theirs, ours = (outcome(program, library) for library in case.libraries)
    if isinstance(theirs, Raised):
        assert not isinstance(ours, Raised), (theirs, ours)
        return
    compare(ours, theirs, tolerance=NARROW.get(mode, 1e-5))
