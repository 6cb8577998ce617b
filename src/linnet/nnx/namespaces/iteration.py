"""The names of ``flax.nnx.transforms.iteration``."""

from linnet.nnx import (
    Carry as Carry,
    StateAxes as StateAxes,
    scan as scan,
    vmap as vmap,
)
