"""Logical names of axes and the rules that lay them out over a mesh, as Linen names them."""

from linnet.state.logical import (
    LogicallyPartitioned as LogicallyPartitioned,
    RulesFallback as RulesFallback,
    get_logical_axis_rules as get_logical_axis_rules,
    logical_axis_rules as logical_axis_rules,
    logical_to_mesh as logical_to_mesh,
    logical_to_mesh_axes as logical_to_mesh_axes,
    logical_to_mesh_sharding as logical_to_mesh_sharding,
    set_logical_axis_rules as set_logical_axis_rules,
    with_logical_constraint as with_logical_constraint,
    with_logical_partitioning as with_logical_partitioning,
)
