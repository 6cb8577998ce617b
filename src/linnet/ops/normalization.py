"""Normalisation: subtract a mean, divide by a deviation, scale and shift.

Every layer of the family is ``normalize`` with the ``moments`` of its own axes:

* batch: all axes but one, kept as running statistics between calls;
* layer and RMS: the feature axes of each example, RMS with a mean of zero;
* group: the spatial axes and one group of features;
* instance: the spatial axes of each feature.

Three choices cross all of them. A *mask* says which elements count. An *axis name* averages over
the devices, or the vmapped axis, of that name too. Statistics are computed in float32 at least
(``force_float32_reductions``), and the result returns to the dtype asked for.
"""

from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, Dtype
from linnet.ops.axes import from_front
from linnet.ops.op import op
from linnet.ops.statistics import (
    STATISTICS,
    Groups,
    Sizes,
    apply_moments,
    compute_moments,
    move_running,
)


@op(static=["reduction_axes", "feature_axes", "epsilon", "use_mean", *STATISTICS])
def layer_norm(
    x: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    reduction_axes: Sizes = (-1,),
    feature_axes: Sizes = (-1,),
    epsilon: float = 1e-6,
    dtype: Dtype | None = None,
    use_mean: bool = True,
    axis_name: Any = None,
    axis_index_groups: Groups = None,
    use_fast_variance: bool = True,
    force_float32_reductions: bool = True,
) -> Array:
    """Normalise each example over its own axes.

    Layer normalisation (Ba et al. 2016, arXiv:1607.06450). With ``use_mean=False`` and no bias it
    is RMS normalisation (Zhang and Sennrich 2019, arXiv:1910.07467); with the spatial axes reduced
    it is instance normalisation (Ulyanov et al. 2016, arXiv:1607.08022).

    Shapes:
        x: any; scale and bias: the sizes of ``x`` along ``feature_axes``; mask: broadcasts against
        ``x``.

    Args:
        x: what to normalise.
        scale: factor of each feature, or ``None``.
        bias: shift of each feature, or ``None``.
        mask: which elements count in the statistics; ``None`` for all.
        reduction_axes: the axes over which the statistics are taken.
        feature_axes: the axes along which scale and bias vary.
        epsilon: keeps the divisor from zero.
        dtype: dtype of the result; ``None`` promotes from ``x``, scale and bias.
        use_mean: if not, take the mean to be zero.
        axis_name: as in ``moments``.
        axis_index_groups: as in ``moments``.
        use_fast_variance: as in ``moments``.
        force_float32_reductions: as in ``moments``.

    Returns:
        Array of the shape of ``x``.

    >>> layer_norm(jnp.array([1.0, 3.0]), epsilon=0.0).tolist()
    [-1.0, 1.0]
    """
    mean, var = compute_moments(
        x,
        reduction_axes,
        mask,
        dtype=dtype,
        axis_name=axis_name,
        axis_index_groups=axis_index_groups,
        use_mean=use_mean,
        use_fast_variance=use_fast_variance,
        force_float32_reductions=force_float32_reductions,
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


@op(static=["num_groups", "reduction_axes", "epsilon", *STATISTICS])
def group_norm(
    x: Array,
    scale: Array | None = None,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    num_groups: int,
    reduction_axes: Sizes,
    epsilon: float = 1e-6,
    dtype: Dtype | None = None,
    axis_name: Any = None,
    axis_index_groups: Groups = None,
    use_fast_variance: bool = True,
    force_float32_reductions: bool = True,
) -> Array:
    """Normalise each group of features of each example (Wu and He 2018, arXiv:1803.08494).

    Shapes:
        x: ``(..., features)``; scale and bias: ``(features,)``; mask: broadcasts against ``x``.

    Args:
        x: what to normalise.
        scale: factor of each feature, or ``None``.
        bias: shift of each feature, or ``None``.
        mask: which elements count in the statistics; ``None`` for all.
        num_groups: how many groups; divides the number of features.
        reduction_axes: the axes over which the statistics are taken, the last among them.
        epsilon: keeps the divisor from zero.
        dtype: dtype of the result; ``None`` promotes from ``x``, scale and bias.
        axis_name: as in ``moments``.
        axis_index_groups: as in ``moments``.
        use_fast_variance: as in ``moments``.
        force_float32_reductions: as in ``moments``.

    Returns:
        Array of the shape of ``x``.

    >>> group_norm(jnp.array([[1.0, 3.0, 5.0, 5.0]]), num_groups=2, reduction_axes=(1,)).tolist()
    [[-0.9999995231628418, 0.9999995231628418, 0.0, 0.0]]
    """
    features = x.shape[-1]
    group_size = features // num_groups
    reduced = from_front(reduction_axes, x.ndim)
    grouped = (*x.shape[:-1], num_groups, group_size)
    if mask is not None:
        mask = jnp.reshape(jnp.broadcast_to(mask, x.shape), grouped)
    # the feature axis splits in two; the group stays, its members are reduced
    mean, var = compute_moments(
        jnp.reshape(x, grouped),
        (*(axis for axis in reduced if axis != x.ndim - 1), x.ndim),
        mask,
        dtype=dtype,
        axis_name=axis_name,
        axis_index_groups=axis_index_groups,
        use_fast_variance=use_fast_variance,
        force_float32_reductions=force_float32_reductions,
    )  # (*kept, num_groups)
    return apply_moments(
        x,
        jnp.repeat(mean, group_size, axis=-1),  # (*kept, features)
        jnp.repeat(var, group_size, axis=-1),
        scale,
        bias,
        reduction_axes=reduced[:-1] if reduced[-1] == x.ndim - 1 else reduced,
        feature_axes=(-1,),
        epsilon=epsilon,
        dtype=dtype,
    )


@op(static=["axis", "epsilon", "momentum", *STATISTICS])
def batch_norm(
    x: Array,
    running: tuple[Array, Array] | None,
    scale: Array | None = None,
    bias: Array | None = None,
    mask: Array | None = None,
    *,
    axis: Sizes = (-1,),
    epsilon: float = 1e-5,
    momentum: float | None = None,
    dtype: Dtype | None = None,
    axis_name: Any = None,
    axis_index_groups: Groups = None,
    use_fast_variance: bool = True,
    force_float32_reductions: bool = True,
) -> tuple[Array, tuple[Array, Array] | None]:
    """Normalise by the statistics of the batch (Ioffe and Szegedy 2015, arXiv:1502.03167).

    Shapes:
        x: any; scale, bias and each of running: the sizes of ``x`` along ``axis``; mask: broadcasts
        against ``x``.

    Args:
        x: what to normalise.
        running: mean and variance kept so far, moved towards the batch's; ``None`` keeps none.
        scale: factor of each feature, or ``None``.
        bias: shift of each feature, or ``None``.
        mask: which elements count in the statistics; ``None`` for all.
        axis: the feature axes; the statistics are taken over all others.
        epsilon: keeps the divisor from zero.
        momentum: how much of the running statistics remains.
        dtype: dtype of the result; ``None`` promotes from ``x``, scale and bias.
        axis_name: as in ``moments``.
        axis_index_groups: as in ``moments``.
        use_fast_variance: as in ``moments``.
        force_float32_reductions: as in ``moments``.

    Returns:
        Array of the shape of ``x``, and the new running statistics (``None`` if none were kept).

    >>> y, _ = batch_norm(jnp.array([[1.0], [3.0]]), None, epsilon=0.0)
    >>> y.tolist()
    [[-1.0], [1.0]]
    """
    features = from_front(axis, x.ndim)
    reduced = tuple(axis for axis in range(x.ndim) if axis not in features)
    mean, var = compute_moments(
        x,
        reduced,
        mask,
        dtype=dtype,
        axis_name=axis_name,
        axis_index_groups=axis_index_groups,
        use_fast_variance=use_fast_variance,
        force_float32_reductions=force_float32_reductions,
    )
    outputs = apply_moments(
        x,
        mean,
        var,
        scale,
        bias,
        reduction_axes=reduced,
        feature_axes=features,
        epsilon=epsilon,
        dtype=dtype,
    )
    if running is None or momentum is None:
        return outputs, None
    return outputs, move_running(running, (mean, var), momentum)


__all__ = [
    "batch_norm",
    "group_norm",
    "layer_norm",
]
