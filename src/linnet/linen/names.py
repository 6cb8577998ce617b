"""The modules of ``flax.linen`` by their names there; see ``linnet.base.names``."""

MODULES = {
    "activation": """
        linnet.linen.layers.activation: PReLU
        linnet.ops.activation: celu elu gelu glu hard_sigmoid hard_silu hard_swish hard_tanh
            leaky_relu log_sigmoid log_softmax logsumexp normalize one_hot relu relu6 selu sigmoid
            silu soft_sign softmax softplus standardize swish tanh
    """,
    "attention": "linnet.linen.layers.attention",
    "combinators": "linnet.linen.layers.combinators",
    "dtypes": "linnet.ops.dtypes",
    "initializers": "linnet.ops.initializers",
    "linear": """
        linnet.linen.layers.convolution: Conv ConvLocal ConvTranspose canonicalize_padding
        linnet.linen.layers.dense: Dense DenseGeneral Einsum Embed
            default_embed_init default_kernel_init
    """,
    "module": "linnet.linen.modules.module",
    "normalization": "linnet.linen.layers.normalization",
    "partitioning": """
        linnet.lift.axes: InOutAxis InOutScanAxis ScanIn=In ScanOut=Out
        linnet.state.logical: LogicalRules RulesFallback logical_to_mesh logical_to_mesh_axes
            get_axis_rules=get_logical_axis_rules axis_rules=logical_axis_rules
            set_axis_rules=set_logical_axis_rules with_sharding_constraint=with_logical_constraint
        linnet.tree.frozen_dict: freeze unfreeze
        linnet.tree.paths: flatten_dict unflatten_dict
    """,
    "pooling": "linnet.ops.pooling",
    "spmd": "linnet.state.logical",
    "stochastic": "linnet.linen.layers.stochastic",
    "summary": "linnet.linen.modules.summary",
}
