"""Layers that normalise; the arithmetic stands in ``linnet.ops.normalization``.

Every layer here can scale and shift what it normalised, keeps its statistics in float32 at least,
may average them over a mapped axis (``axis_name``), and takes a mask of the elements that count.
"""

from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, Axes, Dtype, Initializer
from linnet.linen.modules.module import Module, compact, merge_param
from linnet.ops import normalization, statistics
from linnet.ops.axes import as_tuple, from_front
from linnet.ops.dtypes import as_array
from linnet.ops.initializers import ones, zeros


def _groups(groups: Any) -> Any:
    """Return groups of devices in a form that hashes."""
    return None if groups is None else tuple(tuple(group) for group in groups)


def _statistics(layer: Any) -> dict[str, Any]:
    """Return how a layer computes its statistics."""
    return {
        "axis_name": layer.axis_name,
        "axis_index_groups": _groups(layer.axis_index_groups),
        "use_fast_variance": layer.use_fast_variance,
        "force_float32_reductions": layer.force_float32_reductions,
        "epsilon": layer.epsilon,
        "dtype": layer.dtype,
    }


def _scale(layer: Any, shape: tuple[int, ...]) -> Array | None:
    """Make the factors."""
    if not layer.use_scale:
        return None
    return layer.param("scale", layer.scale_init, shape, layer.param_dtype)


def _bias(layer: Any, shape: tuple[int, ...]) -> Array | None:
    """Make the shifts."""
    if not layer.use_bias:
        return None
    return layer.param("bias", layer.bias_init, shape, layer.param_dtype)


class BatchNorm(Module):
    """Normalise each feature over the batch (Ioffe and Szegedy 2015, arXiv:1502.03167).

    In training the statistics are those of the batch, and running means of them are kept in the
    collection ``batch_stats``, which must then be mutable; at inference the running means are used.

    Attributes:
        use_running_average: whether to use the running means; to be given here or to the call.
        axis: the feature axis or axes; the statistics are taken over all others.
        momentum: how much of the running means remains at each step.
        epsilon: keeps the divisor from zero.
        dtype: dtype of the result.
        param_dtype: dtype of the parameters.
        use_bias: whether to shift.
        use_scale: whether to scale.
        bias_init: draws the shifts.
        scale_init: draws the factors.
        axis_name: average over the mapped axis of this name too.
        axis_index_groups: average over groups of that axis only.
        use_fast_variance: compute the variance in one pass.
        force_float32_reductions: compute the statistics in float32 at least.

    >>> import jax, linnet.linen as nn
    >>> layer, x = nn.BatchNorm(use_running_average=False), jnp.ones((4, 3))
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, updates = layer.apply(variables, x, mutable=["batch_stats"])
    >>> jax.tree.map(jnp.shape, updates)
    {'batch_stats': {'mean': (3,), 'var': (3,)}}
    """

    use_running_average: bool | None = None
    axis: int = -1
    momentum: float = 0.99
    epsilon: float = 1e-5
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    use_bias: bool = True
    use_scale: bool = True
    bias_init: Initializer = zeros
    scale_init: Initializer = ones
    axis_name: str | None = None
    axis_index_groups: Any = None
    use_fast_variance: bool = True
    force_float32_reductions: bool = True

    @compact
    def __call__(
        self, x: Array, use_running_average: bool | None = None, *, mask: Array | None = None
    ) -> Array:
        """Normalise.

        Args:
            x: what to normalise.
            use_running_average: whether to use the running means.
            mask: which elements count in the statistics; ``None`` for all.

        Returns:
            Array of the shape of ``x``.

        Raises:
            ValueError: ``use_running_average`` is given neither here nor to the constructor, or
                twice.
            ModifyScopeVariableError: in training, if ``batch_stats`` is not mutable.
        """
        x = as_array(x, self)
        use_running_average = merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        axis = from_front(self.axis, x.ndim)
        shape = tuple(x.shape[place] for place in axis)
        mean = self.variable("batch_stats", "mean", zeros, None, shape, jnp.float32)
        var = self.variable("batch_stats", "var", ones, None, shape, jnp.float32)
        scale, bias = _scale(self, shape), _bias(self, shape)
        if use_running_average:
            return statistics.normalize(
                x,
                mean.value,
                var.value,
                scale,
                bias,
                reduction_axes=tuple(place for place in range(x.ndim) if place not in axis),
                feature_axes=axis,
                epsilon=self.epsilon,
                dtype=self.dtype,
            )
        first = self.is_initializing()
        settings = _statistics(self)
        if first:
            # the axis of that name may not be there yet
            settings["axis_name"] = None
        outputs, moved = normalization.batch_norm(
            x,
            None if first else (mean.value, var.value),
            scale,
            bias,
            mask,
            axis=axis,
            momentum=self.momentum,
            **settings,
        )
        if moved is not None:
            mean.value, var.value = moved
        return outputs


class LayerNorm(Module):
    """Normalise each example over its features (Ba et al. 2016, arXiv:1607.06450).

    Attributes:
        epsilon: keeps the divisor from zero.
        dtype: dtype of the result.
        param_dtype: dtype of the parameters.
        use_bias: whether to shift.
        use_scale: whether to scale.
        bias_init: draws the shifts.
        scale_init: draws the factors.
        reduction_axes: the axes over which the statistics are taken.
        feature_axes: the axes along which factors and shifts vary.
        axis_name: average over the mapped axis of this name too.
        axis_index_groups: average over groups of that axis only.
        use_fast_variance: compute the variance in one pass.
        force_float32_reductions: compute the statistics in float32 at least.

    >>> import jax, linnet.linen as nn
    >>> jax.tree.map(jnp.shape, nn.LayerNorm().init(jax.random.key(0), jnp.ones((2, 3))))
    {'params': {'bias': (3,), 'scale': (3,)}}
    """

    epsilon: float = 1e-6
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    use_bias: bool = True
    use_scale: bool = True
    bias_init: Initializer = zeros
    scale_init: Initializer = ones
    reduction_axes: Axes = -1
    feature_axes: Axes = -1
    axis_name: str | None = None
    axis_index_groups: Any = None
    use_fast_variance: bool = True
    force_float32_reductions: bool = True

    @compact
    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Normalise; ``mask`` says which elements count in the statistics."""
        x = as_array(x, self)
        axes = from_front(self.feature_axes, x.ndim)
        shape = tuple(x.shape[axis] for axis in axes)
        scale, bias = _scale(self, shape), _bias(self, shape)
        return normalization.layer_norm(
            x,
            scale,
            bias,
            mask,
            reduction_axes=as_tuple(self.reduction_axes),
            feature_axes=axes,
            **_statistics(self),
        )


class RMSNorm(Module):
    """Divide each example by its root mean square (Zhang and Sennrich 2019, arXiv:1910.07467).

    Attributes:
        epsilon: keeps the divisor from zero.
        dtype: dtype of the result.
        param_dtype: dtype of the parameters.
        use_scale: whether to scale.
        scale_init: draws the factors.
        reduction_axes: the axes over which the mean square is taken.
        feature_axes: the axes along which the factors vary.
        axis_name: average over the mapped axis of this name too.
        axis_index_groups: average over groups of that axis only.
        use_fast_variance: of no effect, since there is no mean.
        force_float32_reductions: compute the mean square in float32 at least.

    >>> import jax, linnet.linen as nn
    >>> jax.tree.map(jnp.shape, nn.RMSNorm().init(jax.random.key(0), jnp.ones((2, 3))))
    {'params': {'scale': (3,)}}
    """

    epsilon: float = 1e-6
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    use_scale: bool = True
    scale_init: Initializer = ones
    reduction_axes: Axes = -1
    feature_axes: Axes = -1
    axis_name: str | None = None
    axis_index_groups: Any = None
    use_fast_variance: bool = True
    force_float32_reductions: bool = True

    @compact
    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Normalise; ``mask`` says which elements count in the mean square."""
        x = as_array(x, self)
        axes = from_front(self.feature_axes, x.ndim)
        scale = _scale(self, tuple(x.shape[axis] for axis in axes))
        return normalization.layer_norm(
            x,
            scale,
            None,
            mask,
            reduction_axes=as_tuple(self.reduction_axes),
            feature_axes=axes,
            use_mean=False,
            **_statistics(self),
        )


class GroupNorm(Module):
    """Normalise each group of features of each example (Wu and He 2018, arXiv:1803.08494).

    Attributes:
        num_groups: how many groups; ``None`` if ``group_size`` is given.
        group_size: how many features a group has.
        epsilon: keeps the divisor from zero.
        dtype: dtype of the result.
        param_dtype: dtype of the parameters.
        use_bias: whether to shift.
        use_scale: whether to scale.
        bias_init: draws the shifts.
        scale_init: draws the factors.
        reduction_axes: the axes over which the statistics are taken, the last among them; ``None``
            for all but the first.
        axis_name: average over the mapped axis of this name too.
        axis_index_groups: average over groups of that axis only.
        use_fast_variance: compute the variance in one pass.
        force_float32_reductions: compute the statistics in float32 at least.

    >>> import jax, linnet.linen as nn
    >>> jax.tree.map(jnp.shape, nn.GroupNorm(2).init(jax.random.key(0), jnp.ones((1, 5, 4))))
    {'params': {'bias': (4,), 'scale': (4,)}}
    """

    num_groups: int | None = 32
    group_size: int | None = None
    epsilon: float = 1e-6
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    use_bias: bool = True
    use_scale: bool = True
    bias_init: Initializer = zeros
    scale_init: Initializer = ones
    reduction_axes: Axes | None = None
    axis_name: str | None = None
    axis_index_groups: Any = None
    use_fast_variance: bool = True
    force_float32_reductions: bool = True

    @compact
    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Normalise; ``mask`` says which elements count in the statistics.

        Raises:
            ValueError: the groups do not divide the features, neither or both of ``num_groups`` and
                ``group_size`` are given, or the last axis is not reduced.
        """
        x = as_array(x, self)
        features = x.shape[-1]
        groups = normalization.count_groups(self.num_groups, self.group_size, features)
        axes = normalization.group_axes(self.reduction_axes, x.ndim)
        scale, bias = _scale(self, (features,)), _bias(self, (features,))
        return normalization.group_norm(
            x, scale, bias, mask, num_groups=groups, reduction_axes=axes, **_statistics(self)
        )


class InstanceNorm(Module):
    """Normalise each feature of each example over its positions (arXiv:1607.08022).

    Attributes:
        epsilon: keeps the divisor from zero.
        dtype: dtype of the result.
        param_dtype: dtype of the parameters.
        use_bias: whether to shift.
        use_scale: whether to scale.
        bias_init: draws the shifts.
        scale_init: draws the factors.
        feature_axes: the feature axes; the statistics are taken over all others but the first.
        axis_name: average over the mapped axis of this name too.
        axis_index_groups: average over groups of that axis only.
        use_fast_variance: compute the variance in one pass.
        force_float32_reductions: compute the statistics in float32 at least.

    >>> import jax, linnet.linen as nn
    >>> jax.tree.map(jnp.shape, nn.InstanceNorm().init(jax.random.key(0), jnp.ones((1, 5, 4))))
    {'params': {'bias': (4,), 'scale': (4,)}}
    """

    epsilon: float = 1e-6
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    use_bias: bool = True
    use_scale: bool = True
    bias_init: Initializer = zeros
    scale_init: Initializer = ones
    feature_axes: Axes = -1
    axis_name: str | None = None
    axis_index_groups: Any = None
    use_fast_variance: bool = True
    force_float32_reductions: bool = True

    @compact
    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Normalise; ``mask`` says which elements count in the statistics.

        Raises:
            ValueError: the first axis, that of the examples, is among the feature axes.
        """
        x = as_array(x, self)
        axes, reduced = normalization.instance_axes(self.feature_axes, x.ndim)
        shape = tuple(x.shape[axis] for axis in axes)
        scale, bias = _scale(self, shape), _bias(self, shape)
        return normalization.layer_norm(
            x,
            scale,
            bias,
            mask,
            reduction_axes=reduced,
            feature_axes=axes,
            **_statistics(self),
        )
