"""Derivatives of pure functions of state, by some of its groups and arguments.

A placement is :data:`differentiated` or ``None``. Of the arguments those are differentiated whose
places are given.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax

from linnet.base import errors
from linnet.lift.engine import Changes, Groups, Plan, PureFunction, Run

differentiated = "differentiated"


@dataclasses.dataclass(frozen=True)
class Derivatives:
    """Gradients or cotangents; no pytree, so that publishing puts no objects into them.

    Attributes:
        groups: those of the differentiated groups.
        arguments: those of the differentiated arguments.
    """

    groups: list[Any]
    arguments: list[Any]


def _inputs(
    pure: PureFunction, plan: Plan, groups: Groups, arguments: Any, places: Sequence[int]
) -> tuple[Callable[[Any], tuple[Changes, Any]], Any]:
    """Return a pure function as one of what is differentiated, and that.

    Returns:
        The function of ``(groups, arguments)``, and these two lists.
    """
    args, kwargs = arguments
    numbers = [n for n, where in enumerate(plan.placements()) if where is differentiated]

    def run(inputs: Any) -> tuple[Changes, Any]:
        state, primals = inputs
        return pure(_with(groups, numbers, state), (_with(args, places, primals), kwargs))

    return run, ([groups[n] for n in numbers], [args[place] for place in places])


def _with(items: tuple[Any, ...], places: Sequence[int], values: Sequence[Any]) -> tuple[Any, ...]:
    changed = list(items)
    for place, value in zip(places, values, strict=True):
        changed[place] = value
    return tuple(changed)


def _pair(plan: Plan, result: Any) -> Any:
    """Return what a function with another output returned.

    Raises:
        AuxiliaryResultError: it is no pair.
    """
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise errors.AuxiliaryResultError(plan.transform, result)
    return result


def value_and_grad(places: Sequence[int], *, has_aux: bool, **options: Any) -> Run:
    """Return what runs a pure function and differentiates what it returns.

    Args:
        places: the arguments to differentiate by.
        has_aux: whether it returns (value, other output) in place of a value.
        **options: for ``jax.value_and_grad``.

    Returns:
        What returns the changes and ``(result, gradients)``.
    """

    def call(pure: PureFunction, plan: Plan, groups: Groups, arguments: Any) -> tuple[Changes, Any]:
        run, inputs = _inputs(pure, plan, groups, arguments, places)

        def value_of(inputs: Any) -> tuple[Any, tuple[Changes, Any]]:
            changes, result = run(inputs)
            value = _pair(plan, result)[0] if has_aux else result
            return value, (changes, result)

        taken = jax.value_and_grad(value_of, has_aux=True, **options)(inputs)
        (_, (changes, result)), grads = taken
        return changes, (result, Derivatives(*grads))

    return call


def vjp(places: Sequence[int], *, has_aux: bool) -> Run:
    """Return what runs a pure function and keeps what its gradients need.

    Args:
        places: the arguments to differentiate by.
        has_aux: whether it returns (outputs, other output) in place of outputs.

    Returns:
        What returns the changes and ``(outputs, function, other output)``. The function takes
        cotangents of the outputs, and returns the others.
    """

    def call(pure: PureFunction, plan: Plan, groups: Groups, arguments: Any) -> tuple[Changes, Any]:
        run, inputs = _inputs(pure, plan, groups, arguments, places)

        def outputs_of(inputs: Any) -> tuple[Any, tuple[Changes, Any]]:
            changes, result = run(inputs)
            outputs, other = _pair(plan, result) if has_aux else (result, None)
            return outputs, (changes, other)

        outputs, pullback, (changes, other) = jax.vjp(outputs_of, inputs, has_aux=True)
        return changes, (outputs, lambda cotangents: Derivatives(*pullback(cotangents)[0]), other)

    return call
