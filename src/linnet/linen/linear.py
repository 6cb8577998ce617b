"""Layers that are linear in their inputs, gathered under the name that Linen gives them."""

from linnet.linen.convolution import (
    Conv as Conv,
    ConvLocal as ConvLocal,
    ConvTranspose as ConvTranspose,
)
from linnet.linen.dense import (
    Dense as Dense,
    DenseGeneral as DenseGeneral,
    Einsum as Einsum,
    Embed as Embed,
    default_embed_init as default_embed_init,
    default_kernel_init as default_kernel_init,
)
from linnet.ops.convolution import (
    canonicalize_padding as canonicalize_padding,
)
