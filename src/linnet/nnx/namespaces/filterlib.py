"""The names of ``flax.nnx.filterlib``: which variables an operation is about."""

from linnet.base.typing import Key
from linnet.base.typing import Path as PathParts
from linnet.nnx import All, Any, Everything, Not, Nothing, OfType, PathContains, PathIn, WithTag
from linnet.nnx.states import predicates_of as filters_to_predicates
from linnet.state.filters import Filter, Predicate, to_predicate

__all__ = [
    "All",
    "Any",
    "Everything",
    "Filter",
    "Key",
    "Not",
    "Nothing",
    "OfType",
    "PathContains",
    "PathIn",
    "PathParts",
    "Predicate",
    "WithTag",
    "filters_to_predicates",
    "to_predicate",
]
