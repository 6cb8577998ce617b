"""Linen: functional modules, whose variables live outside them.

``import linnet.linen as nn``. A module describes a network; ``init`` makes its variables and
``apply`` computes with them.

What only some programs need, lifted transformations, tables and logical axes, is loaded when it is
first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from linnet.base.errors import no_such_name
from linnet.lift.axes import broadcast
from linnet.linen import (
    activation,
    attention,
    combinators,
    dtypes,
    initializers,
    linear,
    module,
    normalization,
    pooling,
    stochastic,
)
from linnet.linen.activation import (
    PReLU,
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    logsumexp,
    normalize,
    one_hot,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softmax,
    softplus,
    standardize,
    swish,
    tanh,
)
from linnet.linen.attention import (
    MultiHeadAttention,
    MultiHeadDotProductAttention,
    SelfAttention,
    combine_masks,
    dot_product_attention,
    dot_product_attention_weights,
    make_attention_mask,
    make_causal_mask,
)
from linnet.linen.combinators import Sequential
from linnet.linen.initializers import ones, ones_init, zeros, zeros_init
from linnet.linen.linear import Conv, ConvLocal, ConvTranspose, Dense, DenseGeneral, Einsum, Embed
from linnet.linen.module import (
    DenyList,
    Module,
    Variable,
    apply,
    compact,
    init,
    init_with_output,
    intercept_methods,
    merge_param,
    nowrap,
    share_scope,
)
from linnet.linen.name_scope import (
    compact_name_scope,
    disable_named_call,
    enable_named_call,
    named_call,
    override_named_call,
)
from linnet.linen.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from linnet.linen.pooling import avg_pool, max_pool, pool
from linnet.linen.stochastic import Dropout
from linnet.state import metadata as meta
from linnet.state.metadata import unbox
from linnet.state.partitioning import (
    PARTITION_NAME,
    Partitioned,
    get_partition_spec,
    get_sharding,
    with_partitioning,
)
from linnet.tree.frozen_dict import FrozenDict

if TYPE_CHECKING:
    from linnet.linen import spmd, summary, transforms
    from linnet.linen.lifted import checkpoint, grad, jit, remat, scan, value_and_grad, vmap
    from linnet.linen.spmd import (
        LogicallyPartitioned,
        get_logical_axis_rules,
        logical_axis_rules,
        logical_to_mesh,
        logical_to_mesh_axes,
        logical_to_mesh_sharding,
        set_logical_axis_rules,
        with_logical_constraint,
        with_logical_partitioning,
    )
    from linnet.linen.summary import tabulate

# name → the module that has it; a module's own name leads to the module itself
_ON_DEMAND = {
    "transforms": "linnet.linen.transforms",
    "checkpoint": "linnet.linen.lifted",
    "grad": "linnet.linen.lifted",
    "jit": "linnet.linen.lifted",
    "remat": "linnet.linen.lifted",
    "scan": "linnet.linen.lifted",
    "value_and_grad": "linnet.linen.lifted",
    "vmap": "linnet.linen.lifted",
    "spmd": "linnet.linen.spmd",
    "summary": "linnet.linen.summary",
    "tabulate": "linnet.linen.summary",
    "LogicallyPartitioned": "linnet.linen.spmd",
    "get_logical_axis_rules": "linnet.linen.spmd",
    "logical_axis_rules": "linnet.linen.spmd",
    "logical_to_mesh": "linnet.linen.spmd",
    "logical_to_mesh_axes": "linnet.linen.spmd",
    "logical_to_mesh_sharding": "linnet.linen.spmd",
    "set_logical_axis_rules": "linnet.linen.spmd",
    "with_logical_constraint": "linnet.linen.spmd",
    "with_logical_partitioning": "linnet.linen.spmd",
}

# what Flax has, and a program may ask for in vain
_COMING = frozenset(
    (
        *("BatchApply", "Bidirectional", "ConvLSTMCell", "Fp8DirectDotGeneralOp", "Fp8DotGeneral"),
        *("Fp8DotGeneralOp", "Fp8Einsum", "GRUCell", "LSTMCell", "MGUCell", "NANOOFp8DotGeneralOp"),
        *("OptimizedLSTMCell", "RNN", "RNNCellBase", "SimpleCell", "SpectralNorm", "WeightNorm"),
        *("add_metadata_axis", "batch_apply", "cond", "custom_vjp", "fold_rngs", "fp8_ops", "jvp"),
        *("kw_only_dataclasses", "map_variables", "recurrent", "remat_scan", "switch", "vjp"),
        "while_loop",
    )
)

__all__ = [
    "PARTITION_NAME",
    "BatchNorm",
    "Conv",
    "ConvLocal",
    "ConvTranspose",
    "Dense",
    "DenseGeneral",
    "DenyList",
    "Dropout",
    "Einsum",
    "Embed",
    "FrozenDict",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "LogicallyPartitioned",
    "Module",
    "MultiHeadAttention",
    "MultiHeadDotProductAttention",
    "PReLU",
    "Partitioned",
    "RMSNorm",
    "SelfAttention",
    "Sequential",
    "Variable",
    "activation",
    "apply",
    "attention",
    "avg_pool",
    "broadcast",
    "celu",
    "checkpoint",
    "combinators",
    "combine_masks",
    "compact",
    "compact_name_scope",
    "disable_named_call",
    "dot_product_attention",
    "dot_product_attention_weights",
    "dtypes",
    "elu",
    "enable_named_call",
    "gelu",
    "get_logical_axis_rules",
    "get_partition_spec",
    "get_sharding",
    "glu",
    "grad",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "init",
    "init_with_output",
    "initializers",
    "intercept_methods",
    "jit",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "logical_axis_rules",
    "logical_to_mesh",
    "logical_to_mesh_axes",
    "logical_to_mesh_sharding",
    "logsumexp",
    "make_attention_mask",
    "make_causal_mask",
    "max_pool",
    "merge_param",
    "meta",
    "module",
    "named_call",
    "normalization",
    "normalize",
    "nowrap",
    "one_hot",
    "ones",
    "ones_init",
    "override_named_call",
    "pool",
    "pooling",
    "relu",
    "relu6",
    "remat",
    "scan",
    "selu",
    "set_logical_axis_rules",
    "share_scope",
    "sigmoid",
    "silu",
    "soft_sign",
    "softmax",
    "softplus",
    "spmd",
    "standardize",
    "stochastic",
    "summary",
    "swish",
    "tabulate",
    "tanh",
    "transforms",
    "unbox",
    "value_and_grad",
    "vmap",
    "with_logical_constraint",
    "with_logical_partitioning",
    "with_partitioning",
    "zeros",
    "zeros_init",
]


if not TYPE_CHECKING:  # so that a type checker finds mistyped names

    def __getattr__(name: str) -> Any:
        home = _ON_DEMAND.get(name)
        if home is None:
            raise AttributeError(no_such_name("linnet.linen", name, __all__, _COMING))
        module = importlib.import_module(home)
        found = globals()[name] = module if home.endswith(f".{name}") else getattr(module, name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_DEMAND})
