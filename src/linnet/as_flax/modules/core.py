"""The names of ``flax.core``."""

from linnet.as_flax.modules import meta as meta, scope as scope, variables as variables
from linnet.lift.axes import broadcast as broadcast
from linnet.linen.modules.scope import Scope as Scope
from linnet.state.collection_filters import DenyList as DenyList
from linnet.state.metadata import (
    AxisMetadata as AxisMetadata,
    map_axis_meta as map_axis_meta,
    unbox as unbox,
)
from linnet.tree import frozen_dict as frozen_dict
from linnet.tree.frozen_dict import (
    FrozenDict as FrozenDict,
    copy as copy,
    freeze as freeze,
    pop as pop,
    pretty_repr as pretty_repr,
    unfreeze as unfreeze,
)
