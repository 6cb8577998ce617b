"""The shapes that initializers give.

A parameter that is passed to ``apply`` must have the shape that its initializer would give it; that
is how a model that does not fit its parameters is found out. Each parameter of each call asks. An
initializer of this library, or of JAX, makes the shape that it is asked for. Any other function is
traced to see what it makes: it may depend on anything, so nothing is remembered of it.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from linnet.base.jaxcompat import is_jax_initializer
from linnet.ops.keys import takes_deferred_key

Shapes = tuple[tuple[int, ...], ...]


def shapes_made(init_fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Shapes:
    """Return the shapes of what ``init_fn(key, *args, **kwargs)`` makes, leaf by leaf."""
    if args and (takes_deferred_key(init_fn) or is_jax_initializer(init_fn)):
        return (as_shape(args[0]),)
    value = jax.eval_shape(lambda key: init_fn(key, *args, **kwargs), _some_key())
    return tuple(getattr(leaf, "shape", ()) for leaf in jax.tree.leaves(value))


def as_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple; one that is given as a number has one axis."""
    if type(shape) is tuple:
        return shape
    return tuple(shape) if isinstance(shape, Sequence) or np.ndim(shape) else (shape,)


@functools.cache
def _some_key() -> jax.ShapeDtypeStruct:
    """Return the form of a key: a key itself belongs to the mesh that it was made under."""
    return jax.ShapeDtypeStruct((), jax.random.key(0).dtype)
