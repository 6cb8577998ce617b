"""The names of ``flax.nnx.compat``: functions that see graphs whatever the flags say."""

import functools
from typing import Any

from linnet import nnx
from linnet.nnx.random import splitting

_READERS = (
    *("clone", "flatten", "get_abstract_model", "graphdef", "iter_children", "iter_graph"),
    *("iter_modules", "recursive_map", "reseed", "split", "state", "view", "view_info"),
)
_TRANSFORMS = (
    *("cached_partial", "eval_shape", "fork_rngs", "grad", "jit", "remat", "scan"),
    *("split_rngs", "value_and_grad", "vjp", "vmap"),
)


def _seeing(function: Any, **flags: bool) -> Any:
    return functools.partial(function, graph=True, **flags)


backup_keys = _seeing(splitting.backup_keys)
globals().update({name: _seeing(getattr(nnx, name)) for name in _READERS})
globals().update({name: _seeing(getattr(nnx, name), graph_updates=True) for name in _TRANSFORMS})
