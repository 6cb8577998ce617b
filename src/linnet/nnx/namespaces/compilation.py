"""The names of ``flax.nnx.transforms.compilation``."""

from linnet.nnx import StateSharding, jit, jit_partial
from linnet.nnx.transforms.jit import JitWrapped

__all__ = ["JitWrapped", "StateSharding", "jit", "jit_partial"]
