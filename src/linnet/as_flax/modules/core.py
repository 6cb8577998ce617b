"""The names of ``flax.core``."""

from linnet.as_flax.modules import meta, scope, variables
from linnet.lift import axes as axes_scan
from linnet.lift.axes import broadcast
from linnet.linen.scope import Scope
from linnet.state.collection_filters import DenyList
from linnet.state.metadata import AxisMetadata, map_axis_meta, unbox
from linnet.tree import frozen_dict
from linnet.tree.frozen_dict import FrozenDict, copy, freeze, pop, pretty_repr, unfreeze

__all__ = [
    "AxisMetadata",
    "DenyList",
    "FrozenDict",
    "Scope",
    "axes_scan",
    "broadcast",
    "copy",
    "freeze",
    "frozen_dict",
    "map_axis_meta",
    "meta",
    "pop",
    "pretty_repr",
    "scope",
    "unbox",
    "unfreeze",
    "variables",
]
