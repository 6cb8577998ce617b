"""The names of ``flax.nnx.nn.attention``."""

from linnet.nnx import (
    MultiHeadAttention as MultiHeadAttention,
    combine_masks as combine_masks,
    dot_product_attention as dot_product_attention,
    make_attention_mask as make_attention_mask,
    make_causal_mask as make_causal_mask,
)
from linnet.nnx.layers.dot_product import (
    dot_product_attention_weights as dot_product_attention_weights,
)
