"""Promotion of dtypes, as Linen names it; the arithmetic stands in ``linnet.ops.dtypes``."""

from linnet.ops.dtypes import canonicalize_dtype, promote_dtype

__all__ = ["canonicalize_dtype", "promote_dtype"]
