"""Compact methods with a namespace of their own.

A module may have one compact method whose submodules it numbers itself. Methods marked
:func:`compact_name_scope` are compact too, but each puts its submodules under its own name:
``up/Dense_0``, ``down/Dense_0``. The name is that of a module made for the purpose, which stands
between the module and the submodules that the method creates.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from linnet.base.config import config
from linnet.linen.modules.methods import compact
from linnet.linen.modules.module import Module

F = TypeVar("F", bound=Callable[..., Any])


class CompactNameScope(Module):
    """The module that gives a method's submodules their namespace.

    Attributes:
        fn: the method, as a function of the module that it belongs to.
        module_fn: returns that module.
    """

    fn: Callable[..., Any]
    module_fn: Callable[[], Module]

    @compact
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the method; what it creates belongs to this module."""
        return self.fn(self.module_fn(), *args, **kwargs)


def compact_name_scope(fun: F) -> F:
    """Mark a method as compact, with its submodules under the method's own name.

    It is called from ``setup`` or a compact method of the same module, and a module may have any
    number of such methods.

    Example:
    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> class Model(nn.Module):
    ...     @nn.compact
    ...     def __call__(self, x):
    ...         return self.down(self.up(x))
    ...     @nn.compact_name_scope
    ...     def up(self, x):
    ...         return nn.Dense(3)(x)
    ...     @nn.compact_name_scope
    ...     def down(self, x):
    ...         return nn.Dense(3)(x)
    >>> params = Model().init(jax.random.key(0), jnp.ones((1, 4)))["params"]
    >>> {name: list(inner) for name, inner in params.items()}
    {'up': ['Dense_0'], 'down': ['Dense_0']}
    """

    @functools.wraps(fun)
    def scoped(self: Module, *args: Any, **kwargs: Any) -> Any:
        return CompactNameScope(fun, lambda: self, name=fun.__name__)(*args, **kwargs)

    return scoped  # type: ignore[return-value]


# --- names for profilers ---------------------------------------------------------------------


def enable_named_call() -> None:
    """Name the calls of modules in profiles and compiled programs, which is the default."""
    config.update("flax_profile", True)


def disable_named_call() -> None:
    """Do not name the calls of modules in profiles and compiled programs."""
    config.update("flax_profile", False)


def override_named_call(enable: bool = True) -> Any:
    """Return a context in which calls of modules are named, or are not.

    >>> with override_named_call(False):
    ...     pass
    """
    return config.temp_flip_flag("flax_profile", enable)


def named_call(class_fn: F, force: bool = True) -> F:
    """Give the calls of a method a name in profiles and compiled programs.

    Methods of modules have one already; with ``force`` this one keeps it while
    :func:`disable_named_call` is in force.

    Args:
        class_fn: the method.
        force: whether the name is kept when names are switched off.
    """
    name = getattr(class_fn, "__qualname__", repr(class_fn))

    @functools.wraps(class_fn)
    def named(*args: Any, **kwargs: Any) -> Any:
        if config.flax_profile or force:
            with jax.named_scope(name):
                return class_fn(*args, **kwargs)
        return class_fn(*args, **kwargs)

    return named  # type: ignore[return-value]
