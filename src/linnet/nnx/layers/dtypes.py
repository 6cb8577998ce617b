"""The dtype in which an NNX layer computes, with the arrays to promote given as one tuple."""

from typing import Any, TypeVar

from linnet.base.typing import Dtype
from linnet.ops import dtypes
from linnet.ops.dtypes import canonicalize_dtype as canonicalize_dtype

T = TypeVar("T", bound="tuple[Any, ...] | list[Any]")


def promote_dtype(args: T, /, *, dtype: Dtype | None = None, inexact: bool = True) -> T:
    """Bring every array of a tuple to one dtype.

    Args:
        args: arrays or scalars; ``None`` stays ``None``.
        dtype: the dtype to bring them to; ``None`` promotes from the arrays.
        inexact: whether integers promote to floating point.

    Returns:
        A tuple of arrays of that dtype.

    >>> import jax.numpy as jnp
    >>> promote_dtype((1, None), dtype=jnp.float32)
    (Array(1., dtype=float32), None)
    """
    return type(args)(dtypes.promote_dtype(*args, dtype=dtype, inexact=inexact))
