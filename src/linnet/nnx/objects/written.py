"""What a value becomes when a part of it is set, or all of it: ``v[index] = x``, ``v[...] = x``."""

import copy
from typing import Any

import jax
import numpy as np

from linnet.base.jaxcompat import trace_of


def written(kind: str, old: Any, index: Any, part: Any) -> Any:
    """Return a value with what is at an index replaced; the value itself does not change.

    An array keeps its shape, dtype and sharding, as if it were written to; only what has all three
    takes its place as it is, which costs nothing.

    Args:
        kind: the type of the variable, for the message.
        old: the value.
        index: where it is written to.
        part: what is written.

    Raises:
        ValueError: it does not have the shape of the part that it is for.
    """
    if index is ... and _replaces(old, part):
        return part
    try:
        if isinstance(old, jax.Array):
            return old.at[index].set(part)
        new = copy.copy(old)
        new[index] = part
    except ValueError as error:
        shape, given = getattr(old, "shape", ()), getattr(part, "shape", None)
        if index is ... and shape == given:
            raise  # not of shapes, but of devices
        what = f"type {type(part).__name__}" if given is None else f"shape {tuple(given)}"
        where = "..." if index is ... else repr(index)
        raise ValueError(
            f"A {kind} of shape {tuple(shape)} was set at [{where}] to a value of {what}, "
            "which does not fit there: setting a part, or [...] all of it, keeps shape and dtype. "
            "To put another array in its place, write `variable.set_value(x)`."
        ) from error
    return new


def _replaces(old: Any, value: Any) -> bool:
    """Tell whether a value takes the place of all of another as it is."""
    if isinstance(old, np.ndarray):
        return trace_of(value) is not None
    if not isinstance(old, jax.Array):
        return True
    alike = isinstance(value, jax.Array) and value.shape == old.shape and value.dtype == old.dtype
    # not asked of a tracer: it raises there, and takes time in the length of the trace
    return alike and (trace_of(value) is not None or value.sharding == old.sharding)
