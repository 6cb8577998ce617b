"""``nn.jit`` and ``nn.remat``."""

import dataclasses
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from linnet.lift import jit as compiling
from linnet.lift.engine import Pure
from linnet.linen.modules.structure import map_modules, run_setup
from linnet.linen.transforms.plans import explained, plan_of
from linnet.linen.transforms.targets import Call, Function, transformed
from linnet.state.collection_filters import CollectionFilter

Target = TypeVar("Target")


def _places(places: Any) -> tuple[Any, ...]:
    return (places,) if isinstance(places, int | str) else tuple(places)


# --- jit -------------------------------------------------------------------------------------

# where a function keeps what compiles it, by options. A class that is transformed anew in every
# call has the same function each time, and so finds what was compiled before; a function that is
# made anew takes what was compiled for it along when it goes.
_COMPILERS = "_linnet_compilers"


@dataclasses.dataclass(frozen=True)
class Jit:
    """``jax.jit``: everything crosses as it is, under keys of its own.

    Attributes are the arguments of :func:`jit`.
    """

    variables: CollectionFilter = True
    rngs: CollectionFilter = True
    static_argnums: Any = ()
    static_argnames: Any = ()
    donate_argnums: Any = ()
    device: Any = None
    backend: str | None = None
    name: str = "jit"

    def __call__(self, call: Call) -> Any:
        """Carry out a call."""
        plan = plan_of(f"nn.{self.name}", self.variables, self.rngs)
        _set_up_fields(call.module)
        store = call.store(relative=True)
        taken = store.snapshot(plan, (call.module, *call.args), call.kwargs)
        split, donated, others, kwargs = compiling.partition(
            taken.arguments,
            _places(self.static_argnums),
            _places(self.static_argnames),
            _places(self.donate_argnums),
        )
        pure = Pure(_borrowed(call.function), taken.structure, plan)
        with explained(plan, "`variables=True` and `rngs=True`, the defaults, carry all"):
            changes, result = self._compiler(call.function.function)(
                pure, split, taken.groups, donated, others, kwargs
            )
        return store.publish(changes, result)

    def _compiler(self, function: Callable[..., Any]) -> Any:
        options: dict[str, Any] = {}
        if self.device is not None:
            options["device"] = self.device
        if self.backend is not None:
            options["backend"] = self.backend
        kept: dict[str, Any] = getattr(function, "__dict__", {})
        known = kept.setdefault(_COMPILERS, {})
        key = tuple(options.items())
        if key not in known:
            known[key] = compiling.compiler(**options)
        return known[key]


@dataclasses.dataclass(frozen=True)
class Borrowed:
    """A function that is compiled, as JAX keeps it: it lives as long as others need it."""

    function: weakref.ref[Callable[..., Any]]
    method: str | None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it."""
        function = self.function()
        if function is None:
            raise ReferenceError("a compiled function was called after it was let go")
        return Function(function, self.method)(*args, **kwargs)


def _borrowed(function: Function) -> Any:
    try:
        return Borrowed(weakref.ref(function.function), function.method)
    except TypeError:  # an object that cannot be referred to weakly
        return function


def _set_up_fields(module: Any) -> None:
    """Run ``setup`` of the modules in the fields of a module outside, where Flax looks at them.

    Parameters that they declare there are drawn with keys from outside.
    """

    def set_up(inner: Any) -> None:
        if inner.scope is not None:
            run_setup(inner)
            _set_up_fields(inner)

    for name in module._facts.adoptable:
        map_modules(set_up, getattr(module, name))


def jit(
    target: Target,
    variables: CollectionFilter = True,
    rngs: CollectionFilter = True,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    donate_argnums: int | Iterable[int] = (),
    device: Any = None,
    backend: str | None = None,
    methods: Any = None,
) -> Target:
    """Compile a module's method, or a function of a module, with ``jax.jit``.

    A model as a whole is better compiled from outside, with ``jax.jit`` around ``apply``. Compiling
    a part keeps programs small where the same part is used many times.

    Args:
        target: a module class, a method where it is defined, or a function of a module.
        variables: the collections that exist inside.
        rngs: the random streams that exist inside. Their keys are drawn from those outside, at
            the path of the module; inside, keys depend on the path from there.
        static_argnums: the places of arguments that are static, the module itself being 0.
        static_argnames: the names of keyword arguments that are.
        donate_argnums: the places of arguments whose memory may be reused.
        device: where to run; an option of ``jax.jit``.
        backend: likewise.
        methods: of a class, which methods to compile, ``__call__`` by default: a name, names, or a
            dictionary from names to arguments of this function.

    Returns:
        A class, a method or a function like the target.

    Raises:
        TransformTargetError: the target is something else.

    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> class Model(nn.Module):
    ...     @nn.jit
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         return nn.Dense(3)(x)
    >>> variables = Model().init(jax.random.key(0), jnp.ones((1, 2)))
    >>> Model().apply(variables, jnp.ones((1, 2))).shape
    (1, 3)
    """
    options = Jit(
        variables,
        rngs,
        static_argnums if isinstance(static_argnums, int) else tuple(static_argnums),
        static_argnames if isinstance(static_argnames, str) else tuple(static_argnames),
        donate_argnums if isinstance(donate_argnums, int) else tuple(donate_argnums),
        device,
        backend,
    )
    return transformed(target, options, methods)


# --- remat -----------------------------------------------------------------------------------
