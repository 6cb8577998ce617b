"""The modules of ``flax`` that no module of Linnet is; see ``linnet.base.names``."""

MODULES = {
    "common_utils": "linnet.training.replication",
    "core": """
        linnet.as_flax: meta scope variables
        linnet.lift: axes_scan=axes
        linnet.lift.axes: broadcast
        linnet.linen.modules.scope: Scope
        linnet.state.collection_filters: DenyList
        linnet.state.metadata: AxisMetadata map_axis_meta unbox
        linnet.tree: frozen_dict
        linnet.tree.frozen_dict: FrozenDict copy freeze pop pretty_repr unfreeze
    """,
    "flax": """
        linnet: linen nnx
        linnet.as_flax: core training traverse_util typing
        linnet.as_flax.table: __version__=VERSION
        linnet.base: configurations=config errors ids traceback_util=traceback
        linnet.base.config: config
        linnet.training: jax_utils=replication
        linnet.tree: serialization struct
    """,
    "meta": """
        linnet.state.metadata: A AxisMetadata TAxisMetadata=Meta add_axis is_axis_metadata
            map_axis_meta remove_axis replace_boxed unbox
        linnet.state.partitioning: PARTITION_NAME Partitioned get_global_mesh get_partition_spec
            get_sharding global_mesh_defined with_partitioning
    """,
    "scope": """
        linnet.base.config: config
        linnet.base.ids: uuid
        linnet.base.typing: Collection MutableCollection MutableVariableDict PRNGFoldable PRNGKey
            RNGSequences VariableDict
        linnet.linen.modules.scope: Scope
        linnet.linen.modules.variable: Variable
        linnet.state.collection_filters: CollectionFilter Filter=CollectionFilter
            PRNGSequenceFilter=CollectionFilter DenyList filter_to_set group_collections in_filter
            intersect_filters is_filter_empty subtract_filters union_filters
        linnet.tree.frozen_dict: FrozenDict FrozenVariableDict freeze unfreeze
    """,
    "training": """
        linnet.as_flax: common_utils
        linnet.training: train_state
    """,
    "traverse_util": """
        linnet.tree.paths: empty_node flatten_dict path_aware_map unflatten_dict
        linnet.tree.traversal: ModelParamTraversal Traversal TraverseAttr TraverseCompose
            TraverseEach TraverseFilter TraverseId TraverseItem TraverseMerge TraverseTree
            t_identity
    """,
    "typing": """
        linnet.base.typing: MISSING Array ArrayPytree Axes Axis AxisName Collection
            ConvGeneralDilatedT=ConvGeneralDilated DotGeneralT=DotGeneral Dtype EinsumT=Einsum
            Initializer Key LaxPadding Leaf LogicalPartitionSpec LogicalPartitionSpecPytree Missing
            MutableCollection MutableVariableDict PRNGFoldable PRNGKey PaddingLike
            PartitionSpecPytree Path=JoinedPath PathParts=Path PrecisionLike
            PromoteDtypeFn=PromoteDtype RNGSequences Shape ShapeDtype Sharding VariableDict
            has_shape_dtype is_key_like
        linnet.lift.axes: In InOutAxis InOutScanAxis Out ScanAxis
        linnet.state.logical: LogicalNames LogicalRules
        linnet.tree.frozen_dict: FrozenDict FrozenVariableDict
    """,
    "variables": "linnet.linen.modules.variable: Variable",
    "version": "linnet.as_flax.table: __version__=VERSION",
}
