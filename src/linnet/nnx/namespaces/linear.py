"""The names of ``flax.nnx.nn.linear``."""

from linnet.nnx import Conv, ConvTranspose, Einsum, Embed, Linear, LinearGeneral
from linnet.nnx.layers.dense import default_bias_init
from linnet.nnx.layers.layer import default_embed_init, default_kernel_init

__all__ = [
    "Conv",
    "ConvTranspose",
    "Einsum",
    "Embed",
    "Linear",
    "LinearGeneral",
    "default_bias_init",
    "default_embed_init",
    "default_kernel_init",
]
