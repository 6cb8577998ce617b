"""``nnx.vjp``: functions of objects, and functions that pull cotangents back through them."""

from collections.abc import Hashable, Sequence
from typing import Any

from linnet.base import errors
from linnet.base.typing import MISSING
from linnet.lift import grad as lift
from linnet.lift.engine import carry
from linnet.nnx.transforms.grad import Differentiated
from linnet.nnx.transforms.wrapping import transform


@transform
def vjp(
    f: Any = MISSING,
    *primals: Any,
    has_aux: bool = False,
    reduce_axes: Sequence[Hashable] = (),
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Compute a function of objects, and get a function that pulls cotangents back through it.

    What the function does to its arguments, such as updating statistics, is done to the caller's.

    Args:
        f: the function; it returns an array, or a pytree of arrays.
        *primals: its arguments. Without any, a function of them is returned.
        has_aux: whether ``f`` returns ``(outputs, other output)``.
        reduce_axes: as for ``jax.vjp``: must be empty.
        graph: taken for Flax's sake; Flax has this transformation with ``graph=False`` only.
        graph_updates: taken for Flax's sake.

    Returns:
        ``(outputs, pull_back)``, and with ``has_aux`` the other output. ``pull_back`` takes
        cotangents like the outputs and returns a tuple of those of the arguments, each in the form
        of the argument: of a model a model, with cotangents for values.

    Raises:
        TypeError: ``f`` is a method of an object.

    Example:
    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> scale = nnx.Param(jnp.array(3.0))
    >>> y, pull_back = nnx.vjp(lambda scale, x: scale[...] * x, scale, jnp.array(2.0))
    >>> of_scale, of_x = pull_back(jnp.array(1.0))
    >>> print(y, of_scale[...], of_x)
    6.0 2.0 3.0
    """
    if reduce_axes:
        raise errors.ReduceAxesError(reduce_axes)

    def call(*primals: Any) -> Any:
        by = Differentiated(range(len(primals)), len(primals), "nnx.vjp", whole=True)
        run = lift.vjp(by.places, has_aux=has_aux)
        outputs, pullback, aux = carry(by.store, by.plan, f, primals, {}, run)

        def pull_back(cotangents: Any) -> Any:
            return by.gradients(pullback(cotangents))

        return (outputs, pull_back, aux) if has_aux else (outputs, pull_back)

    return call(*primals) if primals else call
