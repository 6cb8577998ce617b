"""What a Linen transformation can be applied to: classes, methods, and functions of modules.

A transformation is a frozen object that is called with a :class:`Call`, one call of one function on
one bound module, and returns what the caller gets. :func:`transformed` makes of it what the user
asked for:

* of a module class, a subclass whose methods are transformed. Inside, the module is one of the
  class that was given: there the method is just the method.
* of a function whose first argument is a module, a function called in the same way. A method, where
  it is defined, is such a function, and so ``@nn.jit`` can stand above ``def``.
"""

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from linnet.base import errors
from linnet.lift import engine
from linnet.lift.arguments import Names, hide_static, present
from linnet.lift.engine import Plan, Run
from linnet.linen.modules.context import context
from linnet.linen.modules.describe import describe
from linnet.linen.modules.methods import mark_wrapped
from linnet.linen.modules.structure import ModuleStructure
from linnet.linen.transforms.plans import CARRIES_ALL, explained
from linnet.linen.transforms.store import ScopeStore


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of a module, as it is called inside a transformation.

    Attributes:
        function: what the user wrote.
        method: the name of the method that is running, where the function is none itself: modules
            that it makes are submodules of its module, as in that method. None for a method of a
            class, which says so itself.
    """

    function: Callable[..., Any]
    method: str | None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it; the first argument is the module."""
        if self.method is None:
            return self.function(*args, **kwargs)
        with context.running(args[0], self.method):
            return self.function(*args, **kwargs)


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a transformed function.

    Attributes:
        function: the function.
        module: the module it is called on.
        args: its other arguments.
        kwargs: its keyword arguments.
        cls: the class that the module has inside; by default its own.
    """

    function: Function
    module: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    cls: type | None = None

    def carry(
        self,
        plan: Plan,
        run: Run,
        *,
        advice: str = CARRIES_ALL,
        static: Names = frozenset(),
        keywords: bool = True,
        **options: Any,
    ) -> Any:
        """Carry the function across a transformation.

        Args:
            plan: how state crosses.
            run: the transformation.
            advice: how to have more carried, for an error inside.
            static: which arguments are static, the module being the first; modules are in any case.
            keywords: whether keyword arguments are passed on; there is a warning if not.
            **options: for the store.
        """
        if self.kwargs and not keywords:
            warnings.warn(errors.IgnoredKeywordsWarning(plan.transform, self.kwargs), stacklevel=4)
        args, kwargs = (self.module, *self.args), self.kwargs if keywords else {}
        chosen = present(static, len(args))
        chosen -= {n for n in chosen if isinstance(n, int) and isinstance(args[n], ModuleStructure)}
        args, kwargs = hide_static(plan.transform, args, kwargs, chosen)
        store = ScopeStore(self.module, self.cls, **options)
        with explained(plan, advice):
            return engine.carry(store, plan, self.function, args, kwargs, run)


class Transformation(Protocol):
    """A transformation with its options."""

    @property
    def name(self) -> str:
        """Its name, without ``nn.``."""
        ...

    def __call__(self, call: Call) -> Any:
        """Carry out a call."""
        ...


def transformed(
    target: Any, transformation: Transformation, methods: Any = None, prefix: str = ""
) -> Any:
    """Apply a transformation to a class, a method or a function of modules.

    Args:
        target: the class or the function.
        transformation: the transformation, or a function from options to one where ``methods`` is
            a dictionary.
        methods: of a class, the methods to transform: names, a name, or a dictionary from names to
            options; ``__call__`` by default.
        prefix: what the name of the class begins with; by default the name of the transformation.

    Raises:
        TransformTargetError: the target is neither.
    """
    if isinstance(target, functools.partial) and inspect.isclass(target.func):
        made = transformed(target.func, transformation, methods, prefix)
        return functools.partial(made, *target.args, **target.keywords)
    if inspect.isclass(target) and issubclass(target, ModuleStructure):
        return _class(target, transformation, methods, prefix or transformation.name.capitalize())
    if isinstance(target, ModuleStructure):
        cls = type(target).__name__
        raise errors.TransformTargetError(target, transformation.name, module_class=cls)
    if inspect.isclass(target) or not callable(target):
        raise errors.TransformTargetError(target, transformation.name)
    return _function(target, transformation)


# --- functions and methods -------------------------------------------------------------------


def _function(target: Callable[..., Any], transformation: Transformation) -> Callable[..., Any]:
    @functools.wraps(target)
    def call(module: Any, /, *args: Any, **kwargs: Any) -> Any:
        return call_function(target, transformation, module, args, kwargs)

    return call


def call_function(
    target: Callable[..., Any],
    transformation: Transformation,
    module: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call a function of a module under a transformation.

    Raises:
        LiftedArgumentError: the first argument is no bound module.
    """
    is_module = isinstance(module, ModuleStructure)
    if not is_module or module.scope is None:
        run_unbound = getattr(transformation, "unbound", None) if is_module else None
        if run_unbound is not None:
            return run_unbound(target, module, args, kwargs)
        unbound = f"a {type(module).__name__} that is not bound"
        given = unbound if is_module else describe(module)
        name = getattr(target, "__name__", type(target).__name__)
        raise errors.LiftedArgumentError(transformation.name, name, given)
    running = context.methods_of(module)
    function = Function(target, running[-1] if running else "__call__")
    return transformation(Call(function, module, args, kwargs))


# --- classes ---------------------------------------------------------------------------------


def _class(cls: Any, transformation: Transformation, methods: Any, prefix: str) -> Any:
    options = _methods(cls, transformation, methods)
    body = {name: _method(cls, name, each) for name, each in options.items()}
    body |= {"__module__": cls.__module__, "__doc__": cls.__doc__}
    made = type(f"{prefix}{cls.__name__}", (cls,), body)
    made.__qualname__ = f"{prefix}{cls.__qualname__}"
    return made


def _methods(cls: type, transformation: Any, methods: Any) -> dict[str, Transformation]:
    if not isinstance(methods, Mapping):
        named = "__call__" if methods is None else methods
        methods = {name: {} for name in ([named] if isinstance(named, str) else named)}
    chosen: Mapping[str, Any] = methods
    for name in chosen:
        if not callable(getattr(cls, name, None)):
            raise errors.NoSuchMethodError(transformation.name, name, cls)
    return {
        name: dataclasses.replace(transformation, **given) if given else transformation
        for name, given in chosen.items()
    }


def _method(cls: Any, name: str, transformation: Transformation) -> Callable[..., Any]:
    inner = getattr(cls, name)

    @functools.wraps(inner)
    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if self.scope is None:
            raise errors.UnboundTransformedError(type(self).__name__, name, transformation.name)
        # a subclass of the transformed class that calls it by super() is not what it was made of
        cls_inside = cls if type(self).__mro__[1] is cls else None
        return transformation(Call(Function(inner, None), self, args, kwargs, cls_inside))

    mark_wrapped(method)
    return method
