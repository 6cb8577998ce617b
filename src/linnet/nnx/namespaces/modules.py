"""The names of ``flax.nnx.module``: modules, and what goes over all of one."""

from linnet.nnx import (
    Module as Module,
    capture as capture,
    iter_children as iter_children,
    iter_modules as iter_modules,
    view as view,
    view_info as view_info,
    with_attributes as with_attributes,
)
