"""Transformations of modules: the names of ``flax.linen.transforms``."""

from linnet.linen.lifted import (
    checkpoint as checkpoint,
    grad as grad,
    jit as jit,
    remat as remat,
    scan as scan,
    value_and_grad as value_and_grad,
    vmap as vmap,
)
from linnet.linen.name_scope import (
    named_call as named_call,
)
