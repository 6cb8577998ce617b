"""Means and variances: taken over axes, normalised by, and averaged over time.

Each op stands beside its plain body (``moments`` and ``compute_moments``), which the normalisations
put together into ops of their own, so that a layer is one call and not three.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from linnet.base.errors import ShapeMismatchError
from linnet.base.typing import Array, Dtype, PromoteDtype
from linnet.ops import dtypes
from linnet.ops.axes import from_front
from linnet.ops.op import op

Sizes = tuple[int, ...]
Groups = tuple[tuple[int, ...], ...] | None

STATISTICS = (
    "axis_name",
    "axis_index_groups",
    "use_fast_variance",
    "force_float32_reductions",
    "dtype",
)


def compute_moments(
    x: Array,
    axes: Sizes,
    mask: Array | None,
    *,
    dtype: Dtype | None,
    axis_name: Any = None,
    axis_index_groups: Groups = None,
    use_mean: bool = True,
    use_fast_variance: bool = True,
    force_float32_reductions: bool = True,
) -> tuple[Array, Array]:
    """Do what ``moments`` says."""
    precise = jnp.result_type(x) if dtype is None else jnp.dtype(dtype)
    if force_float32_reductions:
        precise = jnp.promote_types(precise, jnp.float32)
    x = jnp.asarray(x, precise)
    axes = from_front(axes, x.ndim)

    def means(*values: Array) -> list[Array]:
        local = [value.mean(axes, where=mask) for value in values]
        if axis_name is None:
            return local
        # one collective for all the means
        together = lax.pmean(jnp.stack(local), axis_name, axis_index_groups=axis_index_groups)
        return list(together)

    if not use_mean:
        (var,) = means(_squared_magnitude(x))
        return jnp.zeros_like(var), var
    if use_fast_variance:
        mean, second = means(x, _squared_magnitude(x))
        # rounding may bring the difference below zero
        return mean, jnp.maximum(0.0, second - _squared_magnitude(mean))
    (mean,) = means(x)
    (var,) = means(_squared_magnitude(x - jnp.expand_dims(mean, axes)))
    return mean, var


def _squared_magnitude(x: Array) -> Array:
    """Return ``|x|²``, real for complex numbers too."""
    if jnp.iscomplexobj(x):
        return jnp.square(x.real) + jnp.square(x.imag)
    return jnp.square(x)


def check_features(shape: Sizes, features: Sizes, name: str, array: Array | None) -> None:
    """Check that there is one entry for each feature of the inputs.

    Raises:
        ShapeMismatchError: there is not.
    """
    sizes = tuple(shape[axis] for axis in features)
    if array is not None and math.prod(sizes) != array.size:
        raise ShapeMismatchError(
            f"Inputs of shape {shape} have {sizes} features along their axes {features}, but "
            f"{name} has shape {array.shape}. The layer was made for {array.size} features: give "
            f"it inputs with those, or make it for {math.prod(sizes)}."
        )


def apply_moments(
    x: Array,
    mean: Array,
    var: Array,
    scale: Array | None,
    bias: Array | None,
    *,
    reduction_axes: Sizes,
    feature_axes: Sizes,
    epsilon: float,
    dtype: Dtype | None,
) -> Array:
    """Do what ``normalize`` says."""
    reduced = from_front(reduction_axes, x.ndim)
    features = from_front(feature_axes, x.ndim)
    kept = tuple(1 if axis in reduced else size for axis, size in enumerate(x.shape))
    along = tuple(size if axis in features else 1 for axis, size in enumerate(x.shape))
    for name, array in (("scale", scale), ("bias", bias)):
        check_features(x.shape, features, name, array)
    factor = lax.rsqrt(jnp.reshape(var, kept) + epsilon)
    centred = x - jnp.reshape(mean, kept)
    if scale is not None:
        factor = factor * jnp.reshape(scale, along)
    outputs = centred * factor
    if bias is not None:
        outputs = outputs + jnp.reshape(bias, along)
    return jnp.asarray(outputs, dtypes.canonicalize_dtype(x, scale, bias, dtype=dtype))


@op(static=["axes", "use_mean", *STATISTICS], made_of=["lax.pmean"])
def moments(
    x: Array,
    mask: Array | None = None,
    *,
    axes: Sizes,
    dtype: Dtype | None = None,
    axis_name: Any = None,
    axis_index_groups: Groups = None,
    use_mean: bool = True,
    use_fast_variance: bool = True,
    force_float32_reductions: bool = True,
) -> tuple[Array, Array]:
    """Compute mean and variance over some axes.

    ``var = E[|x|²] - |E[x]|²`` if fast, otherwise ``E[|x - E[x]|²]``, which takes two passes and
    loses less to rounding.

    Shapes:
        x: any; mask: broadcasts against ``x``.

    Args:
        x: the elements.
        mask: which elements count; ``None`` for all.
        axes: the axes to reduce.
        dtype: dtype of the computation; ``None`` takes that of ``x``.
        axis_name: also average over the mapped axis of this name.
        axis_index_groups: average over groups of that axis only.
        use_mean: if not, take the mean to be zero.
        use_fast_variance: which formula.
        force_float32_reductions: compute in float32 at least.

    Returns:
        Mean and variance, each of the shape of ``x`` without the reduced axes.

    >>> mean, var = moments(jnp.array([1.0, 3.0]), axes=(0,))
    >>> float(mean), float(var)
    (2.0, 1.0)
    """
    return compute_moments(
        x,
        axes,
        mask,
        dtype=dtype,
        axis_name=axis_name,
        axis_index_groups=axis_index_groups,
        use_mean=use_mean,
        use_fast_variance=use_fast_variance,
        force_float32_reductions=force_float32_reductions,
    )


def promoted(
    *arrays: Array | None, first: bool, hook: PromoteDtype | None, dtype: Dtype | None
) -> Sequence[Any]:
    """Bring arrays to one dtype before they are computed with, if that is asked for."""
    if hook is not None:
        return hook(*arrays, dtype=dtype)
    return dtypes.promote_dtype(*arrays, dtype=dtype) if first else arrays


@op(
    static=["reduction_axes", "feature_axes", "epsilon", "dtype", "promote_first"],
    hooks=["promote_dtype"],
    made_of=["lax.rsqrt"],
    promotes=5,
)
def normalize(
    x: Array,
    mean: Array,
    var: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    *,
    reduction_axes: Sizes,
    feature_axes: Sizes,
    epsilon: float,
    dtype: Dtype | None = None,
    promote_first: bool = False,
    promote_dtype: PromoteDtype | None = None,
) -> Array:
    """Normalise by given statistics, then scale and shift.

    ``outputs = (x - mean) / sqrt(var + epsilon) * scale + bias``

    Shapes:
        x: any; mean and var: that of ``x`` without ``reduction_axes``; scale and bias: the sizes of
        ``x`` along ``feature_axes``.

    Args:
        x: what to normalise.
        mean: its mean.
        var: its variance.
        scale: factor of each feature, or ``None``.
        bias: shift of each feature, or ``None``.
        reduction_axes: the axes over which the statistics were taken.
        feature_axes: the axes along which scale and bias vary.
        epsilon: keeps the divisor from zero.
        dtype: dtype of the result; ``None`` promotes from ``x``, scale and bias.
        promote_first: bring all arguments to one dtype before the computation, not the result
            after it.
        promote_dtype: hook in the place of ``linnet.ops.dtypes.promote_dtype``; promotes first.

    Returns:
        Array of the shape of ``x``.

    >>> normalize(jnp.array([1.0, 3.0]), jnp.array(2.0), jnp.array(1.0), reduction_axes=(0,),
    ...           feature_axes=(0,), epsilon=0.0).tolist()
    [-1.0, 1.0]
    """
    x, mean, var, scale, bias = promoted(
        x, mean, var, scale, bias, first=promote_first, hook=promote_dtype, dtype=dtype
    )
    return apply_moments(
        x,
        mean,
        var,
        scale,
        bias,
        reduction_axes=reduction_axes,
        feature_axes=feature_axes,
        epsilon=epsilon,
        dtype=dtype,
    )


@op(static=["momentum"])
def update_running(
    running: tuple[Array, Array], current: tuple[Array, Array], *, momentum: float
) -> tuple[Array, Array]:
    """Move running statistics towards the current ones.

    ``running = momentum * running + (1 - momentum) * current``

    Shapes:
        each of running and current: mean and variance, of one shape.

    Args:
        running: the statistics kept so far.
        current: those of this batch.
        momentum: how much of the former remains.

    Returns:
        The new running mean and variance.

    >>> mean, var = update_running((jnp.zeros(()), jnp.ones(())), (jnp.ones(()), jnp.ones(())),
    ...                            momentum=0.5)
    >>> float(mean), float(var)
    (0.5, 1.0)
    """
    return move_running(running, current, momentum)


def move_running(
    running: tuple[Array, Array], current: tuple[Array, Array], momentum: float
) -> tuple[Array, Array]:
    """Do what ``update_running`` says."""
    mean, var = (
        momentum * old + (1 - momentum) * now for old, now in zip(running, current, strict=True)
    )
    return mean, var
