"""What a value becomes when a part of it is set, or all of it: ``v[index] = x``, ``v[...] = x``."""

import copy
from typing import Any

import jax
import numpy as np

from linnet.base.jaxcompat import trace_of


def written(old: Any, index: Any, part: Any) -> Any:
    """Return a value with what is at an index replaced; the value itself does not change.

    An array keeps its shape, dtype and sharding, as if it were written to; only what has all three
    takes its place as it is, which costs nothing.
    """
    if index is ... and _fits(old, part):
        return part
    if hasattr(old, "at"):
        return old.at[index].set(part)
    new = copy.copy(old)
    new[index] = part
    return new


def _fits(old: Any, value: Any) -> bool:
    """Tell whether a value may take the place of another as it is."""
    if isinstance(old, np.ndarray):
        return trace_of(value) is not None
    return not isinstance(old, jax.Array) or (
        isinstance(value, jax.Array)
        and value.shape == old.shape
        and value.dtype == old.dtype
        # a tracer has none
        and getattr(value, "sharding", None) == getattr(old, "sharding", None)
    )
