"""``nn.remat``."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from linnet.lift import remat as lift
from linnet.lift.arguments import Names, names_of
from linnet.linen.transforms.plans import plan_of
from linnet.linen.transforms.targets import Call, transformed
from linnet.state.collection_filters import CollectionFilter

Target = TypeVar("Target")


@dataclasses.dataclass(frozen=True)
class Remat:
    """``jax.checkpoint``: everything crosses as it is.

    Attributes are the arguments of :func:`remat`.
    """

    variables: CollectionFilter = True
    rngs: CollectionFilter = True
    prevent_cse: bool = True
    static: Names = frozenset()
    policy: Callable[..., bool] | None = None
    name: str = "remat"

    def __call__(self, call: Call) -> Any:
        """Carry out a call."""
        plan = plan_of(f"nn.{self.name}", self.variables, self.rngs)
        run = lift.run(prevent_cse=self.prevent_cse, policy=self.policy)
        return call.carry(plan, run, static=self.static)


def remat(
    target: Target,
    variables: CollectionFilter = True,
    rngs: CollectionFilter = True,
    concrete: bool = False,
    prevent_cse: bool = True,
    static_argnums: int | tuple[int, ...] = (),
    policy: Callable[..., bool] | None = None,
    methods: Any = None,
) -> Target:
    """Have a gradient compute a part of the model again, to save memory, with ``jax.checkpoint``.

    Args:
        target: a module class, a method where it is defined, or a function of a module.
        variables: the collections that exist inside.
        rngs: the random streams that exist inside.
        concrete: not used; JAX has no such option any more.
        prevent_cse: keep XLA from undoing it; not needed in the body of a scan.
        static_argnums: the places of arguments that are static, the module itself being 0.
        policy: which values may be kept, one of ``jax.checkpoint_policies``.
        methods: as for :func:`jit`.

    Returns:
        A class, a method or a function like the target.

    Raises:
        TransformTargetError: the target is something else.

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> model = nn.Sequential([nn.remat(nn.Dense)(3), nn.relu])
    >>> variables = model.init(jax.random.key(0), jnp.ones((1, 2)))
    >>> jax.tree.map(jnp.shape, variables["params"])
    {'layers_0': {'bias': (3,), 'kernel': (2, 3)}}
    """
    options = Remat(variables, rngs, prevent_cse, names_of(static_argnums), policy)
    return transformed(target, options, methods, "Checkpoint")


checkpoint = remat
