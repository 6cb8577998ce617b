"""Linen: functional modules, whose variables live outside them.

``import linnet.linen as nn``. A module describes a network; ``init`` makes its variables and
``apply`` computes with them.
"""

from linnet.linen import initializers
from linnet.linen.module import (
    DenyList,
    Module,
    Variable,
    apply,
    compact,
    init,
    init_with_output,
    intercept_methods,
    merge_param,
    nowrap,
    share_scope,
)
