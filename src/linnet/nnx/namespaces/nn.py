"""The modules of ``flax.nnx.nn``: the layers, by family."""

from linnet.nnx import initializers
from linnet.nnx.layers import activation as activations
from linnet.nnx.layers import dtypes, lora, stochastic
from linnet.nnx.namespaces import attention, linear, normalization

__all__ = [
    "activations",
    "attention",
    "dtypes",
    "initializers",
    "linear",
    "lora",
    "normalization",
    "stochastic",
]
