"""``nn.vjp``."""

import dataclasses
from collections.abc import Callable
from typing import Any

from linnet.lift import grad as lift
from linnet.lift.engine import Group, Plan
from linnet.linen.transforms.store import streams_in, variables_in
from linnet.linen.transforms.targets import Call, call_function
from linnet.state.collection_filters import CollectionFilter
from linnet.tree.paths import unflatten_mapping


@dataclasses.dataclass(frozen=True)
class Vjp:
    """``jax.vjp`` by some collections of variables, and all arguments but the module.

    Attributes are the arguments of :func:`vjp`.
    """

    has_aux: bool
    vjp_variables: CollectionFilter
    variables: CollectionFilter
    rngs: CollectionFilter
    name: str = "vjp"

    def __call__(self, call: Call) -> Any:
        """Carry out a call."""
        wanted = Group(variables_in(self.vjp_variables), lift.differentiated)
        rest = Group(variables_in(self.variables)), Group(streams_in(self.rngs))
        run = lift.vjp(range(1, len(call.args) + 1), has_aux=self.has_aux)
        outputs, pullback, aux = call.carry(Plan((wanted, *rest), f"nn.{self.name}"), run)
        depth = len(call.module.scope.path)

        def pull_back(cotangents: Any) -> Any:
            taken = pullback(cotangents)
            (state,) = taken.groups
            flat = {(path[0], *path[1 + depth :]): value for path, value in state.items()}
            return unflatten_mapping(flat), *taken.arguments

        return (outputs, pull_back, aux) if self.has_aux else (outputs, pull_back)


def vjp(
    fn: Callable[..., Any],
    mdl: Any,
    *primals: Any,
    has_aux: bool = False,
    reduce_axes: Any = (),
    vjp_variables: CollectionFilter = "params",
    variables: CollectionFilter = True,
    rngs: CollectionFilter = True,
    multi_scope: bool = False,
) -> Any:
    """Compute a function of a module, and get a function that pulls cotangents back through it.

    Args:
        fn: ``fn(module, *primals)``; returns an array, or a pytree of arrays.
        mdl: the module.
        *primals: the arguments.
        has_aux: whether ``fn`` returns ``(outputs, other output)``.
        reduce_axes: not used; JAX has no such option any more.
        vjp_variables: the collections to get cotangents of. Variables that do not exist before the
            call have none.
        variables: the other collections that exist inside.
        rngs: the random streams that exist inside.
        multi_scope: not used: variables outside the module are no part of what is returned.

    Returns:
        ``(outputs, pull_back)``, and with ``has_aux`` the other output. ``pull_back`` takes
        cotangents like the outputs and returns ``(variables, *primals)``: the cotangents of the
        variables, ``{collection: …}`` from the module downwards, and of each argument.

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> class Model(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         y, pull_back = nn.vjp(lambda layer, x: layer(x), nn.Dense(3), x)
    ...         return pull_back(jnp.ones_like(y))
    >>> x = jnp.ones((1, 2))
    >>> variables = Model().init(jax.random.key(0), x)
    >>> of_variables, of_x = Model().apply(variables, x)
    >>> jax.tree.map(jnp.shape, of_variables), of_x.shape
    ({'params': {'bias': (3,), 'kernel': (2, 3)}}, (1, 2))
    """
    return call_function(fn, Vjp(has_aux, vjp_variables, variables, rngs), mdl, primals, {})
