"""The names of ``flax.linen.partitioning``."""

from linnet.lift.axes import In as ScanIn
from linnet.lift.axes import InOutAxis, InOutScanAxis
from linnet.lift.axes import Out as ScanOut
from linnet.state.logical import (
    LogicalRules,
    RulesFallback,
    logical_to_mesh,
    logical_to_mesh_axes,
)
from linnet.state.logical import get_logical_axis_rules as get_axis_rules
from linnet.state.logical import logical_axis_rules as axis_rules
from linnet.state.logical import set_logical_axis_rules as set_axis_rules
from linnet.state.logical import with_logical_constraint as with_sharding_constraint
from linnet.tree.frozen_dict import freeze, unfreeze
from linnet.tree.paths import flatten_dict, unflatten_dict

__all__ = [
    "InOutAxis",
    "InOutScanAxis",
    "LogicalRules",
    "RulesFallback",
    "ScanIn",
    "ScanOut",
    "axis_rules",
    "flatten_dict",
    "freeze",
    "get_axis_rules",
    "logical_to_mesh",
    "logical_to_mesh_axes",
    "set_axis_rules",
    "unflatten_dict",
    "unfreeze",
    "with_sharding_constraint",
]
