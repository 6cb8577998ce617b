"""Transformations of modules: the names of ``flax.linen.transforms``."""

from linnet.linen.lifted import checkpoint, grad, jit, remat, scan, value_and_grad, vmap
from linnet.linen.name_scope import named_call

__all__ = [
    "checkpoint",
    "grad",
    "jit",
    "named_call",
    "remat",
    "scan",
    "value_and_grad",
    "vmap",
]
