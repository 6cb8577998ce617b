"""The initializers by name, with the signatures of ``jax.nn.initializers``.

``linnet.ops.drawing`` says what an initializer is, ``linnet.ops.distributions`` what each draws.
"""

from typing import Any

import numpy as np

from linnet.base.typing import ArrayLike, Axes, Dtype
from linnet.ops.distributions import (
    Constant,
    DeltaOrthogonal,
    Distribution,
    Mode,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from linnet.ops.drawing import Initializer


def _axes(axes: Axes) -> int | tuple[int, ...]:
    """Return axes in a form that hashes."""
    return axes if isinstance(axes, int) else tuple(axes)


zeros = Constant(0.0, name="zeros")
ones = Constant(1.0, name="ones")


def zeros_init() -> Initializer:
    """Return the initializer that fills with zeros.

    >>> import jax
    >>> zeros_init()(jax.random.key(0), (2,))
    Array([0., 0.], dtype=float32)
    """
    return zeros


def ones_init() -> Initializer:
    """Return the initializer that fills with ones.

    >>> import jax
    >>> ones_init()(jax.random.key(0), (2,))
    Array([1., 1.], dtype=float32)
    """
    return ones


def constant(value: ArrayLike, dtype: Dtype | None = None) -> Initializer:
    """Return the initializer that fills with a value.

    >>> import jax
    >>> constant(3.0)(jax.random.key(0), (2,))
    Array([3., 3.], dtype=float32)
    """
    return Constant(np.asarray(value) if isinstance(value, (list, tuple)) else value, dtype=dtype)


def normal(stddev: Any = 1e-2, dtype: Dtype | None = None) -> Initializer:
    """Return the initializer that draws from a normal distribution.

    >>> normal(stddev=0.1)
    normal(stddev=0.1)
    """
    return Normal(stddev, dtype=dtype)


def truncated_normal(
    stddev: Any = 1e-2, dtype: Dtype | None = None, lower: Any = -2.0, upper: Any = 2.0
) -> Initializer:
    """Return the initializer that draws from a normal distribution cut at two bounds.

    The bounds are counted in units of ``stddev``, the deviation before the cut.

    >>> truncated_normal(stddev=0.1)
    truncated_normal(stddev=0.1)
    """
    return TruncatedNormal(stddev, lower, upper, dtype=dtype)


def uniform(scale: Any = 1e-2, dtype: Dtype | None = None) -> Initializer:
    """Return the initializer that draws evenly from ``[0, scale)``.

    >>> uniform(scale=0.1)
    uniform(scale=0.1)
    """
    return Uniform(scale, dtype=dtype)


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Dtype | None = None) -> Initializer:
    """Return the initializer that draws orthogonal matrices (Saxe et al. 2013, arXiv:1312.6120).

    >>> orthogonal(column_axis=0)
    orthogonal(column_axis=0)
    """
    return Orthogonal(scale, column_axis, dtype=dtype)


def delta_orthogonal(
    scale: Any = 1.0, column_axis: int = -1, dtype: Dtype | None = None
) -> Initializer:
    """Return the initializer of convolutions that keep norms (Xiao et al. 2018, arXiv:1806.05393).

    >>> delta_orthogonal(column_axis=0)
    delta_orthogonal(column_axis=0)
    """
    return DeltaOrthogonal(scale, column_axis, dtype=dtype)


def variance_scaling(
    scale: Any,
    mode: Mode,
    distribution: Distribution,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Dtype | None = None,
) -> Initializer:
    """Return the initializer whose variance is ``scale`` over the fan of the kernel.

    >>> variance_scaling(1.0, "fan_in", "truncated_normal")
    lecun_normal()
    """
    return VarianceScaling(
        scale, mode, distribution, _axes(in_axis), _axes(out_axis), _axes(batch_axis), dtype=dtype
    )


def glorot_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Dtype | None = None
) -> Initializer:
    """Return the initializer of variance ``2 / (fan_in + fan_out)``, a truncated normal.

    From Glorot and Bengio 2010.

    >>> glorot_normal(in_axis=-3)
    glorot_normal(in_axis=-3)
    """
    return variance_scaling(
        1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis, dtype
    )


def glorot_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Dtype | None = None
) -> Initializer:
    """Return the initializer of variance ``2 / (fan_in + fan_out)``, a uniform distribution.

    From Glorot and Bengio 2010.

    >>> glorot_uniform(in_axis=-3)
    glorot_uniform(in_axis=-3)
    """
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def he_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Dtype | None = None
) -> Initializer:
    """Return the initializer of variance ``2 / fan_in``, a truncated normal.

    From He et al. 2015, arXiv:1502.01852.

    >>> he_normal(in_axis=-3)
    he_normal(in_axis=-3)
    """
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def he_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Dtype | None = None
) -> Initializer:
    """Return the initializer of variance ``2 / fan_in``, a uniform distribution.

    From He et al. 2015, arXiv:1502.01852.

    >>> he_uniform(in_axis=-3)
    he_uniform(in_axis=-3)
    """
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Dtype | None = None
) -> Initializer:
    """Return the initializer of variance ``1 / fan_in``, a truncated normal.

    From LeCun et al. 1998.

    >>> lecun_normal(in_axis=-3)
    lecun_normal(in_axis=-3)
    """
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis, dtype)


def lecun_uniform(
    in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Dtype | None = None
) -> Initializer:
    """Return the initializer of variance ``1 / fan_in``, a uniform distribution.

    From LeCun et al. 1998.

    >>> lecun_uniform(in_axis=-3)
    lecun_uniform(in_axis=-3)
    """
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


xavier_normal = glorot_normal
xavier_uniform = glorot_uniform
kaiming_normal = he_normal
kaiming_uniform = he_uniform
