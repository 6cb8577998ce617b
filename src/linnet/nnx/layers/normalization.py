"""Layers that normalise; the arithmetic stands in ``linnet.ops.normalization``.

Every layer here can scale and shift what it normalised, keeps its statistics in float32 at least,
may average them over a mapped axis (``axis_name``), and takes a mask of the elements that count.
Inputs and parameters are brought to one dtype first, and the statistics are taken of that.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, Axes, Dtype, Initializer
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.layers.layer import (
    NO_METADATA,
    Layer,
    chosen,
    decided,
    draw,
    param,
    params_of,
    spread,
    value_of,
)
from linnet.nnx.objects.kinds import BatchStat, Param
from linnet.nnx.random.streams import Rngs
from linnet.ops import normalization, statistics
from linnet.ops.axes import as_tuple, from_front
from linnet.ops.dtypes import as_array
from linnet.ops.initializers import ones, zeros

Promote = Callable[..., Any]

SCALE_AND_BIAS = ("scale", "bias")


def factors(
    layer: Any, given: Mapping[str, Any], names: tuple[str, ...] = SCALE_AND_BIAS
) -> dict[str, Any]:
    """Make the factors and the shifts of each feature, those that are wanted, in this order.

    Args:
        layer: the layer.
        given: the arguments of its constructor.
        names: ``scale`` for factors, ``bias`` for shifts.
    """
    drawn: dict[str, Any] = dict.fromkeys(names)
    for name in names:
        if given[f"use_{name}"]:
            stream, shape = params_of(given["rngs"], layer), (given["num_features"],)
            value = draw(stream, given[f"{name}_init"], shape, given["param_dtype"])
            drawn[name] = param(value, given[f"{name}_metadata"])
    return drawn


def statistics_settings(layer: Any) -> dict[str, Any]:
    """Return how a layer computes its statistics."""
    groups = layer.axis_index_groups
    return {
        "axis_name": layer.axis_name,
        "axis_index_groups": None if groups is None else tuple(tuple(group) for group in groups),
        "use_fast_variance": layer.use_fast_variance,
        "epsilon": layer.epsilon,
        "dtype": layer.dtype,
        "promote_first": True,
        "promote_dtype": spread(layer.promote_dtype),
    }


class BatchNorm(Layer):
    """Normalise each feature over the batch (Ioffe and Szegedy 2015, arXiv:1502.03167).

    In training the statistics are those of the batch, and running means of them are kept, in
    variables of type ``BatchStat``; in evaluation the running means are used.

    Args:
        num_features: how many features there are.
        use_running_average: whether to use the running means; ``None`` to decide at the call.
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
        promote_dtype: brings inputs, statistics and parameters, given as one tuple, to one dtype.
        rngs: the stream ``params`` draws the parameters.
        bias_metadata: metadata of the shifts.
        scale_metadata: metadata of the factors.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.BatchNorm(1, momentum=0.5, rngs=nnx.Rngs(0))
    >>> y = layer(jnp.array([[1.0], [3.0]]))
    >>> print(layer.mean[...], layer.var[...])
    [1.] [1.]
    """

    scale: Param[Array] | None
    bias: Param[Array] | None

    def __init__(
        self,
        num_features: int,
        *,
        use_running_average: bool | None = False,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-5,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Initializer = zeros,
        scale_init: Initializer = ones,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: Promote = promote_dtype,
        rngs: Rngs,
        bias_metadata: Mapping[str, Any] = NO_METADATA,
        scale_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        shape = (num_features,)
        self._set_up(
            ("mean", "var", *SCALE_AND_BIAS),
            mean=BatchStat(zeros(None, shape, jnp.float32)),
            var=BatchStat(ones(None, shape, jnp.float32)),
            **factors(self, given),
            **chosen(
                given,
                "num_features use_running_average axis momentum epsilon dtype "
                "param_dtype use_bias use_scale axis_name axis_index_groups "
                "use_fast_variance promote_dtype",
            ),
        )

    def __call__(
        self,
        x: Array,
        use_running_average: bool | None = None,
        *,
        mask: Array | None = None,
    ) -> Array:
        """Normalise.

        Args:
            x: what to normalise.
            use_running_average: whether to use the running means; comes before what the constructor
                was told.
            mask: which elements count in the statistics; ``None`` for all.

        Returns:
            Array of the shape of ``x``.

        Raises:
            UndecidedModeError: ``use_running_average`` was given neither here nor before.
            ShapeMismatchError: ``x`` has other features.
        """
        x = as_array(x, self)
        frozen = decided("use_running_average", self, use_running_average, self.use_running_average)
        running = value_of(self.mean), value_of(self.var)
        scale, bias = value_of(self.scale), value_of(self.bias)
        axis = from_front(self.axis, x.ndim)
        if frozen:
            return statistics.normalize(
                x,
                *running,
                scale,
                bias,
                reduction_axes=tuple(place for place in range(x.ndim) if place not in axis),
                feature_axes=axis,
                epsilon=self.epsilon,
                dtype=self.dtype,
                promote_first=True,
                promote_dtype=spread(self.promote_dtype),
            )
        outputs, moved = normalization.batch_norm(
            x,
            running,
            scale,
            bias,
            mask,
            axis=axis,
            momentum=self.momentum,
            detach_running=True,
            **statistics_settings(self),
        )
        if moved is not None:
            self.mean.set_value(moved[0])
            self.var.set_value(moved[1])
        return outputs

    def set_view(self, use_running_average: bool | None = None) -> None:
        """Set what ``nnx.view`` asks for.

        Args:
            use_running_average: whether to use the running means.
        """
        if use_running_average is not None:
            self.use_running_average = use_running_average


class LayerNorm(Layer):
    """Normalise each example over its features (Ba et al. 2016, arXiv:1607.06450).

    Args:
        num_features: how many features there are.
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
        promote_dtype: brings inputs and parameters, given as one tuple, to one dtype.
        rngs: the stream ``params`` draws the parameters.
        bias_metadata: metadata of the shifts.
        scale_metadata: metadata of the factors.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.LayerNorm(2, epsilon=0.0, rngs=nnx.Rngs(0))
    >>> layer(jnp.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """

    scale: Param[Array] | None
    bias: Param[Array] | None

    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float = 1e-6,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Initializer = zeros,
        scale_init: Initializer = ones,
        reduction_axes: Axes = -1,
        feature_axes: Axes = -1,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: Promote = promote_dtype,
        rngs: Rngs,
        bias_metadata: Mapping[str, Any] = NO_METADATA,
        scale_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        self._set_up(
            SCALE_AND_BIAS,
            **factors(self, given),
            **chosen(
                given,
                "num_features epsilon dtype param_dtype use_bias use_scale "
                "reduction_axes feature_axes axis_name axis_index_groups "
                "use_fast_variance promote_dtype",
            ),
        )

    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Normalise; ``mask`` says which elements count in the statistics.

        Raises:
            ShapeMismatchError: ``x`` has other features.
        """
        x = as_array(x, self)
        return normalization.layer_norm(
            x,
            value_of(self.scale),
            value_of(self.bias),
            mask,
            reduction_axes=as_tuple(self.reduction_axes),
            feature_axes=as_tuple(self.feature_axes),
            **statistics_settings(self),
        )


class RMSNorm(Layer):
    """Divide each example by its root mean square (Zhang and Sennrich 2019, arXiv:1910.07467).

    Args:
        num_features: how many features there are.
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
        promote_dtype: brings inputs and factors, given as one tuple, to one dtype.
        rngs: the stream ``params`` draws the factors.
        scale_metadata: metadata of the factors.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.RMSNorm(2, epsilon=0.0, rngs=nnx.Rngs(0))
    >>> layer(jnp.array([[3.0, 3.0]])).tolist()
    [[1.0, 1.0]]
    """

    scale: Param[Array] | None

    def __init__(
        self,
        num_features: int,
        *,
        epsilon: float = 1e-6,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        use_scale: bool = True,
        scale_init: Initializer = ones,
        reduction_axes: Axes = -1,
        feature_axes: Axes = -1,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: Promote = promote_dtype,
        rngs: Rngs,
        scale_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        self._set_up(
            ("scale",),
            **factors(self, given, ("scale",)),
            **chosen(
                given,
                "num_features epsilon dtype param_dtype use_scale reduction_axes "
                "feature_axes axis_name axis_index_groups use_fast_variance "
                "promote_dtype",
            ),
        )

    def __call__(self, x: Array, mask: Array | None = None) -> Array:
        """Normalise; ``mask`` says which elements count in the mean square.

        Raises:
            ShapeMismatchError: ``x`` has other features.
        """
        x = as_array(x, self)
        settings = statistics_settings(self)
        hook = settings.pop("promote_dtype")
        return normalization.layer_norm(
            x,
            value_of(self.scale),
            None,
            mask,
            reduction_axes=as_tuple(self.reduction_axes),
            feature_axes=as_tuple(self.feature_axes),
            use_mean=False,
            promote_dtype=None if hook is None else without_bias(hook),
            **settings,
        )


def without_bias(hook: Promote) -> Promote:
    """Make of a hook that promotes inputs and factors one that is given an absent bias too."""
    return lambda x, scale, bias, **how: (*hook(x, scale, **how), bias)
