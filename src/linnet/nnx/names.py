"""The modules of ``flax.nnx`` by their names there; see ``linnet.base.names``."""

MODULES = {
    "filterlib": """
        linnet.base.typing: Key PathParts=Path
        linnet.nnx: All Any Everything Not Nothing OfType PathContains PathIn WithTag
        linnet.state.filters: Filter Predicate to_predicate filters_to_predicates=predicates_of
    """,
    "graph": "linnet.nnx.graphlib",
    "graphlib": """
        linnet.nnx: FlatState GraphDef GraphState MergeContext SplitContext State UpdateContext
            Variable as_pure cached_partial call clone current_update_context find_duplicates
            flatten graphdef iter_children iter_graph iter_module_children map map_state merge
            merge_context pop pure recursive_map set_graph_mode set_graph_updates set_metadata
            split split_context state unflatten unpack update update_context variables vars_as
            with_vars
        linnet.nnx.graph.definitions: NodeDef=ObjectDef VariableDef
    """,
    "helpers": "linnet.nnx: Dict List Sequential TrainState",
    "initializers": "linnet.ops.initializers",
    "module": """
        linnet.nnx: Module capture iter_children iter_modules view view_info with_attributes
    """,
    "nn": """
        linnet.nnx: initializers
        linnet.nnx.layers: dtypes lora stochastic
        linnet.nnx.nn: activations attention linear normalization
    """,
    "nn.activations": """
        linnet.nnx.layers.activation: PReLU
        linnet.ops.activation: celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh
            identity leaky_relu log_sigmoid log_softmax logsumexp one_hot relu relu6 selu sigmoid
            silu soft_sign softmax softplus standardize swish tanh
    """,
    "nn.attention": """
        linnet.nnx: MultiHeadAttention RoPE combine_masks dot_product_attention
            dot_product_attention_with_rope make_attention_mask make_causal_mask
        linnet.nnx.layers.dot_product: dot_product_attention_weights
    """,
    "nn.dtypes": "linnet.nnx.layers.dtypes",
    "nn.initializers": "linnet.ops.initializers",
    "nn.linear": """
        linnet.nnx: Conv ConvTranspose Einsum Embed Linear LinearGeneral
        linnet.nnx.layers.dense: default_bias_init
        linnet.nnx.layers.layer: default_embed_init default_kernel_init
    """,
    "nn.lora": "linnet.nnx.layers.lora",
    "nn.normalization": "linnet.nnx: BatchNorm GroupNorm InstanceNorm LayerNorm RMSNorm",
    "nn.stochastic": "linnet.nnx.layers.stochastic",
    "object": "linnet.nnx.pytreelib",
    "pytreelib": """
        linnet.nnx: Data Object Pytree Static check_pytree data dataclass has_data is_data
            register_data_type static
    """,
    "rnglib": """
        linnet.base.typing: MISSING Missing
        linnet.nnx: Pytree RngCount RngKey Rngs RngState RngStream Variable fork_rngs reseed
            restore_rngs split_rngs with_rngs
        linnet.nnx.random.splitting: SplitBackups backup_keys
    """,
    "statelib": """
        linnet.nnx: FlatState State filter_state from_flat_state map_state merge_state
            replace_by_pure_dict restore_int_paths split_state to_flat_state to_pure_dict
        linnet.nnx.graph.states: create_path_filters diff
    """,
    "transforms.autodiff": """
        linnet.nnx: DiffState grad remat value_and_grad vjp
    """,
    "transforms.compilation": """
        linnet.nnx: StateSharding jit jit_partial
        linnet.nnx.transforms.jit: JitWrapped
    """,
    "transforms.iteration": "linnet.nnx: Carry StateAxes scan vmap",
    "transforms.transforms": "linnet.nnx: eval_shape",
    "traversals": """
        linnet.tree.paths: empty_node flatten_mapping flatten_to_sequence unflatten_mapping
    """,
    "variablelib": """
        linnet.base.config: config
        linnet.base.typing: MISSING Missing
        linnet.nnx: BatchStat Cache Intermediate Param Perturbation Variable VariableMetadata
            register_variable_name use_eager_sharding using_eager_sharding var_defaults
            variable_name_from_type variable_type_from_name with_metadata
        linnet.nnx.graph.views: VarDefaults
    """,
    "visualization": "linnet.display.notebook",
}
