"""The names of ``flax.nnx.spmd``: how variables are laid out on a mesh."""

from linnet.nnx import (
    PARTITION_NAME as PARTITION_NAME,
    abstract_with_sharding as abstract_with_sharding,
    as_abstract as as_abstract,
    eval_shape as eval_shape,
    get_abstract_model as get_abstract_model,
    get_named_sharding as get_named_sharding,
    get_partition_spec as get_partition_spec,
    with_partitioning as with_partitioning,
)
from linnet.nnx.sharding import (
    add_axis as add_axis,
    remove_axis as remove_axis,
)
