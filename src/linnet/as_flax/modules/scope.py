"""The names of ``flax.core.scope``."""

from linnet.base.config import config as config
from linnet.base.ids import uuid as uuid
from linnet.base.typing import (
    Collection as Collection,
    MutableCollection as MutableCollection,
    MutableVariableDict as MutableVariableDict,
    PRNGFoldable as PRNGFoldable,
    PRNGKey as PRNGKey,
    RNGSequences as RNGSequences,
    VariableDict as VariableDict,
)
from linnet.linen.modules.scope import Scope as Scope
from linnet.linen.modules.variable import Variable as Variable
from linnet.state.collection_filters import (
    DenyList as DenyList,
    filter_to_set as filter_to_set,
    group_collections as group_collections,
    in_filter as in_filter,
    intersect_filters as intersect_filters,
    is_filter_empty as is_filter_empty,
    subtract_filters as subtract_filters,
    union_filters as union_filters,
)
from linnet.tree.frozen_dict import (
    FrozenDict as FrozenDict,
    FrozenVariableDict as FrozenVariableDict,
    freeze as freeze,
    unfreeze as unfreeze,
)
