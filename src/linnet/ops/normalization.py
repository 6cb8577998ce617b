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
from jax import lax

from linnet.base.typing import Array, Axes, Dtype, PromoteDtype
from linnet.ops.axes import from_front
from linnet.ops.op import op
from linnet.ops.statistics import (
    STATISTICS,
    Groups,
    Sizes,
    apply_moments,
    check_features,
    compute_moments,
    move_running,
    promoted,
)


@op(
    static=["reduction_axes", "feature_axes", "epsilon", "use_mean", *STATISTICS, "promote_first"],
    hooks=["promote_dtype"],
    made_of=["lax.pmean", "lax.rsqrt"],
    promotes=3,
)
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
    promote_first: bool = False,
    promote_dtype: PromoteDtype | None = None,
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
        promote_first: as in ``linnet.ops.statistics.normalize``.
        promote_dtype: as in ``linnet.ops.statistics.normalize``.

    Returns:
        Array of the shape of ``x``.

    >>> layer_norm(jnp.array([1.0, 3.0]), epsilon=0.0).tolist()
    [-1.0, 1.0]
    """
    x, scale, bias = promoted(x, scale, bias, first=promote_first, hook=promote_dtype, dtype=dtype)
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


@op(
    static=["num_groups", "reduction_axes", "epsilon", *STATISTICS, "promote_first"],
    hooks=["promote_dtype"],
    made_of=["lax.pmean", "lax.rsqrt"],
    promotes=3,
)
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
    promote_first: bool = False,
    promote_dtype: PromoteDtype | None = None,
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
        promote_first: as in ``linnet.ops.statistics.normalize``.
        promote_dtype: as in ``linnet.ops.statistics.normalize``.

    Returns:
        Array of the shape of ``x``.

    >>> x = jnp.array([[1.0, 3.0, 5.0, 5.0]])
    >>> group_norm(x, num_groups=2, reduction_axes=(1,)).round(3).tolist()
    [[-1.0, 1.0, 0.0, 0.0]]
    """
    x, scale, bias = promoted(x, scale, bias, first=promote_first, hook=promote_dtype, dtype=dtype)
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


@op(
    static=["axis", "epsilon", "momentum", *STATISTICS, "promote_first", "detach_running"],
    hooks=["promote_dtype"],
    made_of=["lax.pmean", "lax.rsqrt"],
)
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
    promote_first: bool = False,
    detach_running: bool = False,
    promote_dtype: PromoteDtype | None = None,
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
        promote_first: as in ``linnet.ops.statistics.normalize``.
        detach_running: let no gradient flow through the new running statistics, and keep their
            dtype.
        promote_dtype: as in ``linnet.ops.statistics.normalize``.

    Returns:
        Array of the shape of ``x``, and the new running statistics (``None`` if none were kept).

    >>> y, _ = batch_norm(jnp.array([[1.0], [3.0]]), None, epsilon=0.0)
    >>> y.tolist()
    [[-1.0], [1.0]]
    """
    kept = running or (None, None)
    x, _, _, scale, bias = promoted(
        x, *kept, scale, bias, first=promote_first, hook=promote_dtype, dtype=dtype
    )
    features = from_front(axis, x.ndim)
    check_features(x.shape, features, "the running mean", kept[0])
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
    mean, var = move_running(running, (mean, var), momentum)
    if detach_running:
        mean, var = lax.stop_gradient(mean), lax.stop_gradient(var)
        mean, var = mean.astype(running[0].dtype), var.astype(running[1].dtype)
    return outputs, (mean, var)


def count_groups(num_groups: int | None, group_size: int | None, features: int) -> int:
    """Return how many groups some features fall into.

    Args:
        num_groups: the answer, if ``group_size`` is ``None``.
        group_size: how many features a group has, if ``num_groups`` is ``None``.
        features: how many features there are.

    Raises:
        ValueError: the groups do not divide the features, or neither or both numbers are given.

    >>> count_groups(None, 4, features=12)
    3
    """
    if (num_groups is None) == (group_size is None):
        raise ValueError(
            f"GroupNorm with num_groups={num_groups} and group_size={group_size}: exactly one of "
            "them says how the features divide. Write num_groups=8; or num_groups=None, "
            "group_size=16."
        )
    if group_size is not None:
        if group_size <= 0 or features % group_size:
            raise ValueError(
                f"group_size={group_size} does not divide the {features} features of the inputs. "
                f"Use a divisor of {features}."
            )
        return features // group_size
    if not num_groups or num_groups < 0 or features % num_groups:
        raise ValueError(
            f"num_groups={num_groups} does not divide the {features} features of the inputs. Use "
            f"a divisor of {features}: num_groups={_nearest(num_groups or 1, features)}."
        )
    return num_groups


def _nearest(groups: int, features: int) -> int:
    """Return the divisor of ``features`` nearest to ``groups``."""
    divisors = [count for count in range(1, features + 1) if features % count == 0]
    return min(divisors, key=lambda count: abs(count - groups), default=1)


def group_axes(reduction_axes: Axes | None, rank: int) -> Sizes:
    """Return the axes over which groups take their statistics: given, or all but the first.

    Raises:
        ValueError: they leave out the last, which holds the features.

    >>> group_axes(None, 4)
    (1, 2, 3)
    """
    if reduction_axes is None:
        return (*range(1, rank - 1), rank - 1)
    axes = from_front(reduction_axes, rank)
    if axes[-1] != rank - 1:
        raise ValueError(
            f"reduction_axes={reduction_axes} leave out the last of the {rank} axes of the inputs, "
            "which holds the features that the groups are of. Add -1 to them."
        )
    return axes


def instance_axes(feature_axes: Axes, rank: int) -> tuple[Sizes, Sizes]:
    """Return the axes of the features, and those over which each takes its statistics.

    Raises:
        ValueError: the first axis, that of the examples, is among the feature axes.

    >>> instance_axes(-1, 4)
    ((3,), (1, 2))
    """
    features = from_front(feature_axes, rank)
    if 0 in features:
        raise ValueError(
            f"feature_axes={feature_axes} of inputs with {rank} axes name the first axis, which "
            "is that of the examples. Name others, -1 for the last."
        )
    return features, tuple(axis for axis in range(1, rank) if axis not in features)
