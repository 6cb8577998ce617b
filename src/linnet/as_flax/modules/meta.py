"""The names of ``flax.core.meta``."""

from typing import Any, TypeVar

from linnet.state.metadata import (
    A,
    AxisMetadata,
    add_axis,
    is_axis_metadata,
    map_axis_meta,
    remove_axis,
    replace_boxed,
    unbox,
)
from linnet.state.partitioning import (
    PARTITION_NAME,
    Partitioned,
    get_global_mesh,
    get_partition_spec,
    get_sharding,
    global_mesh_defined,
    with_partitioning,
)

TAxisMetadata = TypeVar("TAxisMetadata", bound=AxisMetadata[Any])

__all__ = [
    "PARTITION_NAME",
    "A",
    "AxisMetadata",
    "Partitioned",
    "TAxisMetadata",
    "add_axis",
    "get_global_mesh",
    "get_partition_spec",
    "get_sharding",
    "global_mesh_defined",
    "is_axis_metadata",
    "map_axis_meta",
    "remove_axis",
    "replace_boxed",
    "unbox",
    "with_partitioning",
]
