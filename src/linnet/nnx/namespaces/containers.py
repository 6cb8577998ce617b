"""The names of ``flax.nnx.helpers``: containers of modules, and a training state."""

from linnet.nnx import (
    Dict as Dict,
    List as List,
    Sequential as Sequential,
    TrainState as TrainState,
)
