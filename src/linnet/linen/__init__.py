"""Linen: functional modules, whose variables live outside them.

``import linnet.linen as nn``. A module describes a network; ``init`` makes its variables and
``apply`` computes with them.
"""

from linnet.linen import initializers
from linnet.linen.activation import (
    PReLU,
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    logsumexp,
    normalize,
    one_hot,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softmax,
    softplus,
    standardize,
    swish,
    tanh,
)
from linnet.linen.attention import (
    MultiHeadAttention,
    MultiHeadDotProductAttention,
    SelfAttention,
    combine_masks,
    dot_product_attention,
    dot_product_attention_weights,
    make_attention_mask,
    make_causal_mask,
)
from linnet.linen.combinators import Sequential
from linnet.linen.initializers import ones, ones_init, zeros, zeros_init
from linnet.linen.linear import Conv, ConvLocal, ConvTranspose, Dense, DenseGeneral, Einsum, Embed
from linnet.linen.module import (
    DenyList,
    Module,
    Variable,
    apply,
    compact,
    init,
    init_with_output,
    intercept_methods,
    merge_param,
    nowrap,
    share_scope,
)
from linnet.linen.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from linnet.linen.pooling import avg_pool, max_pool, pool
from linnet.linen.stochastic import Dropout
