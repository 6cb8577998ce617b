"""NNX: modules that own their variables.

``from linnet import nnx``. A module is a Python object; its variables are attributes, and calling
it may change them. ``nnx.jit``, ``nnx.grad`` and their kin are JAX's transformations for functions
of such objects.
"""

from typing import (
    TYPE_CHECKING,
    Any as A,  # noqa: N817 - Flax's name
    TypeAlias,
    TypeVar,
)

from linnet.base import names as _names
from linnet.base.typing import Initializer as Initializer
from linnet.nnx.capture import capture as capture
from linnet.nnx.graph.graphdef import GraphDef as GraphDef
from linnet.nnx.graph.maps import (
    find_duplicates as find_duplicates,
    map as map,  # noqa: A004 - Flax's name
    recursive_map as recursive_map,
)
from linnet.nnx.graph.split import (
    GraphState as GraphState,
    call as call,
    clone as clone,
    flatten as flatten,
    graphdef as graphdef,
    merge as merge,
    split as split,
    state as state,
    unflatten as unflatten,
    unpack as unpack,
    variables as variables,
)
from linnet.nnx.graph.states import (
    FlatState as FlatState,
    State as State,
    filter_state as filter_state,
    from_flat_state as from_flat_state,
    map_state as map_state,
    merge_state as merge_state,
    replace_by_pure_dict as replace_by_pure_dict,
    restore_int_paths as restore_int_paths,
    split_state as split_state,
    to_flat_state as to_flat_state,
    to_pure_dict as to_pure_dict,
)
from linnet.nnx.graph.update import pop as pop, set_metadata as set_metadata, update as update
from linnet.nnx.layers.activation import PReLU as PReLU
from linnet.nnx.layers.attention import MultiHeadAttention as MultiHeadAttention
from linnet.nnx.layers.convolution import Conv as Conv, ConvTranspose as ConvTranspose
from linnet.nnx.layers.dense import (
    Einsum as Einsum,
    Linear as Linear,
    LinearGeneral as LinearGeneral,
)
from linnet.nnx.layers.dot_product import dot_product_attention as dot_product_attention
from linnet.nnx.layers.embedding import Embed as Embed
from linnet.nnx.layers.group_normalization import (
    GroupNorm as GroupNorm,
    InstanceNorm as InstanceNorm,
)
from linnet.nnx.layers.lora import LoRA as LoRA, LoRALinear as LoRALinear, LoRAParam as LoRAParam
from linnet.nnx.layers.normalization import (
    BatchNorm as BatchNorm,
    LayerNorm as LayerNorm,
    RMSNorm as RMSNorm,
)
from linnet.nnx.layers.rotary import (
    RoPE as RoPE,
    dot_product_attention_with_rope as dot_product_attention_with_rope,
)
from linnet.nnx.layers.stochastic import Dropout as Dropout
from linnet.nnx.names import MODULES as _MODULES
from linnet.nnx.objects.attributes import (
    Data as Data,
    Static as Static,
    data as data,
    has_data as has_data,
    is_data as is_data,
    register_data_type as register_data_type,
    static as static,
)
from linnet.nnx.objects.containers import Dict as Dict, List as List, Sequential as Sequential
from linnet.nnx.objects.kinds import (
    BatchStat as BatchStat,
    Cache as Cache,
    Intermediate as Intermediate,
    Param as Param,
    Perturbation as Perturbation,
    register_variable_name as register_variable_name,
    variable_name_from_type as variable_name_from_type,
    variable_type_from_name as variable_type_from_name,
    with_metadata as with_metadata,
)
from linnet.nnx.objects.module import (
    Module as Module,
    iter_children as iter_children,
    iter_module_children as iter_module_children,
    iter_modules as iter_modules,
)
from linnet.nnx.objects.nodes import iter_graph as iter_graph
from linnet.nnx.objects.pytree import (
    Pytree as Pytree,
    check_pytree as check_pytree,
    dataclass as dataclass,
)
from linnet.nnx.objects.variable import Variable as Variable, VariableMetadata as VariableMetadata
from linnet.nnx.random.splitting import (
    fork_rngs as fork_rngs,
    reseed as reseed,
    restore_rngs as restore_rngs,
    split_rngs as split_rngs,
    with_rngs as with_rngs,
)
from linnet.nnx.random.streams import (
    RngCount as RngCount,
    RngKey as RngKey,
    Rngs as Rngs,
    RngState as RngState,
    RngStream as RngStream,
)
from linnet.nnx.transforms.axes import (
    Carry as Carry,
    StateAxes as StateAxes,
    StateSharding as StateSharding,
    prefix as prefix,
)
from linnet.nnx.transforms.eval_shape import eval_shape as eval_shape
from linnet.nnx.transforms.grad import (
    DiffState as DiffState,
    grad as grad,
    value_and_grad as value_and_grad,
)
from linnet.nnx.transforms.jit import (
    cached_partial as cached_partial,
    jit as jit,
    jit_partial as jit_partial,
)
from linnet.nnx.transforms.modes import (
    set_graph_mode as set_graph_mode,
    set_graph_updates as set_graph_updates,
)
from linnet.nnx.transforms.remat import remat as remat
from linnet.nnx.transforms.scan import scan as scan
from linnet.nnx.transforms.vjp import vjp as vjp
from linnet.nnx.transforms.vmap import vmap as vmap
from linnet.ops import initializers as initializers
from linnet.ops.activation import (
    celu as celu,
    elu as elu,
    gelu as gelu,
    glu as glu,
    hard_sigmoid as hard_sigmoid,
    hard_silu as hard_silu,
    hard_swish as hard_swish,
    hard_tanh as hard_tanh,
    identity as identity,
    leaky_relu as leaky_relu,
    log_sigmoid as log_sigmoid,
    log_softmax as log_softmax,
    logsumexp as logsumexp,
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
from linnet.ops.masks import (
    combine_masks as combine_masks,
    make_attention_mask as make_attention_mask,
    make_causal_mask as make_causal_mask,
)
from linnet.ops.pooling import (
    avg_pool as avg_pool,
    max_pool as max_pool,
    min_pool as min_pool,
    pool as pool,
)
from linnet.state.filters import (
    All as All,
    Any as Any,
    Everything as Everything,
    Not as Not,
    Nothing as Nothing,
    OfType as OfType,
    PathContains as PathContains,
    PathIn as PathIn,
    WithTag as WithTag,
)

M = TypeVar("M", bound=Module)

Object = Pytree  # the name it had before
PureState: TypeAlias = tuple[GraphDef[M], State[A, A]]

# what only some programs need is loaded when it is first asked for
_ON_DEMAND = """
    linnet.display: visualization=notebook
    linnet.display.notebook: display
    linnet.nnx: compat sharding=spmd spmd summary
    linnet.nnx.graph.contexts: MergeContext NodeStates SplitContext UpdateContext
        current_update_context from_tree merge_context split_context to_tree update_context
    linnet.nnx.graph.views: abstract_with_sharding as_abstract as_pure pure var_defaults vars_as
        view view_info with_attributes with_vars
    linnet.nnx.objects.sharding: use_eager_sharding using_eager_sharding
    linnet.nnx.spmd: PARTITION_NAME get_abstract_model get_named_sharding get_partition_spec
        with_partitioning
    linnet.nnx.summary: tabulate
    linnet.nnx.training: metrics optimizer
    linnet.nnx.training.ema: EMA
    linnet.nnx.training.metrics: Metric MultiMetric
    linnet.nnx.training.optimizer: ModelAndOptimizer OptArray OptState OptVariable Optimizer
    linnet.nnx.training.train_state: TrainState
    linnet.state.logical: logical_axis_rules
"""

# what Flax has, and a program may ask for in vain
_COMING = frozenset(
    (
        *("Bidirectional", "GRUCell", "LSTMCell", "OptimizedLSTMCell", "RNN", "RNNCellBase"),
        *("SimpleCell", "SpectralNorm", "WeightNorm", "bridge", "checkify", "cond", "custom_vjp"),
        *("deprecations", "extract", "fori_loop", "jvp", "make_jaxpr", "pmap"),
        *("proxy_caller", "reprlib", "shard_map", "switch", "tracers", "transform_metadata"),
        *("while_loop", "wrappers"),
    )
)

_names.publish("linnet.nnx", _MODULES)
# importing our own package of this name has set it as an attribute
globals().pop("graph")

if TYPE_CHECKING:
    from linnet.display import notebook as _notebook
    from linnet.display.notebook import display as display
    from linnet.nnx import spmd as spmd, summary as summary
    from linnet.nnx.graph.contexts import (
        MergeContext as MergeContext,
        NodeStates as NodeStates,
        SplitContext as SplitContext,
        UpdateContext as UpdateContext,
        current_update_context as current_update_context,
        from_tree as from_tree,
        merge_context as merge_context,
        split_context as split_context,
        to_tree as to_tree,
        update_context as update_context,
    )
    from linnet.nnx.graph.views import (
        abstract_with_sharding as abstract_with_sharding,
        as_abstract as as_abstract,
        as_pure as as_pure,
        pure as pure,
        var_defaults as var_defaults,
        vars_as as vars_as,
        view as view,
        view_info as view_info,
        with_attributes as with_attributes,
        with_vars as with_vars,
    )
    from linnet.nnx.objects.sharding import (
        use_eager_sharding as use_eager_sharding,
        using_eager_sharding as using_eager_sharding,
    )
    from linnet.nnx.spmd import (
        PARTITION_NAME as PARTITION_NAME,
        get_abstract_model as get_abstract_model,
        get_named_sharding as get_named_sharding,
        get_partition_spec as get_partition_spec,
        with_partitioning as with_partitioning,
    )
    from linnet.nnx.summary import tabulate as tabulate
    from linnet.nnx.training import metrics as metrics, optimizer as optimizer
    from linnet.nnx.training.ema import EMA as EMA
    from linnet.nnx.training.metrics import Metric as Metric, MultiMetric as MultiMetric
    from linnet.nnx.training.optimizer import (
        ModelAndOptimizer as ModelAndOptimizer,
        OptArray as OptArray,
        Optimizer as Optimizer,
        OptState as OptState,
        OptVariable as OptVariable,
    )
    from linnet.nnx.training.train_state import TrainState as TrainState
    from linnet.state.logical import logical_axis_rules as logical_axis_rules

    sharding, visualization = spmd, _notebook
else:  # so that a type checker finds mistyped names
    __getattr__, __dir__ = _names.on_demand(globals(), _ON_DEMAND, _MODULES, _COMING)
