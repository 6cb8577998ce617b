"""The names of ``flax``."""

import importlib
from types import ModuleType

from linnet import linen
from linnet.as_flax.modules import core, training, traverse_util, typing
from linnet.as_flax.modules.version import __version__
from linnet.base import config as configurations
from linnet.base import errors, ids
from linnet.base import traceback as traceback_util
from linnet.base.config import config
from linnet.base.errors import near
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


def __getattr__(name: str) -> ModuleType:
    if name == "nnx":  # which a program that uses Linen alone does without
        return importlib.import_module("linnet.nnx")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{near(name, __all__)}")
