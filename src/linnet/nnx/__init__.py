"""NNX: modules that own their variables.

``from linnet import nnx``. A module is a Python object; its variables are attributes, and calling
it may change them. ``nnx.jit``, ``nnx.grad`` and their kin are JAX's transformations for functions
of such objects.
"""

import importlib
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from typing import Any as A  # noqa: N817 - Flax's name

from linnet.base.errors import no_such_name
from linnet.base.typing import Initializer
from linnet.nnx import initializers
from linnet.nnx.attributes import (
    Data,
    Static,
    data,
    has_data,
    is_data,
    register_data_type,
    static,
)
from linnet.nnx.capturing import capture
from linnet.nnx.containers import Dict, List, Sequential
from linnet.nnx.definitions import GraphDef
from linnet.nnx.functional import (
    GraphState,
    call,
    clone,
    flatten,
    graphdef,
    merge,
    split,
    state,
    unflatten,
    unpack,
    variables,
)
from linnet.nnx.graph import iter_graph
from linnet.nnx.kinds import (
    BatchStat,
    Cache,
    Intermediate,
    Param,
    Perturbation,
    register_variable_name,
    variable_name_from_type,
    variable_type_from_name,
    with_metadata,
)
from linnet.nnx.layers.activation import (
    PReLU,
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    logsumexp,
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
from linnet.nnx.layers.attention import MultiHeadAttention
from linnet.nnx.layers.convolution import Conv, ConvTranspose
from linnet.nnx.layers.dense import Einsum, Linear, LinearGeneral
from linnet.nnx.layers.dot_product import dot_product_attention
from linnet.nnx.layers.embedding import Embed
from linnet.nnx.layers.group_normalization import GroupNorm, InstanceNorm
from linnet.nnx.layers.lora import LoRA, LoRALinear, LoRAParam
from linnet.nnx.layers.normalization import BatchNorm, LayerNorm, RMSNorm
from linnet.nnx.layers.pooling import avg_pool, max_pool, min_pool, pool
from linnet.nnx.layers.rotary import RoPE, dot_product_attention_with_rope
from linnet.nnx.layers.stochastic import Dropout
from linnet.nnx.maps import find_duplicates, map, recursive_map  # noqa: A004 - Flax's name
from linnet.nnx.module import Module, iter_children, iter_module_children, iter_modules
from linnet.nnx.pure_dicts import replace_by_pure_dict, restore_int_paths, to_pure_dict
from linnet.nnx.pytree import Pytree, check_pytree, dataclass
from linnet.nnx.rng_changes import fork_rngs, reseed, restore_rngs, split_rngs, with_rngs
from linnet.nnx.rngs import RngCount, RngKey, Rngs, RngState, RngStream
from linnet.nnx.states import (
    FlatState,
    State,
    filter_state,
    from_flat_state,
    map_state,
    merge_state,
    split_state,
    to_flat_state,
)
from linnet.nnx.transforms.autodiff import DiffState, grad, remat, value_and_grad
from linnet.nnx.transforms.iteration import Carry, scan, vmap
from linnet.nnx.transforms.jit import cached_partial, jit, jit_partial
from linnet.nnx.transforms.modes import set_graph_mode, set_graph_updates
from linnet.nnx.transforms.placing import StateAxes, StateSharding
from linnet.nnx.transforms.shapes import eval_shape
from linnet.nnx.updating import pop, set_metadata, update
from linnet.nnx.variables import Variable, VariableMetadata
from linnet.ops.masks import combine_masks, make_attention_mask, make_causal_mask
from linnet.state.filters import (
    All,
    Any,
    Everything,
    Not,
    Nothing,
    OfType,
    PathContains,
    PathIn,
    WithTag,
)

M = TypeVar("M", bound=Module)

Object = Pytree  # the name it had before
PureState: TypeAlias = tuple[GraphDef[A], State[A, A]]

# what only some programs need is loaded when it is first asked for: name → the module it is in
_ON_DEMAND: dict[str, str] = {
    name: f"linnet.nnx.{home}"
    for home, names in {
        "sharding": (
            *("PARTITION_NAME", "get_abstract_model", "get_named_sharding", "get_partition_spec"),
            *("use_eager_sharding", "using_eager_sharding", "with_partitioning", "sharding"),
        ),
        "training.ema": ("EMA",),
        "training.metrics": ("Metric", "MultiMetric", "metrics"),
        "training.optimizer": (
            *("ModelAndOptimizer", "OptArray", "OptState", "OptVariable", "Optimizer", "optimizer"),
        ),
        "training.train_state": ("TrainState",),
        "views": (
            *("abstract_with_sharding", "as_abstract", "as_pure", "pure", "var_defaults"),
            *("vars_as", "view", "view_info", "with_attributes", "with_vars"),
        ),
        "trees": (
            *("MergeContext", "NodeStates", "SplitContext", "UpdateContext", "to_tree"),
            *("current_update_context", "from_tree", "merge_context", "split_context"),
            "update_context",
        ),
        "visualization": ("display", "visualization"),
        "summary": ("tabulate", "summary"),
    }.items()
    for name in names
} | {"logical_axis_rules": "linnet.state.logical"}

# Flax's modules, by the attribute they are here: each gathers the names that Flax has in it
_MODULES: dict[str, str] = {
    "compat": "linnet.nnx.namespaces.compat",
    "filterlib": "linnet.nnx.namespaces.filterlib",
    "graph": "linnet.nnx.namespaces.graphlib",
    "graphlib": "linnet.nnx.namespaces.graphlib",
    "helpers": "linnet.nnx.namespaces.containers",
    "module": "linnet.nnx.namespaces.modules",
    "nn": "linnet.nnx.namespaces.nn",
    "object": "linnet.nnx.namespaces.pytreelib",
    "pytreelib": "linnet.nnx.namespaces.pytreelib",
    "rnglib": "linnet.nnx.namespaces.rnglib",
    "spmd": "linnet.nnx.namespaces.spmd",
    "statelib": "linnet.nnx.namespaces.statelib",
    "traversals": "linnet.nnx.namespaces.traversals",
    "variablelib": "linnet.nnx.namespaces.variablelib",
}
# importing our files of these names has set them as attributes
for _name in ("graph", "module"):
    globals().pop(_name, None)

# what Flax has, and a program may ask for in vain
_COMING = frozenset(
    (
        *("Bidirectional", "GRUCell", "LSTMCell", "OptimizedLSTMCell", "RNN", "RNNCellBase"),
        *("SimpleCell", "SpectralNorm", "WeightNorm", "bridge", "checkify", "cond", "custom_vjp"),
        *("deprecations", "extract", "fori_loop", "jvp", "make_jaxpr", "pmap", "prefix"),
        *("proxy_caller", "reprlib", "shard_map", "switch", "tracers", "transform_metadata"),
        *("vjp", "while_loop", "wrappers"),
    )
)

__all__ = [
    "EMA",
    "PARTITION_NAME",
    "A",
    "All",
    "Any",
    "BatchNorm",
    "BatchStat",
    "Cache",
    "Carry",
    "Conv",
    "ConvTranspose",
    "Data",
    "Dict",
    "DiffState",
    "Dropout",
    "Einsum",
    "Embed",
    "Everything",
    "FlatState",
    "GraphDef",
    "GraphState",
    "GroupNorm",
    "Initializer",
    "InstanceNorm",
    "Intermediate",
    "LayerNorm",
    "Linear",
    "LinearGeneral",
    "List",
    "LoRA",
    "LoRALinear",
    "LoRAParam",
    "M",
    "MergeContext",
    "Metric",
    "ModelAndOptimizer",
    "Module",
    "MultiHeadAttention",
    "MultiMetric",
    "NodeStates",
    "Not",
    "Nothing",
    "Object",
    "OfType",
    "OptArray",
    "OptState",
    "OptVariable",
    "Optimizer",
    "PReLU",
    "Param",
    "PathContains",
    "PathIn",
    "Perturbation",
    "PureState",
    "Pytree",
    "RMSNorm",
    "RngCount",
    "RngKey",
    "RngState",
    "RngStream",
    "Rngs",
    "RoPE",
    "Sequential",
    "SplitContext",
    "State",
    "StateAxes",
    "StateSharding",
    "Static",
    "TrainState",
    "UpdateContext",
    "Variable",
    "VariableMetadata",
    "WithTag",
    "abstract_with_sharding",
    "as_abstract",
    "as_pure",
    "avg_pool",
    "cached_partial",
    "call",
    "capture",
    "celu",
    "check_pytree",
    "clone",
    "combine_masks",
    "current_update_context",
    "data",
    "dataclass",
    "display",
    "dot_product_attention",
    "dot_product_attention_with_rope",
    "elu",
    "eval_shape",
    "filter_state",
    "find_duplicates",
    "flatten",
    "fork_rngs",
    "from_flat_state",
    "from_tree",
    "gelu",
    "get_abstract_model",
    "get_named_sharding",
    "get_partition_spec",
    "glu",
    "grad",
    "graphdef",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "has_data",
    "identity",
    "initializers",
    "is_data",
    "iter_children",
    "iter_graph",
    "iter_module_children",
    "iter_modules",
    "jit",
    "jit_partial",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "logical_axis_rules",
    "logsumexp",
    "make_attention_mask",
    "make_causal_mask",
    "map",
    "map_state",
    "max_pool",
    "merge",
    "merge_context",
    "merge_state",
    "metrics",
    "min_pool",
    "one_hot",
    "optimizer",
    "pool",
    "pop",
    "pure",
    "recursive_map",
    "register_data_type",
    "register_variable_name",
    "relu",
    "relu6",
    "remat",
    "replace_by_pure_dict",
    "reseed",
    "restore_int_paths",
    "restore_rngs",
    "scan",
    "selu",
    "set_graph_mode",
    "set_graph_updates",
    "set_metadata",
    "sharding",
    "sigmoid",
    "silu",
    "soft_sign",
    "softmax",
    "softplus",
    "split",
    "split_context",
    "split_rngs",
    "split_state",
    "standardize",
    "state",
    "static",
    "summary",
    "swish",
    "tabulate",
    "tanh",
    "to_flat_state",
    "to_pure_dict",
    "to_tree",
    "unflatten",
    "unpack",
    "update",
    "update_context",
    "use_eager_sharding",
    "using_eager_sharding",
    "value_and_grad",
    "var_defaults",
    "variable_name_from_type",
    "variable_type_from_name",
    "variables",
    "vars_as",
    "view",
    "view_info",
    "visualization",
    "vmap",
    "with_attributes",
    "with_metadata",
    "with_partitioning",
    "with_rngs",
    "with_vars",
]

if TYPE_CHECKING:
    from linnet.nnx import sharding, summary, visualization
    from linnet.nnx.sharding import (
        PARTITION_NAME,
        get_abstract_model,
        get_named_sharding,
        get_partition_spec,
        use_eager_sharding,
        using_eager_sharding,
        with_partitioning,
    )
    from linnet.nnx.summary import tabulate
    from linnet.nnx.training import metrics, optimizer
    from linnet.nnx.training.ema import EMA
    from linnet.nnx.training.metrics import Metric, MultiMetric
    from linnet.nnx.training.optimizer import (
        ModelAndOptimizer,
        OptArray,
        Optimizer,
        OptState,
        OptVariable,
    )
    from linnet.nnx.training.train_state import TrainState
    from linnet.nnx.trees import (
        MergeContext,
        NodeStates,
        SplitContext,
        UpdateContext,
        current_update_context,
        from_tree,
        merge_context,
        split_context,
        to_tree,
        update_context,
    )
    from linnet.nnx.views import (
        abstract_with_sharding,
        as_abstract,
        as_pure,
        pure,
        var_defaults,
        vars_as,
        view,
        view_info,
        with_attributes,
        with_vars,
    )
    from linnet.nnx.visualization import display
    from linnet.state.logical import logical_axis_rules
else:  # so that a type checker finds mistyped names

    def __getattr__(name: str) -> A:
        if name in _MODULES:
            found = importlib.import_module(_MODULES[name])
        elif name in _ON_DEMAND:
            home = _ON_DEMAND[name]
            module = importlib.import_module(home)
            found = module if home.endswith(f".{name}") else getattr(module, name)
        else:
            raise AttributeError(no_such_name("linnet.nnx", name, __dir__(), _COMING))
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_DEMAND, *_MODULES})
