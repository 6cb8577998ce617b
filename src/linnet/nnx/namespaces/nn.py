"""The modules of ``flax.nnx.nn``: the layers, by family."""

from linnet.nnx import (
    initializers as initializers,
)
from linnet.nnx.layers import (
    dtypes as dtypes,
    lora as lora,
    stochastic as stochastic,
)
from linnet.nnx.namespaces import (
    attention as attention,
    linear as linear,
    normalization as normalization,
)
