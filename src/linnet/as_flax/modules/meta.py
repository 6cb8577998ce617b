"""The names of ``flax.core.meta``."""

from typing import Any, TypeVar

from linnet.state.metadata import (
    A as A,
    AxisMetadata,
    add_axis as add_axis,
    is_axis_metadata as is_axis_metadata,
    map_axis_meta as map_axis_meta,
    remove_axis as remove_axis,
    replace_boxed as replace_boxed,
    unbox as unbox,
)
from linnet.state.partitioning import (
    PARTITION_NAME as PARTITION_NAME,
    Partitioned as Partitioned,
    get_global_mesh as get_global_mesh,
    get_partition_spec as get_partition_spec,
    get_sharding as get_sharding,
    global_mesh_defined as global_mesh_defined,
    with_partitioning as with_partitioning,
)

TAxisMetadata = TypeVar("TAxisMetadata", bound=AxisMetadata[Any])
