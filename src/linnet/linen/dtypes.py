"""Promotion of dtypes, as Linen names it; the arithmetic stands in ``linnet.ops.dtypes``."""

from linnet.ops.dtypes import (
    canonicalize_dtype as canonicalize_dtype,
    promote_dtype as promote_dtype,
)
