"""The names of ``flax``."""

from linnet import linen
from linnet.as_flax.modules import core, training, traverse_util, typing
from linnet.as_flax.modules.version import __version__
from linnet.base import config as configurations
from linnet.base import errors, ids
from linnet.base import traceback as traceback_util
from linnet.base.config import config
from linnet.training import replication as jax_utils
from linnet.tree import serialization, struct

__all__ = [
    "__version__",
    "config",
    "configurations",
    "core",
    "errors",
    "ids",
    "jax_utils",
    "linen",
    "serialization",
    "struct",
    "traceback_util",
    "training",
    "traverse_util",
    "typing",
]
