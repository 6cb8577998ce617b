"""The names of ``flax.nnx.statelib``: states, nested and flat."""

from linnet.nnx import (
    FlatState,
    State,
    filter_state,
    from_flat_state,
    map_state,
    merge_state,
    replace_by_pure_dict,
    restore_int_paths,
    split_state,
    to_flat_state,
    to_pure_dict,
)
from linnet.nnx.pure_dicts import create_path_filters
from linnet.nnx.states import diff

__all__ = [
    "FlatState",
    "State",
    "create_path_filters",
    "diff",
    "filter_state",
    "from_flat_state",
    "map_state",
    "merge_state",
    "replace_by_pure_dict",
    "restore_int_paths",
    "split_state",
    "to_flat_state",
    "to_pure_dict",
]
