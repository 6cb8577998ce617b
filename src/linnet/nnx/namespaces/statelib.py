"""The names of ``flax.nnx.statelib``: states, nested and flat."""

from linnet.nnx import (
    FlatState as FlatState,
    State as State,
    filter_state as filter_state,
    from_flat_state as from_flat_state,
    map_state as map_state,
    merge_state as merge_state,
    replace_by_pure_dict as replace_by_pure_dict,
    restore_int_paths as restore_int_paths,
    split_state as split_state,
    to_flat_state as to_flat_state,
    to_pure_dict as to_pure_dict,
)
from linnet.nnx.pure_dicts import (
    create_path_filters as create_path_filters,
)
from linnet.nnx.states import (
    diff as diff,
)
