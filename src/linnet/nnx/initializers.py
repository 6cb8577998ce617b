"""Initializers of parameters, as NNX names them; the arithmetic stands in ``linnet.ops``."""

from linnet.ops.initializers import *  # noqa: F403
