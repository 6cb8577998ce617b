"""The kinds of variables: what a variable is for, as a type, and the names of the types.

A kind of your own is a subclass: ``class Mask(nnx.Variable): pass``. Names pair the types with the
collections of Linen (``state/kinds.py``): ``Param`` with ``params``, ``BatchStat`` with
``batch_stats``; a type without a name of its own is registered under the name of its class.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from linnet.base.typing import MISSING
from linnet.nnx.objects.variable import Variable, boxed
from linnet.state import kinds

A = TypeVar("A")
T = TypeVar("T")


class Param(Variable[A]):
    """A parameter: what an optimizer trains."""


class BatchStat(Variable[A]):
    """A running statistic of a normalisation layer."""


class Cache(Variable[A]):
    """Keys and values kept for autoregressive decoding."""


class Intermediate(Variable[A]):
    """A value kept during a call, by ``Module.sow``."""


class Perturbation(Intermediate[A]):
    """Zeros added to a value to find its gradient, by ``Module.perturb``."""


def register_variable_name(name: str, typ: Any = MISSING, *, overwrite: bool = False) -> Any:
    """Register a type of variables under a name. Can be used as a decorator.

    Raises:
        KindError: the name or the type is registered already; it is a ``ValueError``.

    >>> from linnet import nnx
    >>> @nnx.register_variable_name("masks")
    ... class Mask(nnx.Variable):
    ...     pass
    >>> nnx.variable_type_from_name("masks") is Mask
    True
    """
    if typ is MISSING:
        return lambda typ: register_variable_name(name, typ, overwrite=overwrite)
    kinds.register_kind(name, typ, overwrite=overwrite)
    return typ


def variable_name_from_type(typ: Any, /, *, allow_register: bool = False) -> str:
    """Return the name of a type of variables.

    Args:
        typ: the type.
        allow_register: register it, if it is not yet, under the name of its class.

    Raises:
        KindError: it is not registered; it is a ``ValueError``.
    """
    try:
        return kinds.name_of_type(typ)
    except kinds.KindError:
        if not allow_register:
            raise
    register_variable_name(typ.__name__, typ)
    return typ.__name__


def variable_type_from_name(
    name: str, /, *, base: Any = Variable, allow_register: bool = False
) -> Any:
    """Return the type of variables of a name.

    Args:
        name: the name.
        base: what a new type derives from.
        allow_register: make and register a type, if there is none of this name.

    Raises:
        KindError: there is none; it is a ``ValueError``.
    """
    if kinds.kind_named(name).type is None and allow_register:
        return register_variable_name(name, type(name, (base,), {}))
    return kinds.type_of_kind(name)


def with_metadata(initializer: Callable[..., Any], **metadata: Any) -> Callable[..., Any]:
    """Have the variable that an initializer's value is put in carry metadata.

    Args:
        initializer: a function that returns a value.
        **metadata: metadata and hooks, as ``Variable`` takes them.

    >>> import jax, jax.numpy as jnp
    >>> from linnet import nnx
    >>> init = nnx.with_metadata(nnx.initializers.zeros_init(), unit="m")
    >>> nnx.Param(init(jax.random.key(0), (2, 3))).unit
    'm'
    """

    @functools.wraps(initializer)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return boxed(initializer(*args, **kwargs), metadata)

    return wrapper


for _name, _type in (
    ("params", Param),
    ("batch_stats", BatchStat),
    ("cache", Cache),
    ("intermediates", Intermediate),
    ("perturbations", Perturbation),
):
    register_variable_name(_name, _type)
