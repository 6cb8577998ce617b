"""``jax.jit`` and ``jax.checkpoint`` of pure functions of state.

Arguments may be *static*: they are part of what is compiled, not of what is computed with. Those
may be *donated*: their memory is reused for the result. :func:`partition` sorts them, so that the
pure function is handed to JAX as a static argument together with the static arguments of the user.
The key of a compiled function is then all that it depends on, whoever asks for it: a class that is
transformed anew in every call finds what was compiled in the call before.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from linnet.lift.engine import Changes, Groups
from linnet.lift.vmap import PureFunction


@dataclasses.dataclass(frozen=True)
class Static:
    """The static arguments of a call, and where the others go.

    Attributes:
        args: (place, value) of the static positional arguments.
        kwargs: (name, value) of the static keyword arguments.
        donated: the places of the donated ones.
        count: how many positional arguments there are.
    """

    args: tuple[tuple[int, Any], ...]
    kwargs: tuple[tuple[str, Any], ...]
    donated: tuple[int, ...]
    count: int

    def restore(self, donated: tuple[Any, ...], others: tuple[Any, ...], kwargs: Any) -> Any:
        """Put the arguments together again; undoes :func:`partition`."""
        fixed = dict(self.args) | dict(zip(self.donated, donated, strict=True))
        rest = iter(others)
        args = tuple(fixed[i] if i in fixed else next(rest) for i in range(self.count))
        return args, {**kwargs, **dict(self.kwargs)}


def partition(
    arguments: Any, static: Sequence[int], static_names: Sequence[str], donated: Sequence[int]
) -> tuple[Static, tuple[Any, ...], tuple[Any, ...], dict[str, Any]]:
    """Sort arguments into static, donated and other ones.

    Args:
        arguments: ``(args, kwargs)``.
        static: the places of static ones; negative ones count from the end.
        static_names: the names of static keyword arguments.
        donated: the places of donated ones.

    Returns:
        The static ones, the donated ones, the others, and the keyword arguments left.
    """
    args, kwargs = arguments
    count = len(args)
    fixed = {place % count for place in static if -count <= place < count}
    given = tuple(sorted({p % count for p in donated if -count <= p < count} - fixed))
    split = Static(
        tuple((place, args[place]) for place in sorted(fixed)),
        tuple((name, kwargs[name]) for name in sorted(static_names) if name in kwargs),
        given,
        count,
    )
    others = tuple(arg for i, arg in enumerate(args) if i not in fixed and i not in given)
    left = {name: value for name, value in kwargs.items() if name not in static_names}
    return split, tuple(args[place] for place in given), others, left


def run_split(
    pure: PureFunction, split: Static, groups: Groups, donated: Any, others: Any, kwargs: Any
) -> tuple[Changes, Any]:
    """Run a pure function on arguments that were partitioned."""
    return pure(groups, split.restore(donated, others, kwargs))


def compiler(**options: Any) -> Callable[..., tuple[Changes, Any]]:
    """Return :func:`run_split` compiled, with a cache of its own.

    Args:
        **options: for ``jax.jit``.
    """

    # a function of its own, as JAX shares the cache of one function between its jitted forms
    def run(
        pure: PureFunction, split: Static, groups: Groups, donated: Any, others: Any, kwargs: Any
    ) -> tuple[Changes, Any]:
        return run_split(pure, split, groups, donated, others, kwargs)

    return jax.jit(run, static_argnums=(0, 1), donate_argnums=(3,), **options)


def checkpoint(
    pure: PureFunction, split: Static, groups: Groups, others: Any, kwargs: Any, **options: Any
) -> tuple[Changes, Any]:
    """Run a pure function so that its gradient computes it again and keeps nothing.

    Args:
        pure: the function.
        split: its static arguments.
        groups: the state, by group.
        others: the other arguments.
        kwargs: the keyword arguments.
        **options: for ``jax.checkpoint``.
    """
    run = functools.partial(run_split, pure, split)
    return jax.checkpoint(run, **options)(groups, (), others, kwargs)
