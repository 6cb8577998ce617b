"""``nnx.jit``: ``jax.jit`` for functions of objects; see ``dispatch.py`` for what a call costs."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from linnet.base import errors
from linnet.base.typing import MISSING
from linnet.lift.arguments import Names, names_of
from linnet.nnx.objects.nodes import is_node
from linnet.nnx.transforms.dispatch import JitPartial, JitWrapped
from linnet.nnx.transforms.wrapping import transform


@transform
def jit(
    fun: Any = MISSING,
    *,
    in_shardings: Any = None,
    out_shardings: Any = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    device: Any = None,
    backend: str | None = None,
    inline: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Compile a function of objects, as ``jax.jit`` does one of arrays.

    What the function does to the objects it is given, setting variables, replacing layers,
    appending to lists, is done to the caller's objects when it returns. Objects that it returns are
    the caller's own, if it was given them, or new ones.

    Args:
        fun: the function; its arguments may be modules, variables, arrays, and pytrees of these.
        in_shardings: as for ``jax.jit``; the one of an object is for all its variables, or a
            ``nnx.StateSharding``, that says it by filters.
        out_shardings: as for ``jax.jit``.
        static_argnums: as for ``jax.jit``.
        static_argnames: as for ``jax.jit``.
        donate_argnums: as for ``jax.jit``; the memory of all variables of an object is donated.
        donate_argnames: as for ``jax.jit``.
        keep_unused: as for ``jax.jit``.
        device: as for ``jax.jit``.
        backend: as for ``jax.jit``.
        inline: as for ``jax.jit``.
        graph: taken for Flax's sake.
        graph_updates: taken for Flax's sake: updates come out in either case.

    Returns:
        The compiled function, with ``lower``, ``trace`` and ``eval_shape``; without ``fun``, a
        decorator.

    Raises:
        TypeError: ``fun`` is a method of an object, which would be a constant in what is compiled.

    Example:
    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> counter = nnx.Dict(count=nnx.Variable(jnp.array(0)))
    >>> @nnx.jit
    ... def step(counter, x):
    ...     counter.count[...] += 1
    ...     return 2 * x
    >>> print(step(counter, 3.0), counter.count[...])
    6.0 1
    """
    if is_node(fun):
        return jit_partial(type(fun).__call__, fun, in_shardings=in_shardings)
    options = {"device": device, "backend": backend, "inline": inline, "keep_unused": keep_unused}
    return JitWrapped(
        fun,
        {name: value for name, value in options.items() if value not in {None, False}},
        in_shardings,
        out_shardings,
        _both_ways("static", static_argnums, static_argnames, fun),
        _both_ways("donate", donate_argnums, donate_argnames, fun),
    )


def _both_ways(option: str, places: Any, names: Any, fun: Any) -> Names:
    """Return arguments that are meant by numbers or by names under both.

    Raises:
        UnknownArgumentError: the function has no such argument.
    """
    chosen = names_of(places, names)
    if not chosen:
        return chosen
    try:
        signature = inspect.signature(fun).parameters
    except (TypeError, ValueError):
        return chosen
    kinds = {each.kind for each in signature.values()}
    parameters = [n for n, each in signature.items() if each.kind not in _GATHERING]
    count = len([n for n in parameters if signature[n].kind is not inspect.Parameter.KEYWORD_ONLY])
    found: set[Any] = set()
    for name in chosen:
        number = name + count if isinstance(name, int) and name < 0 else name
        if isinstance(number, int):
            known = inspect.Parameter.VAR_POSITIONAL in kinds and number >= 0
            other = parameters[number] if 0 <= number < count else None
        else:
            known = inspect.Parameter.VAR_KEYWORD in kinds or number in parameters
            other = parameters.index(number) if number in parameters[:count] else None
        if other is None and not known:
            ending = "nums" if isinstance(name, int) else "names"
            function = getattr(fun, "__name__", repr(fun))
            raise errors.UnknownArgumentError(f"{option}_arg{ending}", name, function, parameters)
        found |= {number} if other is None else {number, other}
    return frozenset(found)


_GATHERING = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}


def jit_partial(fun: Callable[..., Any], *partial_args: Any, **options: Any) -> Any:
    """Compile a function with its first arguments bound.

    Args:
        fun: the function.
        *partial_args: its first arguments: objects that every call is to use and update.
        **options: as for :func:`jit`; numbers count from the first of all arguments.

    Returns:
        A function of the other arguments, with ``lower``, ``trace`` and ``eval_shape``.
    """
    compiled = fun if isinstance(fun, JitWrapped) else jit(fun, **options)
    made = JitPartial(compiled, *partial_args)
    functools.update_wrapper(made, compiled)
    return made


def cached_partial(
    f: Callable[..., Any],
    *cached_args: Any,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Callable[..., Any]:
    """Bind the first arguments of a compiled function.

    The structure of objects is remembered in any case, so this is just
    ``functools.partial(f, *cached_args)``.

    Args:
        f: what :func:`jit` returned.
        *cached_args: its first arguments.
        graph: taken for Flax's sake.
        graph_updates: taken for Flax's sake.
    """
    return functools.partial(f, *cached_args)
