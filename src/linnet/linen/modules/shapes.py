"""The shapes that initializers give.

A parameter that is passed to ``apply`` must have the shape that its initializer would give it; that
is how a model that does not fit its parameters is found out. Each parameter of each call asks.
Layers ask with hashable arguments, so each answer is computed once; it lives as long as the
initializer that it belongs to.
"""

import functools
from collections.abc import Hashable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import jax

from linnet.base.typing import PRNGKey
from linnet.ops.keys import takes_deferred_key

Shapes = tuple[tuple[int, ...], ...]

_known: "WeakKeyDictionary[Any, dict[Hashable, Shapes]]" = WeakKeyDictionary()


def shapes_made(init_fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Shapes:
    """Return the shapes of what ``init_fn(key, *args, **kwargs)`` makes, leaf by leaf."""
    if args and takes_deferred_key(init_fn):
        return (tuple(args[0]),)  # one of ours, which makes the shape it is asked for
    asked = (args, *kwargs.items()) if kwargs else args
    try:
        return _known[init_fn][asked]
    except (KeyError, TypeError):  # not asked before, or not hashable
        pass
    value = jax.eval_shape(lambda key: init_fn(key, *args, **kwargs), _some_key())
    shapes = tuple(getattr(leaf, "shape", ()) for leaf in jax.tree.leaves(value))
    with suppress(TypeError):
        _known.setdefault(init_fn, {})[asked] = shapes
    return shapes


@functools.cache
def _some_key() -> PRNGKey:
    with jax.ensure_compile_time_eval():
        return jax.random.key(0)
