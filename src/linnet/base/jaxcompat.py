"""The only doorway to the internals of JAX.

What JAX has not made public, and Linnet cannot do without, is imported here and nowhere else; when
a new version of JAX moves something, this file changes and no other.
"""

import jax
from jax._src import source_info_util, traceback_util


def register_exclusion(path: str) -> None:
    """Has JAX pass over the frames of a file or folder in tracebacks and in source locations.

    Args:
        path: a file, or a prefix that the paths of the files share.
    """
    traceback_util.register_exclusion(path)
    source_info_util.register_exclusion(path)


def shows_internal_frames() -> bool:
    """Says whether JAX has been asked to leave tracebacks whole."""
    # The attributes of jax.config are made at run time, out of sight of the type checker.
    return getattr(jax.config, "jax_traceback_filtering", None) == "off"
