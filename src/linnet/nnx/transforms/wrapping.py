"""What all transformations of NNX have in common as decorators.

A transformation is written as a function that takes a function and options and returns another
function. :func:`transform` adds what users expect of each: options alone give a decorator, a method
of an object is refused, and the result looks like the function it was made of.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from linnet.base import errors
from linnet.base.typing import MISSING
from linnet.nnx.objects.nodes import is_node

P = ParamSpec("P")
R = TypeVar("R")


def transform(make: Callable[P, R]) -> Callable[P, R]:
    """Make a decorator of a function that transforms its first argument.

    Args:
        make: ``make(f, *args, **options)``. Given ``args``, it returns what the function of these
            returns; without, a function.

    Returns:
        The same, but without ``f`` it returns a decorator, and it raises ``BoundMethodError``, a
        ``ValueError`` and a ``TypeError``, for a method of an object.
    """
    name = getattr(make, "__name__", "")
    signature = inspect.signature(make)
    first = next(iter(signature.parameters))  # by this name the function may be given, too

    @functools.wraps(make)
    def decorator(*given: Any, **options: Any) -> Any:
        f, *args = (options.pop(first), *given) if first in options else given or (MISSING,)
        if f is MISSING:
            signature.bind(f, **options)  # raise here, not where the decorator is applied
            return functools.partial(decorator, **options)
        f = unbound(f, name)
        made: Any = make(f, *args, **options)  # type: ignore[call-arg]
        return made if args else functools.wraps(f)(made)

    return cast("Callable[P, R]", decorator)


def unbound(f: Any, name: str) -> Any:
    """Return a function that may be transformed.

    Raises:
        BoundMethodError: it is a method of an object, which would be a constant in what is traced.
    """
    owner = getattr(f, "__self__", None)
    if owner is not None and is_node(owner):
        raise errors.BoundMethodError(name, type(owner).__name__, f.__name__)
    return f
