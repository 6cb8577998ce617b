"""Pooling, as Linen names it; the arithmetic stands in ``linnet.ops.pooling``."""

from linnet.ops.pooling import (
    avg_pool as avg_pool,
    max_pool as max_pool,
    min_pool as min_pool,
    pool as pool,
)
