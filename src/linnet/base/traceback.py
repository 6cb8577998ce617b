"""Leaving the library's own frames out of the tracebacks of a user's errors.

A call such as ``model.apply`` passes through many frames of Linnet between one line of the user's
and the next. When an exception leaves such a call, ``hide_internal_frames`` rebuilds its traceback
from the frames that are not Linnet's. The call site is a bare ``except``, which costs nothing until
something is raised; :func:`user_facing` puts one around a function::

    try:
        ...
    except Exception as error:
        hide_internal_frames(error)
        raise

The flag ``flax_filter_frames`` turns this off, and so does JAX's own
``jax_traceback_filtering="off"``.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

from linnet.base import jaxcompat
from linnet.base.config import config

F = TypeVar("F", bound=Callable[..., Any])

_excluded: list[str] = []


def hide_internal_frames(error: BaseException) -> None:
    """Takes the frames of the library out of the traceback of an exception about to be re-raised.

    The exception, its notes and its causes stay as they are. A traceback that has no other frame
    is left whole.

    Args:
        error: the exception, in the ``except`` block that caught it.
    """
    if not config.flax_filter_frames or jaxcompat.shows_internal_frames():
        return
    kept: list[TracebackType] = []
    entry = error.__traceback__
    while entry is not None:
        if not entry.tb_frame.f_code.co_filename.startswith(tuple(_excluded)):
            kept.append(entry)
        entry = entry.tb_next
    if not kept:
        return
    chain: TracebackType | None = None
    for entry in reversed(kept):
        chain = TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    error.__traceback__ = chain


def user_facing(function: F) -> F:
    """Leaves the library's frames out of exceptions that leave a function; a decorator."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            hide_internal_frames(error)
            raise

    return cast("F", call)


def mark_noted(error: BaseException) -> bool:
    """Says whether an exception may get a note of where it came from, which it gets only once.

    Args:
        error: the exception; it is marked.

    Returns:
        Whether it was unmarked until now and could be marked.
    """
    if getattr(error, "_linnet_noted", False):
        return False
    try:
        error._linnet_noted = True  # type: ignore[attr-defined]
    except AttributeError:  # an exception class with slots
        return False
    return True


def register_exclusion(path: str) -> None:
    """Hides the frames of another file or folder too, for libraries built on this one.

    Args:
        path: a file, or a prefix that the paths of the files share.
    """
    if path not in _excluded:
        _excluded.append(path)
        jaxcompat.register_exclusion(path)


def hide_flax_in_tracebacks() -> None:
    """Leaves the library's own frames out of tracebacks, which is the default."""
    config.update("flax_filter_frames", True)


def show_flax_in_tracebacks() -> None:
    """Shows the library's own frames in tracebacks, to debug the library itself."""
    config.update("flax_filter_frames", False)


register_exclusion(f"{Path(__file__).parents[1]}{os.sep}")
