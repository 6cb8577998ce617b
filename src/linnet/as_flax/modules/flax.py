"""The names of ``flax``."""

import importlib
from types import ModuleType

from linnet import linen as linen
from linnet.as_flax.modules import (
    core as core,
    training as training,
    traverse_util as traverse_util,
    typing as typing,
)
from linnet.as_flax.modules.version import __version__ as __version__
from linnet.base import errors as errors, ids as ids
from linnet.base.config import config as config
from linnet.base.errors import near
from linnet.tree import serialization as serialization, struct as struct


def __getattr__(name: str) -> ModuleType:
    if name == "nnx":  # which a program that uses Linen alone does without
        return importlib.import_module("linnet.nnx")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}.{near(name, __all__)}")
