"""Adaptation of a trained layer by a map of low rank (Hu et al. 2021, arXiv:2106.09685)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from linnet.base.typing import Array, Dtype, Initializer
from linnet.nnx.layers.dense import Linear, default_bias_init
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.layers.layer import NO_METADATA, Layer, chosen, draw, params_of, spread, value_of
from linnet.nnx.objects.kinds import Param
from linnet.nnx.objects.variable import Variable
from linnet.nnx.random.streams import Rngs
from linnet.ops.dtypes import as_array
from linnet.ops.initializers import he_uniform
from linnet.ops.linear import low_rank

default_a_initializer = he_uniform()
default_b_initializer = default_bias_init

Promote = Callable[..., Any]


class LoRAParam(Param[Any]):
    """A parameter of an adaptation: what is trained while the model itself is kept."""


class LoRA(Layer):
    """Map through few dimensions, ``y = x @ a @ b``, and add what another module makes of ``x``.

    Args:
        in_features: the size of the last axis of the input.
        lora_rank: the number of dimensions between.
        out_features: the size of the last axis of the output.
        base_module: the module to adapt, or ``None``.
        dtype: dtype of the computation.
        param_dtype: dtype of the parameters.
        a_initializer: draws the map to few dimensions.
        b_initializer: draws the map from there; zeros by default, so that nothing changes at first.
        lora_param_type: the type of the parameters.
        promote_dtype: brings inputs and parameters, given as one tuple, to one dtype.
        rngs: the stream ``params`` draws the parameters.
        a_metadata: metadata of the first map.
        b_metadata: metadata of the second.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.LoRA(3, 2, 4, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((1, 3))).shape, layer.lora_a.shape
    ((1, 4), (3, 2))
    """

    lora_a: Variable[Array]
    lora_b: Variable[Array]

    def __init__(
        self,
        in_features: int,
        lora_rank: int,
        out_features: int,
        *,
        base_module: Callable[..., Array] | None = None,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        a_initializer: Initializer = default_a_initializer,
        b_initializer: Initializer = default_b_initializer,
        lora_param_type: type[Variable[Any]] = LoRAParam,
        promote_dtype: Promote = promote_dtype,
        rngs: Rngs,
        a_metadata: Mapping[str, Any] = NO_METADATA,
        b_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        stream = params_of(rngs, self)
        a = draw(stream, a_initializer, (in_features, lora_rank), param_dtype)
        b = draw(stream, b_initializer, (lora_rank, out_features), param_dtype)
        self._set_up(
            ("lora_a", "lora_b"),
            **chosen(
                given,
                "in_features out_features dtype param_dtype lora_param_type base_module "
                "promote_dtype",
            ),
            lora_a=lora_param_type(a, **a_metadata),
            lora_b=lora_param_type(b, **b_metadata),
        )

    def __call__(self, x: Array, **kwargs: Any) -> Array:
        """Adapt what the base module makes of ``x``, which also gets the keyword arguments.

        Raises:
            ValueError: the base module cannot be called.
            ShapeMismatchError: ``x`` has other features.
        """
        x = as_array(x, self)
        base: Any = self.base_module
        if base is not None and not callable(base):
            raise ValueError(
                f"LoRA was made with base_module={base!r}, which cannot be called. Give it a "
                "module or a function, base_module=nnx.Linear(...), or None for none."
            )
        adapted: Any = None if base is None else base(x, **kwargs)
        return low_rank(
            x,
            value_of(self.lora_a),
            value_of(self.lora_b),
            adapted,
            dtype=self.dtype,
            promote_dtype=spread(self.promote_dtype),
        )


class LoRALinear(Linear):
    """A ``Linear`` layer with an adaptation of low rank, in its attribute ``lora``.

    Args:
        in_features: the size of the last axis of the input.
        out_features: the size of the last axis of the output.
        lora_rank: the number of dimensions between.
        lora_dtype: dtype of the computation of the adaptation.
        lora_param_dtype: dtype of its parameters.
        a_initializer: draws the map to few dimensions.
        b_initializer: draws the map from there.
        lora_param_type: the type of its parameters.
        lora_promote_dtype: brings inputs and its parameters, given as one tuple, to one dtype.
        rngs: the stream ``params`` draws the parameters.
        a_metadata: metadata of the first map.
        b_metadata: metadata of the second.
        **kwargs: as for ``Linear``.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> layer = nnx.LoRALinear(3, 4, lora_rank=2, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((1, 3))).shape, layer.lora.lora_a.shape
    ((1, 4), (3, 2))
    """

    lora: LoRA

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        lora_rank: int,
        lora_dtype: Dtype | None = None,
        lora_param_dtype: Dtype = jnp.float32,
        a_initializer: Initializer = default_a_initializer,
        b_initializer: Initializer = default_b_initializer,
        lora_param_type: type[Variable[Any]] = LoRAParam,
        lora_promote_dtype: Promote = promote_dtype,
        rngs: Rngs,
        a_metadata: Mapping[str, Any] = NO_METADATA,
        b_metadata: Mapping[str, Any] = NO_METADATA,
        **kwargs: Any,
    ) -> None:
        given = dict(locals())
        super().__init__(in_features, out_features, rngs=rngs, **kwargs)
        self.lora = LoRA(
            in_features,
            lora_rank,
            out_features,
            dtype=lora_dtype,
            param_dtype=lora_param_dtype,
            promote_dtype=lora_promote_dtype,
            **chosen(
                given, "a_initializer b_initializer lora_param_type rngs a_metadata b_metadata"
            ),
        )

    def __call__(self, x: Array, out_sharding: Any = None) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride] - Flax's names
        """Map the last axis, with both maps.

        Args:
            x: what to map.
            out_sharding: how the result is laid out over devices of an explicit mesh.
        """
        x = as_array(x, self)
        return low_rank(
            x,
            value_of(self.lora.lora_a),
            value_of(self.lora.lora_b),
            super().__call__(x, out_sharding=out_sharding),
            dtype=self.lora.dtype,
            promote_dtype=spread(self.lora.promote_dtype),
        )
