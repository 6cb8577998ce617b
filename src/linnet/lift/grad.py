"""Gradients of pure functions of state, by whatever part of their input is to be differentiated."""

from collections.abc import Callable
from typing import Any

import jax

from linnet.lift.engine import Changes


def value_and_grad(
    run: Callable[[Any], tuple[Changes, Any]], wanted: Any, *, has_aux: bool, **options: Any
) -> tuple[Changes, Any, Any]:
    """Run a function of state, and differentiate what it returns.

    Args:
        run: the function of the differentiated part of its input, all the rest being bound.
        wanted: that part, a pytree.
        has_aux: whether it returns (value, other output) in place of a value.
        **options: for ``jax.value_and_grad``.

    Returns:
        What changed, the result, and the gradients by ``wanted``.
    """

    def value_of(wanted: Any) -> tuple[Any, tuple[Changes, Any]]:
        changes, result = run(wanted)
        return result[0] if has_aux else result, (changes, result)

    (_, (changes, result)), grads = jax.value_and_grad(value_of, has_aux=True, **options)(wanted)
    return changes, result, grads
