"""The names of ``flax.nnx.transforms.transforms``."""

from linnet.nnx import eval_shape

__all__ = ["eval_shape"]
