"""The names of ``flax.nnx.nn.linear``."""

from linnet.nnx import (
    Conv as Conv,
    ConvTranspose as ConvTranspose,
    Einsum as Einsum,
    Embed as Embed,
    Linear as Linear,
    LinearGeneral as LinearGeneral,
)
from linnet.nnx.layers.dense import (
    default_bias_init as default_bias_init,
)
from linnet.nnx.layers.layer import (
    default_embed_init as default_embed_init,
    default_kernel_init as default_kernel_init,
)
