"""Promotion against Flax's functions."""

import flax.linen as fnn
import jax.numpy as jnp
import numpy as np
import pytest

from differential.compare import assert_close
from linnet.ops import dtypes

ARGS = [
    (jnp.ones(2, jnp.int32),),
    (None, 1.0),
    (None, 1),
    (True,),
    (1.0, jnp.ones(2, jnp.bfloat16)),
    (jnp.ones(1, jnp.float16), jnp.ones(1, jnp.bfloat16), None),
    (1 + 2j,),
    (np.ones(2, np.float64), np.float32(1)),
]


@pytest.mark.parametrize("args", ARGS)
@pytest.mark.parametrize("inexact", [True, False])
@pytest.mark.parametrize("dtype", [None, "bfloat16", jnp.float32, jnp.complex64])
def test_promotion_agrees(args, inexact, dtype):
    """The common dtype and the promoted arguments are Flax's."""
    settings = {"dtype": dtype, "inexact": inexact}
    ours = dtypes.canonicalize_dtype(*args, **settings)
    assert jnp.dtype(ours) == jnp.dtype(fnn.dtypes.canonicalize_dtype(*args, **settings))
    if dtype is None or jnp.dtype(dtype) == jnp.complex64 or not isinstance(args[0], complex):
        assert_close(
            dtypes.promote_dtype(*args, **settings), fnn.dtypes.promote_dtype(*args, **settings)
        )


@pytest.mark.parametrize("dtype", [jnp.int32, bool])
def test_whole_numbers_are_refused(dtype):
    """An integer dtype for arithmetic on real numbers is refused, unless inexact is off."""
    with pytest.raises(ValueError, match=r"dtype=jnp\.float32"):
        dtypes.canonicalize_dtype(1.0, dtype=dtype)
    assert dtypes.canonicalize_dtype(1, dtype=dtype, inexact=False) is dtype


def test_nothing_to_promote():
    """Without arguments there is no dtype."""
    with pytest.raises(ValueError, match="at least one"):
        dtypes.canonicalize_dtype(None)
