"""What surrounds every call of a module: notes on exceptions, and watching.

The method ``__call__`` of every module class is wrapped when Python makes the class. The wrapper
adds a note (PEP 678) to an exception that escapes: which module it was, where in the model, and on
which inputs; the innermost module counts. While somebody watches, as ``nnx.tabulate`` does, calls
go to the watcher instead.

Other methods are wrapped for as long as somebody wants to know of their calls
(:func:`methods_observed`), who watches or captures what they return.
"""

import functools
import inspect
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

from linnet.base.errors import near, shape_text
from linnet.base.traceback import mark_noted
from linnet.nnx.objects import sown
from linnet.nnx.objects.trace_level import name_of

Watcher = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]

watchers: dict[int, Watcher] = {}
"""Who watches the calls of a thread, called with (method, module, args, kwargs)."""


@contextmanager
def watching(watcher: Watcher) -> Generator[None, None, None]:
    """Watch the calls of this thread, in place of who watches them already."""
    thread = threading.get_ident()
    before = watchers.get(thread)
    watchers[thread] = watcher
    try:
        yield
    finally:
        if before is None:
            del watchers[thread]
        else:
            watchers[thread] = before


def observed(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method of a module class."""

    @functools.wraps(method)
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        watcher = watchers.get(threading.get_ident()) if watchers else None
        if watcher is not None:
            return watcher(method, self, args, kwargs)
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            _note(error, self, args, kwargs)
            raise

    return call


# how many want to know of the calls of a method, and what it is without them
_observers: dict[tuple[type, str], list[Any]] = {}
_lock = threading.Lock()


@contextmanager
def methods_observed(classes: Iterable[type], but: Iterable[str]) -> Generator[None, None, None]:
    """Have the methods of classes tell of their calls, for as long as anybody wants to know.

    The classes are those of the whole process, and several threads may want to know at a time; a
    method is put back when the last of them is done. Who wants to know, each call finds out.

    Args:
        classes: the classes.
        but: names of methods that do not tell.
    """
    left_out = set(but)
    wanted = {
        key
        for cls in classes
        for name, _ in inspect.getmembers(cls, inspect.isfunction)
        if name not in left_out and (not name.startswith("_") or name == "__call__")
        for key in [(next(owner for owner in cls.__mro__ if name in vars(owner)), name)]
        if inspect.isfunction(vars(key[0])[name])  # no static method
    }
    with _lock:
        for owner, name in wanted:
            if (owner, name) not in _observers:
                method = vars(owner)[name]
                _observers[owner, name] = [0, method]
                setattr(owner, name, _telling(name, method))
            _observers[owner, name][0] += 1
    try:
        yield
    finally:
        with _lock:
            for key in wanted:
                _observers[key][0] -= 1
                if not _observers[key][0]:
                    setattr(*key, _observers.pop(key)[1])


def _telling(name: str, method: Any) -> Any:
    """Wrap a method so that watchers see its calls, and captures what it returns."""

    @functools.wraps(method)
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if inspect.getattr_static(type(self), name) is not call:  # by super(), in another's call
            return method(self, *args, **kwargs)
        # `__call__` has its watchers always
        watcher = watchers.get(threading.get_ident()) if name != "__call__" else None
        result = (watcher or _called)(method, self, args, kwargs)
        sown.record(self, name, result)
        return result

    return call


def _called(method: Any, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return method(module, *args, **kwargs)


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
