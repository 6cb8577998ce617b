"""The names of ``flax.core.variables``."""

from linnet.linen.variable import Variable

__all__ = ["Variable"]
