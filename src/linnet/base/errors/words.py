"""The roots of the tree of errors, and the words that several messages share."""

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any


class Retold(Exception):  # noqa: N818 - the root of errors and of warnings
    """What is made of the facts of a case, and can be made again of its message.

    A pool of processes does that, to hand an error to another process, and programs that add to a
    message: ``type(error)(message)``.
    """

    __module__ = "linnet.errors"  # where programs find it

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("linnet.base.errors"):
            cls.__module__ = Retold.__module__
        init = vars(cls).get("__init__")
        if init is not None:
            cls.__init__ = _or_message(init)

    def __reduce__(self) -> Any:
        kept = {name: value for name, value in vars(self).items() if not callable(value)}
        return _retold, (type(self), str(self), kept)


def _or_message(init: Callable[..., None]) -> Callable[..., None]:
    """Have a constructor that needs several facts take a message alone, too."""
    code: Any = init.__code__
    named = code.co_kwonlyargcount - len(init.__kwdefaults__ or ())
    needed = code.co_argcount - 1 - len(init.__defaults__ or ()) + named
    if needed < 2:
        return init

    @functools.wraps(init)
    def told(self: Any, *args: Any, **kwargs: Any) -> None:
        if len(args) == 1 and isinstance(args[0], str) and not kwargs:
            Exception.__init__(self, *args)
        else:
            init(self, *args, **kwargs)

    return told


def _retold(cls: type[Retold], message: str, attributes: dict[str, Any]) -> Retold:
    made = cls.__new__(cls, message)
    vars(made).update(attributes)
    return made


class LinnetError(Retold):
    """The root of Linnet's errors."""


class LinnetWarning(Retold, UserWarning):
    """The root of Linnet's warnings: what runs, but hardly as it was meant."""


def path_text(path: Sequence[Any]) -> str:
    """Write a path as it is read: ``/encoder/layers_3``, the root as ``/``.

    >>> path_text(("encoder", "layers_3"))
    '/encoder/layers_3'
    """
    return "/" + "/".join(str(key) for key in path)


def place(path: Sequence[Any] | str, owner: str | None = None) -> str:
    """Name a module by its path and, where it is known, its class: ``/mlp/Dense_0 (Dense)``."""
    text = path if isinstance(path, str) else path_text(path)
    return f"{text} ({owner})" if owner else text


def listing(names: Iterable[Any], nothing: str = "none") -> str:
    """Write names as a list to be read: ``'a', 'b'``, or ``nothing`` when there are none."""
    return ", ".join(repr(name) for name in names) or nothing


def near(name: str, names: Iterable[str]) -> str:
    """Suggest the likeliest of ``names`` for a mistyped one, as a sentence or the empty string.

    >>> near("kernal", ["bias", "kernel"])
    " Did you mean 'kernel'?"
    """
    match = _closest(name, names)
    return f" Did you mean {match!r}?" if match else ""


def no_such_name(module: str, name: str, names: Iterable[str], coming: Iterable[str]) -> str:
    """Say that a module has no such name: a mistyped one, or one that Flax has and it has not yet.

    >>> no_such_name("linnet.nnx", "whileloop", ["scan"], ["while_loop"])
    "module 'linnet.nnx' has no attribute 'whileloop'. Did you mean 'while_loop'?"
    >>> no_such_name("linnet.nnx", "while_loop", ["scan"], ["while_loop"])
    "module 'linnet.nnx' has no 'while_loop' yet, which Flax 0.12.12 has."
    """
    coming = frozenset(coming)
    if name in coming:
        return f"module {module!r} has no {name!r} yet, which Flax 0.12.12 has.{near(name, names)}"
    return f"module {module!r} has no attribute {name!r}.{near(name, [*names, *sorted(coming)])}"


def misspelt(name: str, names: Iterable[str]) -> str:
    """Point to the one of ``names`` that was likely meant to be ``name``, as a sentence.

    >>> misspelt("dropout", ["params", "dropuot"])
    " Is 'dropuot' a misspelling of it?"
    """
    match = _closest(name, names)
    return f" Is {match!r} a misspelling of it?" if match else ""


def _closest(name: str, names: Iterable[str]) -> str | None:
    import difflib  # only once something is wrong

    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.65)), None)


def shape_text(value: Any) -> str:
    """Write an array, or what is shaped like one, by its dtype and shape.

    >>> import jax
    >>> shape_text(jax.ShapeDtypeStruct((2, 3), "bfloat16"))
    'bfloat16[2,3]'
    """
    return f"{value.dtype}[{','.join(map(str, value.shape))}]"


def short(value: Any, limit: int = 60) -> str:
    """Write a value on one line, shortened; an array by its dtype and shape."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return shape_text(value)
    text = " ".join(repr(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def endless_text(what: str, value: Any) -> str:
    """Word that a nested value has no end, after Python gave up on it."""
    return (
        f"{what} was given a {type(value).__name__} that holds itself, or is nested deeper than "
        f"Python goes, {sys.getrecursionlimit()} levels. Follow its keys to the one that leads "
        "back, and take that out."
    )
