"""Attention as layers and functions; the arithmetic stands in ``linnet.ops.attention``."""

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import jax.numpy as jnp

from linnet.base.typing import Array, DotGeneral, Dtype, Initializer, PrecisionLike, PRNGKey
from linnet.linen.layers.dense import DenseGeneral, default_kernel_init
from linnet.linen.layers.normalization import LayerNorm
from linnet.linen.modules.module import Module, compact, merge_param, nowrap
from linnet.ops import attention
from linnet.ops.decoding import extend_cache
from linnet.ops.initializers import zeros
from linnet.ops.masks import (
    combine_masks,
    make_attention_mask as make_attention_mask,
    make_causal_mask as make_causal_mask,
)


def dot_product_attention_weights(
    query: Array,
    key: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    broadcast_dropout: bool = True,
    dropout_rng: PRNGKey | None = None,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    module: Module | None = None,
    force_fp32_for_softmax: bool = False,
    einsum_dot_general: DotGeneral | None = None,
    einsum: Callable[..., Array] | None = None,
) -> Array:
    """Compute how much each query attends to each key.

    Shapes:
        query: ``(*batch, queries, heads, depth)``; key: ``(*batch, keys, heads, depth)``; bias and
        mask: broadcast against ``(*batch, heads, queries, keys)``.

    Args:
        query: what looks.
        key: what is looked at.
        bias: added to the scores, or ``None``.
        mask: where a query may look, or ``None``.
        broadcast_dropout: drop the same weights in all of the batch and all heads.
        dropout_rng: the key of the dropout.
        dropout_rate: the probability that a weight is dropped.
        deterministic: drop nothing.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.numpy.einsum``.
        module: sows the weights before dropout as ``attention_weights`` in ``intermediates``.
        force_fp32_for_softmax: compute the softmax in float32.
        einsum_dot_general: in the place of the ``dot_general`` inside einsum.
        einsum: in the place of ``jax.numpy.einsum``.

    Returns:
        Array of shape ``(*batch, heads, queries, keys)``.

    >>> same = jnp.ones((1, 2, 1, 4))
    >>> dot_product_attention_weights(same, same).tolist()
    [[[[0.5, 0.5], [0.5, 0.5]]]]
    """
    settings: dict[str, Any] = {
        "dtype": dtype,
        "precision": precision,
        "force_fp32_for_softmax": force_fp32_for_softmax,
        "einsum_dot_general": einsum_dot_general or attention.product(),
        "einsum": einsum,
    }
    active = dropout_rate != 0.0 and not deterministic
    if active:
        settings |= {"dropout_rate": dropout_rate, "broadcast_dropout": broadcast_dropout}
    rng = dropout_rng if active else None
    if module is None:
        return attention.dot_product_attention_weights(query, key, bias, mask, rng, **settings)
    weights, softmax = attention.dot_product_attention_weights(
        query, key, bias, mask, rng, return_softmax=True, **settings
    )
    module.sow("intermediates", "attention_weights", softmax)
    return weights


def dot_product_attention(
    query: Array,
    key: Array,
    value: Array,
    bias: Array | None = None,
    mask: Array | None = None,
    broadcast_dropout: bool = True,
    dropout_rng: PRNGKey | None = None,
    dropout_rate: float = 0.0,
    deterministic: bool = False,
    dtype: Dtype | None = None,
    precision: PrecisionLike = None,
    module: Module | None = None,
    force_fp32_for_softmax: bool = False,
    einsum_dot_general: DotGeneral | None = None,
    qk_attn_weights_einsum: Callable[..., Array] | None = None,
    attn_weights_value_einsum: Callable[..., Array] | None = None,
) -> Array:
    """Let each query take a mean of the values, weighted by how its key fits theirs.

    Shapes:
        query: ``(*batch, queries, heads, depth)``; key and value: ``(*batch, keys, heads, depth)``;
        bias and mask: broadcast against ``(*batch, heads, queries, keys)``.

    Args:
        query: what looks.
        key: what is looked at.
        value: what is averaged.
        bias: added to the scores, or ``None``.
        mask: where a query may look, or ``None``.
        broadcast_dropout: drop the same weights in all of the batch and all heads.
        dropout_rng: the key of the dropout.
        dropout_rate: the probability that a weight is dropped.
        deterministic: drop nothing.
        dtype: dtype of the computation; ``None`` promotes from the arguments.
        precision: as in ``jax.numpy.einsum``.
        module: sows the weights before dropout as ``attention_weights`` in ``intermediates``.
        force_fp32_for_softmax: compute the softmax in float32.
        einsum_dot_general: in the place of the ``dot_general`` inside einsum.
        qk_attn_weights_einsum: in the place of the einsum of query and key.
        attn_weights_value_einsum: in the place of the einsum of weights and values.

    Returns:
        Array of shape ``(*batch, queries, heads, depth)``.

    >>> one = jnp.ones((1, 2, 1, 4))
    >>> dot_product_attention(one, one, 3 * one)[0, :, 0, 0].tolist()
    [3.0, 3.0]
    """
    settings: dict[str, Any] = {
        "dtype": dtype,
        "precision": precision,
        "force_fp32_for_softmax": force_fp32_for_softmax,
        "einsum_dot_general": einsum_dot_general
        or (attention.product() if qk_attn_weights_einsum is None else None),
    }
    active = dropout_rate != 0.0 and not deterministic
    if active:
        settings |= {"dropout_rate": dropout_rate, "broadcast_dropout": broadcast_dropout}
    rng = dropout_rng if active else None
    settings |= {
        "qk_attn_weights_einsum": qk_attn_weights_einsum,
        "attn_weights_value_einsum": attn_weights_value_einsum,
    }
    if module is None:
        return attention.dot_product_attention(query, key, value, bias, mask, rng, **settings)
    outputs, softmax = attention.dot_product_attention(
        query, key, value, bias, mask, rng, return_softmax=True, **settings
    )
    module.sow("intermediates", "attention_weights", softmax)
    return outputs


_named: "WeakKeyDictionary[Callable[..., Any], frozenset[str]]" = WeakKeyDictionary()


def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of a function's parameters."""
    if not isinstance(function, FunctionType):
        return frozenset(inspect.signature(function).parameters)
    names = _named.get(function)
    if names is None:
        names = _named[function] = frozenset(inspect.signature(function).parameters)
    return names


class MultiHeadDotProductAttention(Module):
    """Attention with several heads (Vaswani et al. 2017, arXiv:1706.03762).

    Attributes:
        num_heads: how many heads; divides ``qkv_features``.
        dtype: dtype of the computation.
        param_dtype: dtype of the parameters.
        qkv_features: the size of queries, keys and values, all heads together; by default that of
            the inputs.
        out_features: the size of the output; by default that of the inputs.
        broadcast_dropout: drop the same weights in all of the batch and all heads.
        dropout_rate: the probability that a weight is dropped.
        deterministic: drop nothing; to be given here or to the call if ``dropout_rate`` is not 0.
        precision: as in ``jax.lax.dot_general``.
        kernel_init: draws the kernels.
        out_kernel_init: draws the kernel of the output; ``None`` for ``kernel_init``.
        bias_init: draws the biases.
        out_bias_init: draws the bias of the output; ``None`` for ``bias_init``.
        use_bias: whether the four maps add a bias.
        attention_fn: in the place of ``dot_product_attention``; of the keyword arguments it gets
            those that it names.
        decode: keep a cache, and take one token at a time.
        normalize_qk: normalise queries and keys.
        force_fp32_for_softmax: compute the softmax in float32.
        qkv_dot_general: the ``dot_general`` of the maps to queries, keys and values.
        out_dot_general: that of the map to the output.
        qkv_dot_general_cls: makes ``qkv_dot_general``.
        out_dot_general_cls: makes ``out_dot_general``.
        qk_attn_weights_einsum_cls: makes what stands in the place of the einsum of query and key.
        attn_weights_value_einsum_cls: makes what stands in the place of that of weights and values.

    >>> import jax, linnet.linen as nn
    >>> layer, x = nn.MultiHeadDotProductAttention(num_heads=2), jnp.ones((1, 5, 4))
    >>> y, variables = layer.init_with_output(jax.random.key(0), x)
    >>> y.shape, list(variables["params"])
    ((1, 5, 4), ['query', 'key', 'value', 'out'])
    """

    num_heads: int
    dtype: Dtype | None = None
    param_dtype: Dtype = jnp.float32
    qkv_features: int | None = None
    out_features: int | None = None
    broadcast_dropout: bool = True
    dropout_rate: float = 0.0
    deterministic: bool | None = None
    precision: PrecisionLike = None
    kernel_init: Initializer = default_kernel_init
    out_kernel_init: Initializer | None = None
    bias_init: Initializer = zeros
    out_bias_init: Initializer | None = None
    use_bias: bool = True
    attention_fn: Callable[..., Array] = dot_product_attention
    decode: bool = False
    normalize_qk: bool = False
    force_fp32_for_softmax: bool = False
    qkv_dot_general: DotGeneral | None = None
    out_dot_general: DotGeneral | None = None
    qkv_dot_general_cls: Any = None
    out_dot_general_cls: Any = None
    qk_attn_weights_einsum_cls: Callable[..., Callable[..., Array]] | None = None
    attn_weights_value_einsum_cls: Callable[..., Callable[..., Array]] | None = None

    @compact
    def __call__(
        self,
        inputs_q: Array,
        inputs_k: Array | None = None,
        inputs_v: Array | None = None,
        *,
        inputs_kv: Array | None = None,
        mask: Array | None = None,
        deterministic: bool | None = None,
        dropout_rng: PRNGKey | None = None,
        sow_weights: bool = False,
    ) -> Array:
        """Attend.

        Shapes:
            inputs_q: ``(*batch, queries, features)``; inputs_k and inputs_v: ``(*batch, keys,
            features)``; mask: broadcasts against ``(*batch, heads, queries, keys)``.

        Args:
            inputs_q: what the queries are made of.
            inputs_k: what the keys are made of; ``None`` for ``inputs_q``.
            inputs_v: what the values are made of; ``None`` for ``inputs_k``.
            inputs_kv: both at once.
            mask: where a query may look, or ``None``.
            deterministic: drop nothing.
            dropout_rng: the key of the dropout; ``None`` takes one from the stream ``dropout``.
            sow_weights: sow the weights as ``attention_weights`` in ``intermediates``.

        Returns:
            Array of shape ``(*batch, queries, out_features)``.

        Raises:
            ValueError: the heads do not divide the features, the inputs exclude each other, or
                dropout is neither on nor off.
        """
        inputs_k, inputs_v = _key_and_value_inputs(inputs_q, inputs_k, inputs_v, inputs_kv)
        query, key, value = self._project(inputs_q, inputs_k, inputs_v)
        if self.decode:
            key, value, mask = self._extend(key, value, mask)
        off = True
        if self.dropout_rate > 0.0:
            off = merge_param("deterministic", self.deterministic, deterministic)
            if not off and dropout_rng is None:
                dropout_rng = self.make_rng("dropout")
        make_qk, make_av = self.qk_attn_weights_einsum_cls, self.attn_weights_value_einsum_cls
        settings = {
            "mask": mask,
            "dropout_rng": dropout_rng,
            "dropout_rate": self.dropout_rate,
            "broadcast_dropout": self.broadcast_dropout,
            "deterministic": off,
            "dtype": self.dtype,
            "precision": self.precision,
            "force_fp32_for_softmax": self.force_fp32_for_softmax,
            "qk_attn_weights_einsum": None if make_qk is None else make_qk(),
            "attn_weights_value_einsum": None if make_av is None else make_av(),
        }
        if self.attention_fn is not dot_product_attention:
            known = _parameters(self.attention_fn)
            settings = {name: setting for name, setting in settings.items() if name in known}
        if sow_weights:
            settings["module"] = self
        x = self.attention_fn(query, key, value, **settings)
        return DenseGeneral(
            features=self.out_features or inputs_q.shape[-1],
            axis=(-2, -1),
            kernel_init=self.out_kernel_init or self.kernel_init,
            bias_init=self.out_bias_init or self.bias_init,
            use_bias=self.use_bias,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
            precision=self.precision,
            dot_general=self.out_dot_general,
            dot_general_cls=self.out_dot_general_cls,
            name="out",
        )(x)

    @nowrap
    def _project(
        self, inputs_q: Array, inputs_k: Array, inputs_v: Array
    ) -> tuple[Array, Array, Array]:
        """Map the inputs to queries, keys and values, each ``(*batch, length, heads, depth)``."""
        heads = self.num_heads
        depth = attention.divide_heads(self.qkv_features or inputs_q.shape[-1], heads)
        made = [
            DenseGeneral(
                features=(heads, depth),
                axis=-1,
                kernel_init=self.kernel_init,
                bias_init=self.bias_init,
                use_bias=self.use_bias,
                dtype=self.dtype,
                param_dtype=self.param_dtype,
                precision=self.precision,
                dot_general=self.qkv_dot_general,
                dot_general_cls=self.qkv_dot_general_cls,
                name=name,
            )(inputs)
            for name, inputs in (("query", inputs_q), ("key", inputs_k), ("value", inputs_v))
        ]
        if self.normalize_qk:
            for place, name in enumerate(("query_ln", "key_ln")):
                norm = LayerNorm(
                    use_bias=False, dtype=self.dtype, param_dtype=self.param_dtype, name=name
                )
                made[place] = norm(made[place])
        return made[0], made[1], made[2]

    @nowrap
    def _extend(self, key: Array, value: Array, mask: Array | None) -> tuple[Any, Any, Any]:
        """Put the next token into the cache; the first call, which has none, makes it."""
        ready = self.has_variable("cache", "cached_key")
        keys = self.variable("cache", "cached_key", zeros, None, key.shape, key.dtype)
        values = self.variable("cache", "cached_value", zeros, None, value.shape, value.dtype)
        index = self.variable("cache", "cache_index", zeros, None, (), jnp.int32)
        if not ready:
            return key, value, mask
        keys.value, values.value, index.value, written = extend_cache(
            keys.value, values.value, index.value, key, value
        )
        return keys.value, values.value, combine_masks(mask, written)


def _key_and_value_inputs(
    inputs_q: Array, inputs_k: Array | None, inputs_v: Array | None, inputs_kv: Array | None
) -> tuple[Array, Array]:
    """Decide what keys and values are made of."""
    if inputs_kv is not None:
        if inputs_k is not None or inputs_v is not None:
            raise ValueError(
                "inputs_kv was given together with inputs_k or inputs_v, which say the same in "
                "two ways. Pass inputs_k and inputs_v only."
            )
        return inputs_kv, inputs_kv
    return attention.complete_inputs(inputs_q, inputs_k, inputs_v)


class MultiHeadAttention(MultiHeadDotProductAttention):
    """Attention with several heads: a shorter name of ``MultiHeadDotProductAttention``.

    >>> import jax, linnet.linen as nn
    >>> x = jnp.ones((1, 5, 4))
    >>> nn.MultiHeadAttention(num_heads=2).init_with_output(jax.random.key(0), x)[0].shape
    (1, 5, 4)
    """


class SelfAttention(MultiHeadDotProductAttention):
    """Attention of a sequence over itself.

    >>> import jax, linnet.linen as nn
    >>> layer, x = nn.SelfAttention(num_heads=2), jnp.ones((1, 5, 4))
    >>> layer.init_with_output(jax.random.key(0), x, nn.make_causal_mask(x[..., 0]))[0].shape
    (1, 5, 4)
    """

    @compact
    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        inputs_q: Array,
        mask: Array | None = None,
        deterministic: bool | None = None,
        dropout_rng: PRNGKey | None = None,
        sow_weights: bool = False,
    ) -> Array:
        """Attend; the arguments are those of ``MultiHeadDotProductAttention``."""
        return super().__call__(
            inputs_q,
            mask=mask,
            deterministic=deterministic,
            dropout_rng=dropout_rng,
            sow_weights=sow_weights,
        )
