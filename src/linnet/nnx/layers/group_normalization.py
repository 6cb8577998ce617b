"""Layers that normalise groups of features, or each feature, over the positions of an example."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, Axes, Dtype, Initializer
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.layers.layer import NO_METADATA, Layer, chosen, value_of
from linnet.nnx.layers.normalization import SCALE_AND_BIAS, Promote, factors, statistics_settings
from linnet.nnx.objects.kinds import Param
from linnet.nnx.random.streams import Rngs
from linnet.ops import normalization
from linnet.ops.dtypes import as_array
from linnet.ops.initializers import ones, zeros


class GroupNorm(Layer):
    """Normalise each group of features of each example (Wu and He 2018, arXiv:1803.08494).

    Args:
        num_features: how many features there are.
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
        promote_dtype: brings inputs and parameters, given as one tuple, to one dtype.
        rngs: the stream ``params`` draws the parameters.
        bias_metadata: metadata of the shifts.
        scale_metadata: metadata of the factors.

    Raises:
        ValueError: the groups do not divide the features, or neither or both of ``num_groups`` and
            ``group_size`` are given.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> nnx.GroupNorm(4, num_groups=2, rngs=nnx.Rngs(0))(jnp.ones((1, 5, 4))).shape
    (1, 5, 4)
    """

    scale: Param[Array] | None
    bias: Param[Array] | None

    def __init__(
        self,
        num_features: int,
        num_groups: int | None = 32,
        group_size: int | None = None,
        *,
        epsilon: float = 1e-6,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        use_bias: bool = True,
        use_scale: bool = True,
        bias_init: Initializer = zeros,
        scale_init: Initializer = ones,
        reduction_axes: Axes | None = None,
        axis_name: str | None = None,
        axis_index_groups: Any = None,
        use_fast_variance: bool = True,
        promote_dtype: Promote = promote_dtype,
        rngs: Rngs,
        bias_metadata: Mapping[str, Any] = NO_METADATA,
        scale_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        groups = normalization.count_groups(num_groups, group_size, num_features)
        self._set_up(
            SCALE_AND_BIAS,
            feature_axis=-1,
            num_groups=groups,
            group_size=num_features // groups,
            **factors(self, given),
            **chosen(
                given,
                "epsilon dtype param_dtype use_bias use_scale reduction_axes axis_name "
                "axis_index_groups use_fast_variance promote_dtype",
            ),
        )

    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Normalise; ``mask`` says which elements count in the statistics.

        Raises:
            ShapeMismatchError: ``x`` has other features.
        """
        x = as_array(x, self)
        return normalization.group_norm(
            x,
            value_of(self.scale),
            value_of(self.bias),
            mask,
            num_groups=self.num_groups,
            reduction_axes=normalization.group_axes(self.reduction_axes, x.ndim),
            **statistics_settings(self),
        )


class InstanceNorm(Layer):
    """Normalise each feature of each example over its positions (arXiv:1607.08022).

    Args:
        num_features: how many features there are.
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
        promote_dtype: brings inputs and parameters, given as one tuple, to one dtype.
        rngs: the stream ``params`` draws the parameters.
        bias_metadata: metadata of the shifts.
        scale_metadata: metadata of the factors.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> nnx.InstanceNorm(4, rngs=nnx.Rngs(0))(jnp.ones((1, 5, 4))).shape
    (1, 5, 4)
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
                "num_features epsilon dtype param_dtype use_bias use_scale feature_axes "
                "axis_name axis_index_groups use_fast_variance promote_dtype",
            ),
        )

    def __call__(self, x: Array, *, mask: Array | None = None) -> Array:
        """Normalise; ``mask`` says which elements count in the statistics.

        Raises:
            ValueError: the first axis, that of the examples, is among the feature axes.
            ShapeMismatchError: ``x`` has other features.
        """
        x = as_array(x, self)
        features, reduced = normalization.instance_axes(self.feature_axes, x.ndim)
        return normalization.layer_norm(
            x,
            value_of(self.scale),
            value_of(self.bias),
            mask,
            reduction_axes=reduced,
            feature_axes=features,
            **statistics_settings(self),
        )
