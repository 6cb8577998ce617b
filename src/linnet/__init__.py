"""Linnet: neural networks for JAX, functional (``linnet.linen``) and eager (``linnet.nnx``)."""

from linnet.base import errors as errors
from linnet.base.config import config as config
from linnet.base.names import publish

publish("linnet", {"errors": "linnet.base.errors"})

__version__ = "0.1.0"
