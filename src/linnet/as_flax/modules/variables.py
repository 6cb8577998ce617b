"""The names of ``flax.core.variables``."""

from linnet.linen.variable import (
    Variable as Variable,
)
