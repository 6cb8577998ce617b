"""``nnx.remat``: have gradients compute a function again, as ``jax.checkpoint``."""


def remat(
    f: Any = _MISSING,
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
    if f is _MISSING:
        return functools.partial(
            remat,
            prevent_cse=prevent_cse,
            static_argnums=static_argnums,
            policy=policy,
            graph=graph,
            graph_updates=graph_updates,
        )
    f = unbound(f, "remat")
    numbers = (static_argnums,) if isinstance(static_argnums, int) else static_argnums

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        count = len(args)
        static = {n % count: args[n] for n in numbers if -count <= n < count}
        rest = tuple(arg for n, arg in enumerate(args) if n not in static)
        store = ObjectStore()
        taken = store.snapshot(_REMAT, rest, kwargs)
        pure = Pure(with_static(f, static), taken.structure, _REMAT)
        checkpointed = jax.checkpoint(pure, prevent_cse=prevent_cse, policy=policy)
        return store.publish(*checkpointed(taken.groups, taken.arguments))

    return wrapper


_REMAT = Plan((Group(Everything()),), "nnx.remat")
