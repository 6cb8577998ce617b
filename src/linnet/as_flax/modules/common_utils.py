"""The names of ``flax.training.common_utils``."""

from linnet.training.replication import (
    get_metrics as get_metrics,
    onehot as onehot,
    shard as shard,
    shard_prng_key as shard_prng_key,
    stack_forest as stack_forest,
)
