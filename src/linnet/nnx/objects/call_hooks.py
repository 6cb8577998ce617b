"""What surrounds every call of a module: notes on exceptions, and watching.

The method ``__call__`` of every module class is wrapped when Python makes the class. The wrapper
adds a note (PEP 678) to an exception that escapes: which module it was, where in the model, and on
which inputs; the innermost module counts. While somebody watches, as ``nnx.tabulate`` does, calls
go to the watcher instead.
"""

import functools
from collections.abc import Callable
from typing import Any

from linnet.base.errors import near, shape_text
from linnet.base.traceback import mark_noted
from linnet.nnx.objects.trace_level import name_of

Watcher = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]

watchers: list[Watcher] = []
"""Who watches calls, the last one first: called with (method, module, args, kwargs)."""


def observed(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method of a module class."""

    @functools.wraps(method)
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if watchers:
            return watchers[-1](method, self, args, kwargs)
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            _note(error, self, args, kwargs)
            raise

    return call


def _note(error: Exception, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if not mark_noted(error):
        return
    given = [_told(arg) for arg in args] + [f"{k}={_told(v)}" for k, v in kwargs.items()]
    where = name_of(module, "a module")
    error.add_note(f"In {where} ({type(module).__name__}), called with ({', '.join(given)})")
    owner = getattr(error, "obj", None)
    if isinstance(error, AttributeError) and hasattr(type(owner), "_statuses"):
        meant = near(error.name or "", [name for name in dir(owner) if not name.startswith("_")])
        if meant:
            error.add_note(f"{type(owner).__name__} has no attribute {error.name!r}.{meant}")


def _told(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return shape_text(value)
    text = repr(value) if isinstance(value, int | float | bool | str | None) else ""
    return text if text and len(text) < 40 else type(value).__name__
