"""The names of ``flax.core.variables``."""

from linnet.linen.modules.variable import Variable as Variable
