"""``nn.grad`` and ``nn.value_and_grad``."""

import dataclasses
from collections.abc import Callable
from typing import Any

from linnet.lift import grad as lift
from linnet.linen.transforms.plans import plan_of
from linnet.linen.transforms.targets import Call, call_function
from linnet.state.collection_filters import CollectionFilter


@dataclasses.dataclass(frozen=True)
class Grad:
    """``jax.value_and_grad`` by all arguments but the module.

    Attributes are the arguments of :func:`value_and_grad`.
    """

    has_aux: bool = False
    variables: CollectionFilter = True
    rngs: CollectionFilter = True
    name: str = "value_and_grad"

    def __call__(self, call: Call) -> Any:
        """Carry out a call; returns the result and the gradients."""
        plan = plan_of(f"nn.{self.name}", self.variables, self.rngs)
        places = range(1, len(call.args) + 1)
        run = lift.value_and_grad(places, has_aux=self.has_aux)
        result, grads = call.carry(plan, run)
        return result, tuple(grads.arguments)


def value_and_grad(
    fn: Callable[..., Any],
    mdl: Any,
    *primals: Any,
    has_aux: bool = False,
    reduce_axes: Any = (),
    variables: CollectionFilter = True,
    rngs: CollectionFilter = True,
) -> Any:
    """Compute a function of a module and its gradients by its arguments.

    Gradients by parameters are computed from outside, with ``jax.grad`` of a function that calls
    ``apply``.

    Args:
        fn: ``fn(module, *primals)``; returns a scalar.
        mdl: the module.
        *primals: the arguments.
        has_aux: whether ``fn`` returns ``(scalar, other output)``.
        reduce_axes: not used; JAX has no such option any more.
        variables: the collections that exist inside.
        rngs: the random streams that exist inside.

    Returns:
        ``(result, gradients)``: what ``fn`` returns, and a tuple of the gradients, one for each
        argument.

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> class Slope(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         def energy(module, x):
    ...             return (nn.Dense(1, use_bias=False, kernel_init=nn.initializers.ones)(x)).sum()
    ...         return nn.value_and_grad(energy, self, x)
    >>> (y, (slope,)), _ = Slope().init_with_output(jax.random.key(0), jnp.ones((1, 2)))
    >>> float(y), slope.shape
    (2.0, (1, 2))
    """
    return call_function(fn, Grad(has_aux, variables, rngs), mdl, primals, {})


def grad(
    fn: Callable[..., Any],
    mdl: Any,
    *primals: Any,
    has_aux: bool = False,
    reduce_axes: Any = (),
    variables: CollectionFilter = True,
    rngs: CollectionFilter = True,
) -> Any:
    """Compute the gradients of a function of a module by its arguments.

    Args:
        fn: ``fn(module, *primals)``; returns a scalar.
        mdl: the module.
        *primals: the arguments.
        has_aux: whether ``fn`` returns ``(scalar, other output)``.
        reduce_axes: not used; JAX has no such option any more.
        variables: the collections that exist inside.
        rngs: the random streams that exist inside.

    Returns:
        A tuple with the gradient by each argument; with ``has_aux``, that and the other output.
    """
    options = Grad(has_aux, variables, rngs, "grad")
    result, grads = call_function(fn, options, mdl, primals, {})
    return (grads, result[1]) if has_aux else grads
