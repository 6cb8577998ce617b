"""What an op is: a pure function, compiled, its configuration static.

A layer's arithmetic stands once, as a plain function from arrays to arrays, the *body*. ``op``
turns the body into an *op* by wrapping it in ``jax.jit`` with the configuration (epsilons, axes,
dtypes, paddings) static. JAX then traces the body once for each configuration and shape, and every
layer like it, in every model of the process, reuses the trace.

Three things are never part of what is remembered; where one is there, the plain body runs:

* a *hook*, a callable that the user puts in the place of a piece of arithmetic (``dot_general=``,
  ``promote_dtype=``): a closure made anew on every call would make the cache grow without bound.
  Where all that the user brings is the dtypes, the hook is called first, and the compiled op on
  what it returns;
* configuration that does not hash, such as an epsilon that is an array or a tracer;
* a function that a program puts in the place of one of JAX's own, as quantisation and exporters
  do while a model runs. Each call asks for the few that are known to be replaced (``made_of``);
  whether any is, is asked when a body is traced, so that none is ever kept.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any, ParamSpec, TypeVar, cast

import jax
import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

# the functions that bodies may call, as they are when no program has replaced them yet
_functions = [
    (vars(home), {name: value for name, value in vars(home).items() if callable(value)})
    for home in (jax.lax, jax.numpy, jax.nn, jax.random)
]


class _ReplacedError(Exception):
    """A body is traced while a function of JAX is replaced."""


def _refuse_replaced() -> None:
    """Raise if a function of JAX is replaced."""
    for now, before in _functions:
        if any(now.get(name) is not value for name, value in before.items()):
            raise _ReplacedError


def op(
    *,
    static: Sequence[str] = (),
    hooks: Sequence[str] | Mapping[str, Any] = (),
    made_of: Sequence[str] = (),
    promotes: int = 0,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make an op of a body.

    Args:
        static: names of the keyword arguments that are configuration.
        hooks: names of keyword-only arguments that take a callable or ``None``; a mapping gives for
            each the callable that does what the body does by itself.
        made_of: the functions of JAX that the body calls and that programs are known to replace,
            by their places in ``jax``.
        promotes: how many of the first arguments the hook ``promote_dtype``, the last of the hooks,
            is called on before anything else; 0 if that is not what the body does with it.

    Returns:
        A decorator.

    >>> @op(static=["power"])
    ... def raised(x, *, power):
    ...     return x**power
    >>> float(raised(3.0, power=2))
    9.0
    """
    watched = []
    for place in made_of:
        home, name = place.split(".")
        namespace = vars(getattr(jax, home))
        watched.append((namespace, name, namespace[name]))
    usual = tuple((hooks if isinstance(hooks, Mapping) else dict.fromkeys(hooks)).items())

    def decorate(body: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(body).parameters.values()
        arrays = [place for place, each in enumerate(parameters) if each.annotation is jax.Array]

        @functools.wraps(body)
        def traced(*args: P.args, **kwargs: P.kwargs) -> R:
            _refuse_replaced()
            for place in arrays:
                if place < len(args) and args[place] is None:
                    raise TypeError(_nothing_given(body, place))
            return body(*args, **kwargs)

        names = (*static, "promote_dtype") if promotes else tuple(static)
        compiled = cast("Callable[P, R]", jax.jit(traced, static_argnames=names))

        @functools.wraps(body)
        def dispatch(*args: Any, **kwargs: Any) -> R:
            for namespace, name, function in watched:
                if namespace[name] is not function:
                    return body(*args, **kwargs)
            for name, default in usual:
                if name in kwargs:
                    hook = kwargs[name]
                    if hook is None or hook is default:
                        del kwargs[name]
                    elif name == "promote_dtype" and 0 < promotes <= len(args):
                        given = hook(*args[:promotes], dtype=kwargs.get("dtype"))
                        args, kwargs[name] = (*given, *args[promotes:]), as_given
                        if not all(isinstance(x, jax.Array | np.ndarray | NoneType) for x in given):
                            return body(*args, **kwargs)
                    else:
                        return body(*args, **kwargs)
            try:
                return compiled(*args, **kwargs)
            except _ReplacedError:
                pass
            except (TypeError, ValueError):
                if all(_hashes(kwargs.get(name)) for name in static):
                    raise
            return body(*args, **kwargs)

        dispatch.compiled = compiled  # type: ignore[attr-defined]
        return dispatch

    return decorate


def as_given(*arrays: Any, **how: Any) -> tuple[Any, ...]:
    """Stand in the place of ``promote_dtype`` where the arrays have been through it."""
    del how
    return arrays


def _nothing_given(body: Callable[..., Any], place: int) -> str:
    name = list(inspect.signature(body).parameters)[place]
    where = "the inputs" if name == "inputs" else f"the {name} of the layer"
    return (
        f"{body.__name__} was given None for {name}, which has to be an array. Look where {where} "
        "should come from: is it None in the variables, or does a function not return its result?"
    )


def _hashes(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
