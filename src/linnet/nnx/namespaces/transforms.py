"""The names of ``flax.nnx.transforms.transforms``."""

from linnet.nnx import (
    eval_shape as eval_shape,
)
