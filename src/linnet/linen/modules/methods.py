"""What happens when a method of a module is called.

Every method of a module, except those marked :func:`nowrap` and Python's own, is wrapped once, when
its class is made. The wrapper runs ``setup`` if it has not run, makes the module the parent of what
is created inside, names the call for profilers, lets interceptors have their say, stores the result
if intermediates are captured, and notes on an escaping exception in which module it was raised.

It stands between every two lines of a model, so it does no more than it must: what is known of the
class or the method is known when the wrapper is made, and what is seldom asked for (an interceptor,
captured intermediates, a name for the profiler) costs a test when it is not.
"""

import dataclasses
import functools
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import jax

from linnet.base import errors, jaxcompat
from linnet.base.config import config
from linnet.base.traceback import mark_noted
from linnet.linen.modules.context import Phase, context
from linnet.linen.modules.describe import describe
from linnet.linen.modules.structure import ModuleStructure, run_setup

F = TypeVar("F", bound=Callable[..., Any])

_COMPACT = "compact"
_NOWRAP = "nowrap"
_WRAPPED = "method_handler_wrapped"  # the mark that public tools know


# --- decorators ------------------------------------------------------------------------------


def compact(fun: F) -> F:
    """Mark a method that creates submodules and variables where it uses them.

    Submodules without a name are numbered by class in order of creation: ``Dense_0``, ``Dense_1``.

    Example:
    >>> import linnet.linen as nn
    >>> class MLP(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         return nn.Dense(1)(nn.relu(nn.Dense(8)(x)))
    """
    setattr(fun, _COMPACT, True)
    return fun


def nowrap(fun: F) -> F:
    """Mark a method to be left as it is: a plain helper, that no interceptor sees.

    Inside it, a new module gets the parent that it would get in the calling method, and ``setup``
    is not run before it.

    Example:
    >>> import linnet.linen as nn
    >>> class Model(nn.Module):
    ...     @nn.nowrap
    ...     def block(self, features):
    ...         return nn.Dense(features)
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         return self.block(4)(x)
    """
    setattr(fun, _NOWRAP, True)
    return fun


def is_compact(fun: Any) -> bool:
    """Tell whether a method is marked `compact`."""
    return bool(getattr(fun, _COMPACT, False))


# --- interceptors ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class InterceptorContext:
    """What an interceptor is told of a call.

    Attributes:
        module: the module whose method is called.
        method_name: the name of the method.
        orig_method: the method itself; calling it skips the interceptors that follow.
    """

    module: Any
    method_name: str
    orig_method: Callable[..., Any]


class Interceptor(Protocol):
    """A function that is called in place of methods of modules."""

    def __call__(
        self,
        next_fun: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        context: InterceptorContext,
        /,
    ) -> Any:
        """Return what the method is to return."""
        ...


@contextmanager
def intercept_methods(interceptor: Interceptor) -> Generator[None, None, None]:
    """Have a function called in place of every method of every module, in a ``with`` block.

    Interceptors registered inside one another run from the outermost to the innermost. Methods
    marked :func:`nowrap`, Python's own (``__eq__``, ``__repr__``, ``__init__``, ``__hash__``,
    ``__post_init__``), fields and descriptors are not intercepted.

    Args:
        interceptor: a function ``(next_fun, args, kwargs, context)``. It may change the arguments
            and the result of ``next_fun(*args, **kwargs)``, or not call it at all.

    Example:
    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> def doubled(next_fun, args, kwargs, context):
    ...     return 2 * next_fun(*args, **kwargs)
    >>> class Identity(nn.Module):
    ...     def __call__(self, x):
    ...         return x
    >>> with nn.intercept_methods(doubled):
    ...     Identity()(3)
    6
    """
    before = context.interceptors
    context.interceptors = (*before, interceptor)
    try:
        yield
    finally:
        context.interceptors = before


def _run_intercepted(
    module: ModuleStructure, name: str, fun: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    orig = functools.partial(fun, module)
    about = InterceptorContext(module, name, orig)

    def after(interceptors: tuple[Any, ...]) -> Callable[..., Any]:
        if not interceptors:
            return orig
        return lambda *args, **kwargs: interceptors[0](after(interceptors[1:]), args, kwargs, about)

    return after(context.interceptors)(*args, **kwargs)


# --- the wrapper -----------------------------------------------------------------------------


def wrap_method(name: str, fun: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands in a module's class for a method that its author wrote."""
    compact_method = is_compact(fun)
    is_setup = name == "setup"

    @functools.wraps(fun)
    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        scope, state = self.scope, self._state
        if scope is None:
            _check_unbound(self, name, compact=compact_method)
        elif state.phase is Phase.NEW and not is_setup:
            run_setup(self)
        modules, methods = context.module_stack, context.method_stack
        modules.append(self)
        methods.append(name)
        outermost = compact_method and not state.in_compact
        if outermost:
            state.in_compact = name
        try:
            if scope is not None and config.flax_profile and jaxcompat.is_tracing():
                with jax.named_scope(_profile_name(self, name)):
                    result = _run(self, name, fun, args, kwargs)
            else:
                result = _run(self, name, fun, args, kwargs)
            if scope is not None and scope.store.capture is not None:
                _capture(self, name, result)
            return result
        except Exception as error:
            _note(error, self, name, args, kwargs)
            raise
        finally:
            modules.pop()
            methods.pop()
            if outermost:
                _end_compact(self)

    wrapped = _in_setup(method) if is_setup else method
    mark_wrapped(wrapped)
    return wrapped


def _in_setup(setup: Callable[..., Any]) -> Callable[..., Any]:
    """Let ``setup`` assign and declare also where a user calls it by hand."""

    @functools.wraps(setup)
    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        state = self._state
        running, state.in_setup = state.in_setup, True
        try:
            return setup(self, *args, **kwargs)
        finally:
            state.in_setup = running

    return method


def mark_wrapped(fun: Any) -> None:
    """Have a function stay as it is when it becomes a method of a module class."""
    setattr(fun, _WRAPPED, True)


def is_wrapped(fun: Any) -> bool:
    """Tell whether a method is wrapped already, as one borrowed from another module class is."""
    return getattr(fun, _WRAPPED, False)


def _run(module: Any, name: str, fun: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if context.interceptors:
        return _run_intercepted(module, name, fun, args, kwargs)
    return fun(module, *args, **kwargs)


def _check_unbound(module: ModuleStructure, name: str, *, compact: bool) -> None:
    if compact:
        raise errors.CallCompactUnboundModuleError(type(module).__name__, name)
    if name == "setup":
        raise errors.CallSetupUnboundModuleError(type(module).__name__)


def _end_compact(module: ModuleStructure) -> None:
    """Free the names that a compact method used, so that the next call finds them again."""
    state, names = module._state, module.scope.names if module.scope else {}
    for name, col in state.reserved:
        uses = names.get(name)
        if uses is not None:
            uses.discard(col)
            if not uses:
                del names[name]
    state.reserved.clear()
    state.autonames.clear()
    state.in_compact = ""


def _capture(module: Any, name: str, result: Any) -> None:
    if module.scope.store.capture(module, name):
        module.sow("intermediates", name, result)


def _profile_name(module: ModuleStructure, method: str) -> str:
    own = module.name or type(module).__name__
    return own if method == "__call__" else f"{own}.{method}"


# --- notes on exceptions ---------------------------------------------------------------------


def _note(error: Exception, module: ModuleStructure, method: str, args: Any, kwargs: Any) -> None:
    """Say on an exception in which module, and on which inputs, it was raised: the innermost."""
    if module.scope is None or not mark_noted(error):
        return
    where = errors.place(module.scope.path, type(module).__name__)
    given = [describe(arg) for arg in args] + [f"{k}={describe(v)}" for k, v in kwargs.items()]
    error.add_note(f"In {where}.{method}({', '.join(given)})")
