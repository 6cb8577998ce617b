"""``jax.jit`` of pure functions of state.

What is compiled is remembered under all that a trace of the pure function depends on, whoever asks
for it. There are two ways. A pure function that hashes can be a static argument of one compiled
function (:func:`compiler`); JAX then keeps it, and what it holds. :class:`Programs` keeps no more
than what was compiled: a model, and what its functions close over, can be let go.
"""

import functools
import threading
from collections.abc import Callable, Hashable
from typing import Any

import jax

from linnet.base.remembered import Remembered
from linnet.base.static_keys import borrowed, identities_in
from linnet.lift.arguments import Names, halve, join_halves, present
from linnet.lift.engine import Changes, Groups, Plan, Pure, PureFunction


def compiler(name: str = "run", **options: Any) -> Any:
    """Return ``jax.jit`` of what runs a pure function on two halves, with a cache of its own.

    Args:
        name: what the program is called in profiles.
        **options: for ``jax.jit``.
    """

    # a function of its own, as JAX shares the cache of one function between its jitted forms
    def run(pure: PureFunction, kept: Any, donated: Any) -> tuple[Changes, Any]:
        groups, args, kwargs = map(join_halves, kept, donated)
        return pure(groups, (args, kwargs))

    run.__name__ = run.__qualname__ = name
    return jax.jit(run, static_argnums=(0,), donate_argnums=(2,), **options)


class _Running(threading.local):
    """The pure functions whose programs a thread is calling, innermost last."""

    def __init__(self) -> None:
        self.pure: list[PureFunction] = []


_running = _Running()


class Programs:
    """What ``jax.jit`` made of pure functions, by what a trace of them depends on.

    JAX never sees a pure function. It is found when a trace asks for it, among those that are being
    called. A program is let go with the first of the functions and objects in its key that is, as
    nobody can ask for it any more.

    Args:
        **options: for ``jax.jit``.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._known: Remembered[Hashable, Any] = Remembered()

    def __reduce__(self) -> Any:
        # a function that is pickled by value takes its attributes along
        return functools.partial(Programs, **self._options), ()

    def call(self, key: Any, pure: PureFunction, kept: Any, donated: Any) -> tuple[Changes, Any]:
        """Call a pure function, compiled, on two halves of groups and arguments."""
        key = borrowed(key)
        compiled = self._known.get(key)
        if compiled is None:
            compiled = self._compiler()
            about = [identity.refer() for identity in identities_in(key)]
            self._known.put(key, compiled, about)
        _running.pure.append(pure)
        try:
            return compiled(kept, donated)
        finally:
            _running.pure.pop()

    def _compiler(self) -> Any:
        def run(kept: Any, donated: Any) -> tuple[Changes, Any]:
            groups, args, kwargs = map(join_halves, kept, donated)
            return _running.pure[-1](groups, (args, kwargs))

        return jax.jit(run, donate_argnums=(1,), **self._options)


def flat_compiler(
    pure: Pure,
    function: Callable[..., Any],
    numbers: tuple[int, ...],
    stand: Callable[[int], Any],
    *,
    static: Names,
    donated: Names,
    **options: Any,
) -> Any:
    """Return ``jax.jit`` of one pure function, called with the groups of an argument in its place.

    Nothing has to be sorted in a call, and nothing hashed but arrays.

    Args:
        pure: the function; its last groups are for what only comes out.
        function: what it was made of; the program is called like it.
        numbers: the arguments in whose places their groups are given.
        stand: makes what keeps the place of the first, second, … of these.
        static: the static arguments.
        donated: the donated ones.
        **options: for ``jax.jit``.
    """
    count = len(pure.plan.groups)

    def run(*args: Any, **kwargs: Any) -> tuple[Changes, Any]:
        arguments = list(args)
        groups: list[Any] = []
        for place, number in enumerate(numbers):
            groups.extend(args[number])
            arguments[number] = stand(place)
        groups += [[]] * (count - len(groups))
        return pure(tuple(groups), (tuple(arguments), kwargs))

    functools.update_wrapper(run, function)
    # the wrapped function's own signature would be taken for that of the flat one
    delattr(run, "__wrapped__")
    # JAX sees a function without named arguments, so it is told both numbers and names
    for what, chosen in (("static", static), ("donate", donated)):
        for form, kind in (("nums", int), ("names", str)):
            meant = tuple(sorted(name for name in chosen if isinstance(name, kind)))
            if meant:
                options[f"{what}_arg{form}"] = meant
    return jax.jit(run, **options)


def halves(plan: Plan, groups: Groups, arguments: Any, donated: Names) -> tuple[Any, Any]:
    """Deal state and arguments out to what is kept and what is donated.

    Args:
        plan: says of each group whether it is donated.
        groups: the state, by group.
        arguments: ``(args, kwargs)``.
        donated: the donated arguments, by place and name.
    """
    args, kwargs = arguments
    chosen = present(donated, len(args))
    parts = [
        halve(groups, lambda number: plan.groups[number].donated),
        halve(args, chosen),
        halve(kwargs, chosen),
    ]
    return tuple(kept for kept, _ in parts), tuple(given for _, given in parts)
