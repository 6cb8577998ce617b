"""Linnet: neural networks for JAX, functional (``linnet.linen``) and eager (``linnet.nnx``)."""

__version__ = "0.1.0"
