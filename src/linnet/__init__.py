"""Linnet: neural networks for JAX, functional (``linnet.linen``) and eager (``linnet.nnx``)."""

from linnet.base import errors
from linnet.base.config import config

__version__ = "0.1.0"

__all__ = ["__version__", "config", "errors"]
