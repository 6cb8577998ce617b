"""Attention as a layer; the arithmetic stands in ``linnet.ops.attention``."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from linnet.base import errors
from linnet.base.typing import Array, DotGeneral, Dtype, Initializer, PrecisionLike
from linnet.nnx.layers.dense import LinearGeneral, default_bias_init
from linnet.nnx.layers.dot_product import dot_product_attention
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.layers.layer import NO_METADATA, Layer, chosen, decided, default_kernel_init
from linnet.nnx.layers.normalization import LayerNorm
from linnet.nnx.layers.rotary import counts_positions
from linnet.nnx.layers.stochastic import forked, next_key
from linnet.nnx.objects.kinds import Cache
from linnet.nnx.random.streams import Rngs, RngStream
from linnet.ops import attention
from linnet.ops.decoding import extend_cache
from linnet.ops.initializers import zeros
from linnet.ops.keys import drawn_key
from linnet.ops.masks import combine_masks

Promote = Callable[..., Any]

_DATA = (
    *("query", "key", "value", "query_ln", "key_ln", "out"),
    *("cached_key", "cached_value", "cache_index"),
)

_CONFIGURATION = """
    dtype param_dtype broadcast_dropout dropout_rate deterministic precision use_bias
    attention_fn decode normalize_qk qkv_promote_dtype out_promote_dtype ln_promote_dtype
    qkv_dot_general out_dot_general qkv_dot_general_cls out_dot_general_cls
"""

# arguments that all projections get, and those of the projections inwards
_SHARED = ("use_bias", "dtype", "param_dtype", "precision", "rngs")
_INWARDS = ("kernel_init", "bias_init", "kernel_metadata", "bias_metadata")


def _hooks(promote: Any, dot_general: Any, dot_general_cls: Any) -> dict[str, Any]:
    return {
        "promote_dtype": promote,
        "dot_general": dot_general,
        "dot_general_cls": dot_general_cls,
    }


def _outwards(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the projection outwards: by default those of the others."""
    own = {name: given[f"out_{name}"] or given[name] for name in _INWARDS}
    hooks = (given[f"out_{name}"] for name in ("promote_dtype", "dot_general", "dot_general_cls"))
    return {**own, **_hooks(*hooks)}


def _norm(given: Mapping[str, Any], head_dim: int, metadata: Any) -> LayerNorm | None:
    """Return what normalises queries or keys, if that was asked for."""
    if not given["normalize_qk"]:
        return None
    return LayerNorm(
        head_dim,
        use_bias=False,
        dtype=given["dtype"],
        param_dtype=given["param_dtype"],
        promote_dtype=given["ln_promote_dtype"],
        rngs=given["rngs"],
        scale_metadata=metadata,
    )


class MultiHeadAttention(Layer):
    """Attention with several heads (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        num_heads: how many heads; divides ``qkv_features``.
        in_features: the size of the last axis of what the queries are made of.
        qkv_features: the size of the queries, all heads together; by default ``in_features``.
        out_features: the size of the output; by default ``in_features``.
        num_kv_heads: how many heads of keys and values; a divisor of ``num_heads``, by default the
            same.
        in_kv_features: the size of the last axis of what keys and values are made of; by default
            ``in_features``.
        dtype: dtype of the computation.
        param_dtype: dtype of the parameters.
        broadcast_dropout: drop the same weights in all of the batch and all heads.
        dropout_rate: the probability that a weight is dropped.
        deterministic: drop nothing; to be given here or to the call if ``dropout_rate`` is not 0.
        precision: as in ``jax.lax.dot_general``.
        kernel_init: draws the kernels.
        out_kernel_init: draws the kernel of the output; ``None`` for ``kernel_init``.
        bias_init: draws the biases.
        out_bias_init: draws the bias of the output; ``None`` for ``bias_init``.
        use_bias: whether the four maps add a bias.
        attention_fn: in the place of ``dot_product_attention``, with its keyword arguments.
        decode: keep a cache, and take one token at a time; to be given here or to the call.
        normalize_qk: normalise queries and keys.
        qkv_promote_dtype: the ``promote_dtype`` of the maps to queries, keys and values.
        out_promote_dtype: that of the map to the output.
        ln_promote_dtype: that of the normalisations.
        qkv_dot_general: the ``dot_general`` of the maps to queries, keys and values.
        out_dot_general: that of the map to the output.
        qkv_dot_general_cls: makes ``qkv_dot_general``.
        out_dot_general_cls: makes ``out_dot_general``.
        rngs: the stream ``params`` draws the parameters, ``dropout`` what to drop.
        keep_rngs: whether to keep a stream of the layer's own for the dropout.
        kernel_metadata: metadata of the kernels.
        out_kernel_metadata: metadata of the kernel of the output.
        bias_metadata: metadata of the biases.
        out_bias_metadata: metadata of the bias of the output.
        query_ln_scale_metadata: metadata of the factors that normalise queries.
        key_ln_scale_metadata: metadata of those that normalise keys.

    Raises:
        ValueError: the heads do not divide the features, or those of keys those of queries.

    >>> from linnet import nnx
    >>> layer = nnx.MultiHeadAttention(2, in_features=4, decode=False, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((1, 5, 4))).shape
    (1, 5, 4)
    """

    query: LinearGeneral
    key: LinearGeneral
    value: LinearGeneral
    out: LinearGeneral
    query_ln: LayerNorm | None
    key_ln: LayerNorm | None
    cached_key: Cache[Array] | None
    cached_value: Cache[Array] | None
    cache_index: Cache[Array] | None

    def __init__(
        self,
        num_heads: int,
        in_features: int,
        qkv_features: int | None = None,
        out_features: int | None = None,
        num_kv_heads: int | None = None,
        in_kv_features: int | None = None,
        *,
        dtype: Dtype | None = None,
        param_dtype: Dtype = jnp.float32,
        broadcast_dropout: bool = True,
        dropout_rate: float = 0.0,
        deterministic: bool | None = None,
        precision: PrecisionLike = None,
        kernel_init: Initializer = default_kernel_init,
        out_kernel_init: Initializer | None = None,
        bias_init: Initializer = default_bias_init,
        out_bias_init: Initializer | None = None,
        use_bias: bool = True,
        attention_fn: Callable[..., Array] = dot_product_attention,
        decode: bool | None = None,
        normalize_qk: bool = False,
        qkv_promote_dtype: Promote = promote_dtype,
        out_promote_dtype: Promote = promote_dtype,
        ln_promote_dtype: Promote = promote_dtype,
        qkv_dot_general: DotGeneral | None = None,
        out_dot_general: DotGeneral | None = None,
        qkv_dot_general_cls: Any = None,
        out_dot_general_cls: Any = None,
        rngs: Rngs,
        keep_rngs: bool = True,
        kernel_metadata: Mapping[str, Any] = NO_METADATA,
        out_kernel_metadata: Mapping[str, Any] = NO_METADATA,
        bias_metadata: Mapping[str, Any] = NO_METADATA,
        out_bias_metadata: Mapping[str, Any] = NO_METADATA,
        query_ln_scale_metadata: Mapping[str, Any] = NO_METADATA,
        key_ln_scale_metadata: Mapping[str, Any] = NO_METADATA,
    ) -> None:
        given = dict(locals())
        size = qkv_features or in_features
        head_dim = attention.divide_heads(size, num_heads, num_kv_heads)
        kv_heads, kv_features = num_kv_heads or num_heads, in_kv_features or in_features
        shared = {name: given[name] for name in _SHARED}
        inwards: dict[str, Any] = {
            **shared,
            **{name: given[name] for name in _INWARDS},
            **_hooks(qkv_promote_dtype, qkv_dot_general, qkv_dot_general_cls),
        }
        norm = functools.partial(_norm, given, head_dim)
        keep = keep_rngs and dropout_rate > 0.0
        # the keys of parameters are drawn in this order
        self._set_up(
            (*_DATA, "rngs") if keep else _DATA,
            **chosen(given, "num_heads in_features"),
            qkv_features=size,
            out_features=out_features or in_features,
            in_kv_features=kv_features,
            num_kv_heads=kv_heads,
            **chosen(given, _CONFIGURATION),
            head_dim=head_dim,
            query=LinearGeneral(in_features, (num_heads, head_dim), **inwards),
            key=LinearGeneral(kv_features, (kv_heads, head_dim), **inwards),
            value=LinearGeneral(kv_features, (kv_heads, head_dim), **inwards),
            query_ln=norm(query_ln_scale_metadata),
            key_ln=norm(key_ln_scale_metadata),
            out=LinearGeneral(
                (num_heads, head_dim),
                out_features or in_features,
                axis=(-2, -1),
                **_outwards(given),
                **shared,
            ),
            rngs=forked(rngs, "dropout", self) if keep else None,
            cached_key=None,
            cached_value=None,
            cache_index=None,
        )

    def __call__(
        self,
        inputs_q: Array,
        inputs_k: Array | None = None,
        inputs_v: Array | None = None,
        *,
        mask: Array | None = None,
        deterministic: bool | None = None,
        rngs: Rngs | RngStream | None = None,
        sow_weights: bool = False,
        decode: bool | None = None,
        is_causal: bool = False,
        out_sharding: Any = None,
        qkv_sharding: Any = None,
        input_positions: Array | None = None,
    ) -> Array:
        """Attend.

        Shapes:
            inputs_q: ``(*batch, queries, in_features)``; inputs_k and inputs_v: ``(*batch, keys,
            in_kv_features)``; mask: broadcasts against ``(*batch, heads, queries, keys)``.

        Args:
            inputs_q: what the queries are made of.
            inputs_k: what the keys are made of; ``None`` for ``inputs_q``.
            inputs_v: what the values are made of; ``None`` for ``inputs_k``.
            mask: where a query may look, or ``None``.
            deterministic: drop nothing; comes before what the constructor was told.
            rngs: streams to draw the dropout from; come before those of the layer.
            sow_weights: sow the weights as ``attention_weights``.
            decode: use the cache; comes before what the constructor was told.
            is_causal: let no query look at a later key; of no effect with ``decode``, where the
                cache holds no later keys.
            out_sharding: how the result is laid out over devices of an explicit mesh.
            qkv_sharding: the same of queries, keys and values.
            input_positions: passed on to an ``attention_fn`` that takes positions, such as
                ``nnx.dot_product_attention_with_rope``, which counts them in the cache by itself.

        Returns:
            Array of shape ``(*batch, queries, out_features)``.

        Raises:
            UndecidedModeError: ``decode``, or where needed ``deterministic``, was given neither
                here nor before.
            MissingStreamsError: there are no streams to draw the dropout from.
            ValueError: ``inputs_v`` without ``inputs_k``, or decoding without a cache.
        """
        inputs_k, inputs_v = attention.complete_inputs(inputs_q, inputs_k, inputs_v)
        decoding = decided("decode", self, decode, self.decode)
        query = self.query(inputs_q, qkv_sharding)
        key = self.key(inputs_k, qkv_sharding)
        value = self.value(inputs_v, qkv_sharding)
        if self.query_ln is not None and self.key_ln is not None:
            query, key = self.query_ln(query), self.key_ln(key)
        if decoding:
            if input_positions is None and counts_positions(self.attention_fn):
                input_positions = self._next_position()
            key, value, mask = self._extend(key, value, mask)
        off, dropout_rng = True, None
        if self.dropout_rate > 0.0:
            off = decided("deterministic", self, deterministic, self.deterministic)
            if not off:
                source = self.rngs if rngs is None else rngs
                dropout_rng = drawn_key(next_key(source, "dropout", self))
        x = self.attention_fn(
            query,
            key,
            value,
            mask=mask,
            dropout_rng=dropout_rng,
            dropout_rate=self.dropout_rate,
            broadcast_dropout=self.broadcast_dropout,
            deterministic=off,
            dtype=self.dtype,
            precision=self.precision,
            module=self if sow_weights else None,
            is_causal=is_causal and not decoding,
            **({} if input_positions is None else {"input_positions": input_positions}),
        )
        return self.out(x, out_sharding)

    def _next_position(self) -> Array | None:
        """Return where the next token will stand in the cache."""
        return None if self.cache_index is None else self.cache_index.get_value()[None]

    def _extend(self, key: Array, value: Array, mask: Array | None) -> tuple[Any, Any, Any]:
        """Put the next token into the cache, and mask what is not yet there."""
        keys, values, index = self.cached_key, self.cached_value, self.cache_index
        if keys is None or values is None or index is None:
            raise errors.MissingCacheError(type(self).__name__)
        new_keys, new_values, count, written = extend_cache(
            keys.get_value(), values.get_value(), index.get_value(), key, value
        )
        keys.set_value(new_keys)
        values.set_value(new_values)
        index.set_value(count)
        return new_keys, new_values, combine_masks(mask, written)

    def init_cache(self, input_shape: Sequence[int], dtype: Dtype = jnp.float32) -> None:
        """Make an empty cache, as long as the sequence of an input of this shape.

        Args:
            input_shape: ``(*batch, max_length, in_features)``.
            dtype: dtype of the cache.
        """
        shape = (*input_shape[:-1], self.num_kv_heads, self.head_dim)
        self.cached_key = Cache(zeros(None, shape, dtype))
        self.cached_value = Cache(zeros(None, shape, dtype))
        self.cache_index = Cache(zeros(None, (), jnp.int32))

    def set_view(
        self,
        deterministic: bool | None = None,
        decode: bool | None = None,
        batch_size: int | Sequence[int] | None = None,
        max_length: int | None = None,
    ) -> None:
        """Set what ``nnx.view`` asks for.

        Args:
            deterministic: drop nothing.
            decode: keep a cache, and take one token at a time.
            batch_size: the size, or the sizes, of the batch axes of a new cache.
            max_length: the length of a new cache.

        Raises:
            ValueError: one of ``batch_size`` and ``max_length`` without the other.
        """
        if deterministic is not None:
            self.deterministic = deterministic
        if decode is not None:
            self.decode = decode
        if (batch_size is None) != (max_length is None):
            raise ValueError(
                f"A view of MultiHeadAttention with batch_size={batch_size} and max_length="
                f"{max_length}: a cache has both. Give both, or neither to keep the cache."
            )
        if batch_size is not None and max_length is not None:
            batch = (batch_size,) if isinstance(batch_size, int) else tuple(batch_size)
            self.init_cache((*batch, max_length, self.in_features))
