"""The names of ``flax.training.common_utils``."""

from linnet.training.replication import (
    get_metrics,
    onehot,
    shard,
    shard_prng_key,
    stack_forest,
)

__all__ = ["get_metrics", "onehot", "shard", "shard_prng_key", "stack_forest"]
