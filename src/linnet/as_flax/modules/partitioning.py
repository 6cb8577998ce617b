"""The names of ``flax.linen.partitioning``."""

from linnet.lift.axes import InOutAxis as InOutAxis, InOutScanAxis as InOutScanAxis
from linnet.state.logical import (
    LogicalRules as LogicalRules,
    RulesFallback as RulesFallback,
    logical_to_mesh as logical_to_mesh,
    logical_to_mesh_axes as logical_to_mesh_axes,
)
from linnet.tree.frozen_dict import freeze as freeze, unfreeze as unfreeze
from linnet.tree.paths import flatten_dict as flatten_dict, unflatten_dict as unflatten_dict
