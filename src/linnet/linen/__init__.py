"""Linen: functional modules, whose variables live outside them.

``import linnet.linen as nn``. A module describes a network; ``init`` makes its variables and
``apply`` computes with them.

What only some programs need, lifted transformations, tables and logical axes, is loaded when it is
first asked for.
"""

from typing import TYPE_CHECKING

from linnet.base import names as _names
from linnet.lift.axes import broadcast as broadcast
from linnet.linen.layers import (
    attention as attention,
    combinators as combinators,
    normalization as normalization,
    stochastic as stochastic,
)
from linnet.linen.layers.activation import PReLU as PReLU
from linnet.linen.layers.attention import (
    MultiHeadAttention as MultiHeadAttention,
    MultiHeadDotProductAttention as MultiHeadDotProductAttention,
    SelfAttention as SelfAttention,
    dot_product_attention as dot_product_attention,
    dot_product_attention_weights as dot_product_attention_weights,
)
from linnet.linen.layers.combinators import Sequential as Sequential
from linnet.linen.layers.convolution import (
    Conv as Conv,
    ConvLocal as ConvLocal,
    ConvTranspose as ConvTranspose,
)
from linnet.linen.layers.dense import (
    Dense as Dense,
    DenseGeneral as DenseGeneral,
    Einsum as Einsum,
    Embed as Embed,
)
from linnet.linen.layers.normalization import (
    BatchNorm as BatchNorm,
    GroupNorm as GroupNorm,
    InstanceNorm as InstanceNorm,
    LayerNorm as LayerNorm,
    RMSNorm as RMSNorm,
)
from linnet.linen.layers.stochastic import Dropout as Dropout
from linnet.linen.modules import module as module
from linnet.linen.modules.module import (
    DenyList as DenyList,
    Module as Module,
    Variable as Variable,
    apply as apply,
    compact as compact,
    init as init,
    init_with_output as init_with_output,
    intercept_methods as intercept_methods,
    merge_param as merge_param,
    nowrap as nowrap,
    share_scope as share_scope,
)
from linnet.linen.modules.name_scope import (
    compact_name_scope as compact_name_scope,
    disable_named_call as disable_named_call,
    enable_named_call as enable_named_call,
    named_call as named_call,
    override_named_call as override_named_call,
)
from linnet.linen.names import MODULES as _MODULES
from linnet.ops import dtypes as dtypes, initializers as initializers, pooling as pooling
from linnet.ops.activation import (
    celu as celu,
    elu as elu,
    gelu as gelu,
    glu as glu,
    hard_sigmoid as hard_sigmoid,
    hard_silu as hard_silu,
    hard_swish as hard_swish,
    hard_tanh as hard_tanh,
    leaky_relu as leaky_relu,
    log_sigmoid as log_sigmoid,
    log_softmax as log_softmax,
    logsumexp as logsumexp,
    normalize as normalize,
    one_hot as one_hot,
    relu as relu,
    relu6 as relu6,
    selu as selu,
    sigmoid as sigmoid,
    silu as silu,
    soft_sign as soft_sign,
    softmax as softmax,
    softplus as softplus,
    standardize as standardize,
    swish as swish,
    tanh as tanh,
)
from linnet.ops.initializers import (
    ones as ones,
    ones_init as ones_init,
    zeros as zeros,
    zeros_init as zeros_init,
)
from linnet.ops.masks import (
    combine_masks as combine_masks,
    make_attention_mask as make_attention_mask,
    make_causal_mask as make_causal_mask,
)
from linnet.ops.pooling import avg_pool as avg_pool, max_pool as max_pool, pool as pool
from linnet.state import metadata as _metadata
from linnet.state.metadata import unbox as unbox
from linnet.state.partitioning import (
    PARTITION_NAME as PARTITION_NAME,
    Partitioned as Partitioned,
    get_partition_spec as get_partition_spec,
    get_sharding as get_sharding,
    with_partitioning as with_partitioning,
)
from linnet.tree.frozen_dict import FrozenDict as FrozenDict

meta = _metadata

# what only some programs need is loaded when it is first asked for
_ON_DEMAND = """
    linnet.linen: transforms
    linnet.linen.modules: summary
    linnet.linen.modules.summary: tabulate
    linnet.linen.transforms: checkpoint grad jit remat scan value_and_grad vjp
        vmap
    linnet.state: spmd=logical
    linnet.state.logical: LogicallyPartitioned get_logical_axis_rules logical_axis_rules
        logical_to_mesh logical_to_mesh_axes logical_to_mesh_sharding set_logical_axis_rules
        with_logical_constraint with_logical_partitioning
"""

# what Flax has, and a program may ask for in vain
_COMING = frozenset(
    (
        *("BatchApply", "Bidirectional", "ConvLSTMCell", "Fp8DirectDotGeneralOp", "Fp8DotGeneral"),
        *("Fp8DotGeneralOp", "Fp8Einsum", "GRUCell", "LSTMCell", "MGUCell", "NANOOFp8DotGeneralOp"),
        *("OptimizedLSTMCell", "RNN", "RNNCellBase", "SimpleCell", "SpectralNorm", "WeightNorm"),
        *("add_metadata_axis", "batch_apply", "cond", "custom_vjp", "fold_rngs", "fp8_ops", "jvp"),
        *("kw_only_dataclasses", "map_variables", "recurrent", "remat_scan", "switch"),
        "while_loop",
    )
)

_names.publish("linnet.linen", _MODULES)

if TYPE_CHECKING:
    from linnet.linen import transforms as transforms
    from linnet.linen.modules import summary as summary
    from linnet.linen.modules.summary import tabulate as tabulate
    from linnet.linen.transforms import (
        checkpoint as checkpoint,
        grad as grad,
        jit as jit,
        remat as remat,
        scan as scan,
        value_and_grad as value_and_grad,
        vjp as vjp,
        vmap as vmap,
    )
    from linnet.state import logical as _logical
    from linnet.state.logical import (
        LogicallyPartitioned as LogicallyPartitioned,
        get_logical_axis_rules as get_logical_axis_rules,
        logical_axis_rules as logical_axis_rules,
        logical_to_mesh as logical_to_mesh,
        logical_to_mesh_axes as logical_to_mesh_axes,
        logical_to_mesh_sharding as logical_to_mesh_sharding,
        set_logical_axis_rules as set_logical_axis_rules,
        with_logical_constraint as with_logical_constraint,
        with_logical_partitioning as with_logical_partitioning,
    )

    spmd = _logical
else:  # so that a type checker finds mistyped names
    __getattr__, __dir__ = _names.on_demand(globals(), _ON_DEMAND, _MODULES, _COMING)
