"""The names of ``flax.nnx.transforms.iteration``."""

from linnet.nnx import Carry, StateAxes, scan, vmap

__all__ = ["Carry", "StateAxes", "scan", "vmap"]
