"""Pooling: reduce windows that slide over the spatial axes.

Inputs are ``(*batch, *spatial, features)``; the window covers the spatial axes only. Any number of
batch axes is allowed, none included.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from linnet.base.typing import Array, LaxPadding
from linnet.ops.axes import as_tuple
from linnet.ops.op import op


def pool(
    inputs: Array,
    init: Any,
    reduce_fn: Callable[..., Any],
    window_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: LaxPadding,
) -> Array:
    """Reduce each window with a function.

    Shapes:
        inputs: ``(*batch, *spatial, features)``.

    Args:
        inputs: what to pool.
        init: the value a reduction starts from.
        reduce_fn: ``(a, b) -> reduced``; one that JAX knows, as ``lax.add``, to be differentiable.
        window_shape: the size of the window along each spatial axis.
        strides: how far the window moves along each spatial axis; ``None`` is 1.
        padding: ``"SAME"``, ``"VALID"``, or a pair (low, high) for each spatial axis.

    Returns:
        Array of shape ``(*batch, *windows, features)``.

    Raises:
        ValueError: the window, strides and padding speak of different numbers of axes, or the
            inputs have fewer.

    >>> pool(jnp.arange(6.0).reshape(3, 2), 0.0, lax.add, (2,), None, "VALID").tolist()
    [[2.0, 4.0], [6.0, 8.0]]
    """
    settings = _window_settings(jnp.shape(inputs), window_shape, strides, padding)
    return _reduce_windows(inputs, init, reduce_fn, *settings)


def _reduce_windows(
    inputs: Array,
    init: float,
    reduce_fn: Callable[..., Any],
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: LaxPadding,
) -> Array:
    """Do what ``pool`` says, its settings checked."""
    unbatched = inputs.ndim == len(window) + 1
    operand = inputs[None] if unbatched else inputs  # (*batch, *spatial, features)
    lead = (1,) * (operand.ndim - len(window) - 1)
    pads = padding if isinstance(padding, str) else (*((0, 0),) * len(lead), *padding, (0, 0))
    out = lax.reduce_window(
        operand, init, reduce_fn, (*lead, *window, 1), (*lead, *strides, 1), pads
    )  # (*batch, *windows, features)
    return jnp.squeeze(out, axis=0) if unbatched else out


_pooled = op(
    static=["init", "reduce_fn", "window", "strides", "padding"], made_of=["lax.reduce_window"]
)(_reduce_windows)


@op(static=["window", "strides", "padding", "count_include_pad"], made_of=["lax.reduce_window"])
def _averaged(
    inputs: Array,
    *,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: LaxPadding,
    count_include_pad: bool,
) -> Array:
    """Do what ``avg_pool`` says, its settings checked."""
    total = _reduce_windows(inputs, 0.0, lax.add, window, strides, padding)
    if count_include_pad:
        return total / np.prod(window)
    span = len(window)
    lead = (1,) * (inputs.ndim - span - 1)
    ones = jnp.ones((*lead, *inputs.shape[-span - 1 : -1], 1))
    return total / _reduce_windows(ones, 0.0, lax.add, window, strides, padding)


def _window_settings(
    shape: Sequence[int],
    window_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: LaxPadding,
) -> tuple[tuple[int, ...], tuple[int, ...], str | tuple[tuple[int, int], ...]]:
    """Check a window against the inputs it slides over."""
    window = _sizes("window_shape", window_shape)
    steps = (1,) * len(window) if strides is None else _sizes("strides", strides)
    if len(steps) != len(window):
        raise ValueError(
            f"strides={steps} moves the window along {len(steps)} axes, but window_shape={window} "
            f"has {len(window)}; give one stride for each."
        )
    if len(shape) < len(window) + 1:
        raise ValueError(
            f"Inputs of shape {tuple(shape)} have too few axes for window_shape={window}: pooling "
            f"needs {len(window)} spatial axes and then the features. Write inputs[..., None] if "
            "there is one feature."
        )
    if isinstance(padding, str):
        return window, steps, padding
    if not isinstance(padding, Sequence):
        raise TypeError(
            f"padding={padding!r} is one number; write a pair (low, high) for each spatial axis: "
            f"padding={[(padding, padding)] * len(window)}."
        )
    pads: Any = tuple(tuple(pair) for pair in padding)
    if len(pads) != len(window) or any(len(pair) != 2 for pair in pads):
        raise ValueError(
            f"padding={padding!r} does not fit window_shape={window}: give one pair (low, high) "
            f"for each of the {len(window)} spatial axes, or 'SAME' or 'VALID'."
        )
    return window, steps, pads


def _sizes(name: str, value: Any) -> tuple[int, ...]:
    """Return a setting of the window as a tuple."""
    if not isinstance(value, Sequence):
        raise TypeError(
            f"{name}={value!r} is one number; write one for each spatial axis: {name}=({value},)."
        )
    return as_tuple(value)


def avg_pool(
    inputs: Array,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: LaxPadding = "VALID",
    count_include_pad: bool = True,
) -> Array:
    """Take the mean of each window.

    Shapes:
        inputs: ``(*batch, *spatial, features)``.

    Args:
        inputs: what to pool.
        window_shape: the size of the window along each spatial axis.
        strides: how far the window moves along each spatial axis; ``None`` is 1.
        padding: ``"SAME"``, ``"VALID"``, or a pair (low, high) for each spatial axis.
        count_include_pad: whether padding counts as zeros; if not, a window's mean is over what it
            covers of the inputs.

    Returns:
        Array of shape ``(*batch, *windows, features)``.

    >>> avg_pool(jnp.arange(6.0).reshape(3, 2), (2,)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    window, steps, pads = _window_settings(jnp.shape(inputs), window_shape, strides, padding)
    return _averaged(
        inputs, window=window, strides=steps, padding=pads, count_include_pad=count_include_pad
    )


def max_pool(
    inputs: Array,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: LaxPadding = "VALID",
) -> Array:
    """Take the maximum of each window.

    Shapes:
        inputs: ``(*batch, *spatial, features)``.

    Args:
        inputs: what to pool.
        window_shape: the size of the window along each spatial axis.
        strides: how far the window moves along each spatial axis; ``None`` is 1.
        padding: ``"SAME"``, ``"VALID"``, or a pair (low, high) for each spatial axis.

    Returns:
        Array of shape ``(*batch, *windows, features)``.

    >>> max_pool(jnp.arange(6.0).reshape(3, 2), (2,)).tolist()
    [[2.0, 3.0], [4.0, 5.0]]
    """
    window, steps, pads = _window_settings(jnp.shape(inputs), window_shape, strides, padding)
    return _pooled(
        inputs, init=-jnp.inf, reduce_fn=lax.max, window=window, strides=steps, padding=pads
    )


def min_pool(
    inputs: Array,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: LaxPadding = "VALID",
) -> Array:
    """Take the minimum of each window.

    Shapes:
        inputs: ``(*batch, *spatial, features)``.

    Args:
        inputs: what to pool.
        window_shape: the size of the window along each spatial axis.
        strides: how far the window moves along each spatial axis; ``None`` is 1.
        padding: ``"SAME"``, ``"VALID"``, or a pair (low, high) for each spatial axis.

    Returns:
        Array of shape ``(*batch, *windows, features)``.

    >>> min_pool(jnp.arange(6.0).reshape(3, 2), (2,)).tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    window, steps, pads = _window_settings(jnp.shape(inputs), window_shape, strides, padding)
    return _pooled(
        inputs, init=jnp.inf, reduce_fn=lax.min, window=window, strides=steps, padding=pads
    )
