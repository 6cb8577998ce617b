"""What an op is: a pure function, compiled, its configuration static.

A layer's arithmetic stands once, as a plain function from arrays to arrays, the *body*. ``op``
turns the body into an *op* by wrapping it in ``jax.jit`` with the configuration (epsilons, axes,
dtypes, paddings) static. JAX then traces the body once for each configuration and shape, and every
layer like it, in every model of the process, reuses the trace.

Two rules keep that cache sound. Static arguments must be hashable and compare by value: a façade
passes tuples, never lists. And a *hook*, a callable that the user puts in the place of a piece of
arithmetic (``dot_general=``, ``promote_dtype=``), is never part of a cache key, since a closure
made anew on every call would make the cache grow without bound: with a hook, the plain body runs.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar, cast

import jax

P = ParamSpec("P")
R = TypeVar("R")


def op(
    *, static: Sequence[str] = (), hooks: Sequence[str] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make an op of a body.

    Without hooks the op is the ``jax.jit`` object itself, so that a call costs nothing beyond JAX's
    own dispatch.

    Args:
        static: names of the keyword arguments that are configuration.
        hooks: names of keyword-only arguments that take a callable or ``None``.

    Returns:
        A decorator.

    >>> @op(static=["power"])
    ... def raised(x, *, power):
    ...     return x**power
    >>> float(raised(3.0, power=2))
    9.0
    """

    def decorate(body: Callable[P, R]) -> Callable[P, R]:
        compiled = cast("Callable[P, R]", jax.jit(body, static_argnames=tuple(static)))
        if not hooks:
            return compiled
        hooked = frozenset(hooks)

        @functools.wraps(body)
        def dispatch(*args: P.args, **kwargs: P.kwargs) -> R:
            if hooked.isdisjoint(kwargs):
                return compiled(*args, **kwargs)
            given: dict[str, Any] = {
                name: value
                for name, value in kwargs.items()
                if value is not None or name not in hooked
            }
            run = compiled if hooked.isdisjoint(given) else body
            return run(*args, **given)

        return dispatch

    return decorate
