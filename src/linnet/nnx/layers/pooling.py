"""Pooling, as NNX names it; the arithmetic stands in ``linnet.ops.pooling``."""

from linnet.ops.pooling import avg_pool, max_pool, min_pool, pool

__all__ = ["avg_pool", "max_pool", "min_pool", "pool"]
