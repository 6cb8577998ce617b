"""Initializers of parameters, as Linen names them; the arithmetic stands in ``linnet.ops``."""

from linnet.ops.initializers import *  # noqa: F403
