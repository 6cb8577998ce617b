"""The names of ``flax.nnx.spmd``: how variables are laid out on a mesh."""

from linnet.nnx import (
    PARTITION_NAME,
    abstract_with_sharding,
    as_abstract,
    eval_shape,
    get_abstract_model,
    get_named_sharding,
    get_partition_spec,
    with_partitioning,
)
from linnet.nnx.sharding import add_axis, remove_axis

__all__ = [
    "PARTITION_NAME",
    "abstract_with_sharding",
    "add_axis",
    "as_abstract",
    "eval_shape",
    "get_abstract_model",
    "get_named_sharding",
    "get_partition_spec",
    "remove_axis",
    "with_partitioning",
]
