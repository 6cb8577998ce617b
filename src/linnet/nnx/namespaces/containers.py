"""The names of ``flax.nnx.helpers``: containers of modules, and a training state."""

from linnet.nnx import Dict, List, Sequential, TrainState

__all__ = ["Dict", "List", "Sequential", "TrainState"]
