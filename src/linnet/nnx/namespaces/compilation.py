"""The names of ``flax.nnx.transforms.compilation``."""

from linnet.nnx import (
    StateSharding as StateSharding,
    jit as jit,
    jit_partial as jit_partial,
)
from linnet.nnx.transforms.jit import (
    JitWrapped as JitWrapped,
)
