"""The names of ``flax.core.scope``."""

from linnet.base.config import config
from linnet.base.ids import uuid
from linnet.base.typing import (
    Collection,
    MutableCollection,
    MutableVariableDict,
    PRNGFoldable,
    PRNGKey,
    RNGSequences,
    VariableDict,
)
from linnet.linen.scope import Scope
from linnet.linen.variable import Variable
from linnet.state.collection_filters import (
    CollectionFilter,
    DenyList,
    filter_to_set,
    group_collections,
    in_filter,
    intersect_filters,
    is_filter_empty,
    subtract_filters,
    union_filters,
)
from linnet.state.collection_filters import CollectionFilter as Filter
from linnet.state.collection_filters import CollectionFilter as PRNGSequenceFilter
from linnet.tree.frozen_dict import FrozenDict, FrozenVariableDict, freeze, unfreeze

__all__ = [
    "Collection",
    "CollectionFilter",
    "DenyList",
    "Filter",
    "FrozenDict",
    "FrozenVariableDict",
    "MutableCollection",
    "MutableVariableDict",
    "PRNGFoldable",
    "PRNGKey",
    "PRNGSequenceFilter",
    "RNGSequences",
    "Scope",
    "Variable",
    "VariableDict",
    "config",
    "filter_to_set",
    "freeze",
    "group_collections",
    "in_filter",
    "intersect_filters",
    "is_filter_empty",
    "subtract_filters",
    "unfreeze",
    "union_filters",
    "uuid",
]
