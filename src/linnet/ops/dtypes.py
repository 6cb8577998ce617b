"""The dtype in which a layer computes: asked for, or the one its arguments promote to."""

from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Dtype


def as_array(inputs: Any, layer: Any) -> Any:
    """Return what a layer is called with as an array: lists of numbers are made one.

    Raises:
        TypeError: it is ``None``.

    >>> as_array([[1.0, 2.0]], None).shape
    (1, 2)
    """
    if hasattr(inputs, "ndim"):
        return inputs
    if inputs is None:
        raise TypeError(
            f"{type(layer).__name__} was called on None. Call it on an array; does the function "
            "that made the inputs return its result?"
        )
    return jnp.asarray(inputs)


def canonicalize_dtype(*args: Any, dtype: Dtype | None = None, inexact: bool = True) -> Dtype:
    """Return the dtype in which a computation on ``args`` runs.

    Args:
        *args: arrays, scalars or dtypes; ``None`` stands for an absent argument and is passed over.
        dtype: the answer, if given.
        inexact: whether integers promote to floating point.

    Returns:
        ``dtype`` itself if given, otherwise what JAX promotes the arguments to.

    Raises:
        ValueError: ``inexact`` is asked for and ``dtype`` is an integer or boolean dtype, or there
            is nothing to promote.

    >>> import jax.numpy as jnp
    >>> canonicalize_dtype(jnp.ones(2, jnp.int32), None)
    dtype('float32')
    >>> canonicalize_dtype(1.0, dtype="bfloat16")
    'bfloat16'
    """
    if dtype is None:
        found = jnp.result_type(*(arg for arg in args if arg is not None))
        if inexact and not jnp.issubdtype(found, jnp.inexact):
            found = jnp.promote_types(jnp.float32, found)
        return found
    if inexact and not jnp.issubdtype(dtype, jnp.inexact):
        raise ValueError(
            f"dtype={dtype!r} was asked for a computation on real numbers, but it is no floating "
            "point or complex dtype: the result would be rounded to whole numbers. Pass "
            "dtype=jnp.float32 or another floating point dtype, or dtype=None to promote from the "
            "arguments."
        )
    return dtype


def promote_dtype(*args: Any, dtype: Dtype | None = None, inexact: bool = True) -> list[Any]:
    """Bring every argument to one dtype, the one that ``canonicalize_dtype`` names.

    Args:
        *args: arrays or scalars; ``None`` stays ``None``.
        dtype: the dtype to bring them to; ``None`` promotes from the arguments.
        inexact: whether integers promote to floating point.

    Returns:
        The arguments as arrays of that dtype, in their order.

    Raises:
        ValueError: as ``canonicalize_dtype``.

    >>> promote_dtype(1, None, dtype=jnp.float32)
    [Array(1., dtype=float32), None]
    """
    common = canonicalize_dtype(*args, dtype=dtype, inexact=inexact)
    return [None if arg is None else jnp.asarray(arg, common) for arg in args]
