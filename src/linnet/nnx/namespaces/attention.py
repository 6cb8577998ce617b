"""The names of ``flax.nnx.nn.attention``."""

from linnet.nnx import (
    MultiHeadAttention,
    RoPE,
    combine_masks,
    dot_product_attention,
    dot_product_attention_with_rope,
    make_attention_mask,
    make_causal_mask,
)
from linnet.nnx.layers.dot_product import dot_product_attention_weights

__all__ = [
    "MultiHeadAttention",
    "RoPE",
    "combine_masks",
    "dot_product_attention",
    "dot_product_attention_weights",
    "dot_product_attention_with_rope",
    "make_attention_mask",
    "make_causal_mask",
]
