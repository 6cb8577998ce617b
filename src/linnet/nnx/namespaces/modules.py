"""The names of ``flax.nnx.module``: modules, and what goes over all of one."""

from linnet.nnx import (
    Module,
    capture,
    iter_children,
    iter_modules,
    view,
    view_info,
    with_attributes,
)

__all__ = [
    "Module",
    "capture",
    "iter_children",
    "iter_modules",
    "view",
    "view_info",
    "with_attributes",
]
