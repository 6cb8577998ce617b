"""``nn.jit``."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax

from linnet.base.static_keys import static_key
from linnet.lift import jit as lift
from linnet.lift.arguments import Names, hide_static, names_of, reveal_static
from linnet.lift.engine import Changes, Groups, Plan
from linnet.linen.modules.structure import map_modules, run_setup
from linnet.linen.transforms.blueprint import describe_module, is_blueprint
from linnet.linen.transforms.plans import plan_of
from linnet.linen.transforms.store import settings
from linnet.linen.transforms.targets import Call, transformed
from linnet.state.collection_filters import CollectionFilter

Target = TypeVar("Target")


# where a function keeps what was compiled of it, by options. A class that is transformed anew in
# every call has the same function each time, and so finds what was compiled before; a function that
# is made anew takes what was compiled for it along when it goes.
_PROGRAMS = "_linnet_programs"


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Place:
    """Keeps the place of a blueprint in arguments that JAX sees."""

    number: int


@dataclasses.dataclass(frozen=True)
class Jit:
    """``jax.jit``: everything crosses as it is, under keys of its own.

    Attributes are the arguments of :func:`jit`; ``options`` are those for ``jax.jit``.
    """

    variables: CollectionFilter
    rngs: CollectionFilter
    static: Names
    donated: Names
    options: tuple[tuple[str, Any], ...] = ()
    name: str = "jit"

    def __call__(self, call: Call) -> Any:
        """Carry out a call."""
        _set_up_fields(call.module)
        programs = self._programs(call.function.function)
        plan = plan_of(f"nn.{self.name}", self.variables, self.rngs)

        def run(pure: Any, plan: Plan, groups: Groups, arguments: Any) -> tuple[Changes, Any]:
            seen, blueprints, put_back = _take_blueprints(arguments)
            keys = tuple([each.key for each in blueprints])
            key = (call.function.method, pure.structure.key(), plan, keys)
            halves = lift.halves(plan, groups, seen, self.donated)
            return programs.call(key, lambda gs, args: pure(gs, put_back(args)), *halves)

        return call.carry(plan, run, static=self.static, relative=True)

    def unbound(
        self, function: Callable[..., Any], module: Any, args: tuple[Any, ...], kwargs: Any
    ) -> Any:
        """Call a function of a module that is not bound, such as its own ``init``: no state."""
        arguments = hide_static(f"nn.{self.name}", (None, *args), kwargs, self.static)

        def pure(_: Groups, arguments: Any) -> tuple[Changes, Any]:
            (_, *args), kwargs = reveal_static(*arguments)
            return Changes((), ()), function(module, *args, **kwargs)

        key = (describe_module(module, {}).key, static_key(settings()))
        halves = lift.halves(Plan((), self.name), (), arguments, self.donated)
        return self._programs(function).call(key, pure, *halves)[1]

    def _programs(self, function: Callable[..., Any]) -> lift.Programs:
        kept: dict[str, Any] = getattr(function, "__dict__", {})
        known = kept.setdefault(_PROGRAMS, {})
        if self.options not in known:
            known[self.options] = lift.Programs(**dict(self.options))
        return known[self.options]


def _take_blueprints(arguments: Any) -> tuple[Any, list[Any], Callable[[Any], Any]]:
    """Put places where blueprints are; return the arguments, the blueprints, and the inverse."""
    blueprints: list[Any] = []

    def take(leaf: Any) -> Any:
        if not is_blueprint(leaf):
            return leaf
        blueprints.append(leaf)
        return _Place(len(blueprints) - 1)

    def put_back(arguments: Any) -> Any:
        return jax.tree.map(
            lambda leaf: blueprints[leaf.number] if isinstance(leaf, _Place) else leaf,
            arguments,
            is_leaf=lambda node: isinstance(node, _Place),
        )

    return jax.tree.map(take, arguments, is_leaf=is_blueprint), blueprints, put_back


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
    options = {"device": device, "backend": backend}
    given = tuple((name, value) for name, value in options.items() if value is not None)
    static, donated = names_of(static_argnums, static_argnames), names_of(donate_argnums)
    return transformed(target, Jit(variables, rngs, static, donated, given), methods)
