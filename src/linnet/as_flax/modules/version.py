"""The names of ``flax.version``: which version of Flax Linnet stands in for."""

from linnet.as_flax.table import VERSION as __version__  # noqa: N811 - the name it has in Flax

__all__ = ["__version__"]
