"""``nnx.remat``: have gradients compute a function again, as ``jax.checkpoint``."""

from collections.abc import Callable
from typing import Any

from linnet.base.typing import MISSING
from linnet.lift import remat as lift
from linnet.lift.arguments import hide_static, names_of
from linnet.lift.engine import Group, carry
from linnet.nnx.transforms import captured
from linnet.nnx.transforms.store import ObjectStore
from linnet.nnx.transforms.wrapping import transform
from linnet.state.filters import Everything

_PLAN = captured.plan((Group(Everything()),), "nnx.remat")


@transform
def remat(
    f: Any = MISSING,
    *,
    prevent_cse: bool = True,
    static_argnums: int | tuple[int, ...] = (),
    policy: Callable[..., bool] | None = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Have gradients compute a function again, in place of keeping what it computed on the way.

    Args:
        f: the function; it may be a method, in the class body.
        prevent_cse: as for ``jax.checkpoint``.
        static_argnums: as for ``jax.checkpoint``.
        policy: as for ``jax.checkpoint``: what to keep nevertheless.
        graph: taken for Flax's sake.
        graph_updates: taken for Flax's sake.

    Returns:
        A function of the same arguments and results.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> print(nnx.remat(lambda p, x: p[...] * x)(nnx.Param(jnp.array(3.0)), 2.0))
    6.0
    """
    static = names_of(static_argnums)
    run = lift.run(prevent_cse=prevent_cse, policy=policy)

    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = hide_static("nnx.remat", args, kwargs, static)
        return carry(ObjectStore(), _PLAN, f, args, kwargs, run)

    return call
