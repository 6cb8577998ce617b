"""Layers that are linear in their inputs, gathered under the name that Linen gives them."""

from linnet.linen.convolution import Conv, ConvLocal, ConvTranspose
from linnet.linen.dense import (
    Dense,
    DenseGeneral,
    Einsum,
    Embed,
    default_embed_init,
    default_kernel_init,
)
from linnet.ops.convolution import canonicalize_padding

__all__ = [
    "Conv",
    "ConvLocal",
    "ConvTranspose",
    "Dense",
    "DenseGeneral",
    "Einsum",
    "Embed",
    "canonicalize_padding",
    "default_embed_init",
    "default_kernel_init",
]
