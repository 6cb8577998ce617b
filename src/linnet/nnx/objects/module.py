"""Modules: objects with methods that compute.

What :class:`Module` adds to ``Pytree`` is what models need while they run: switching between
training and evaluation, and keeping values that appear on the way (``sow``, ``perturb``; see
``capture.py`` for collecting them).
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from linnet.base.config import config
from linnet.base.errors import listing, near
from linnet.nnx.objects import sown
from linnet.nnx.objects.call_hooks import observed
from linnet.nnx.objects.kinds import Perturbation, variable_type_from_name
from linnet.nnx.objects.nodes import iter_graph
from linnet.nnx.objects.pytree import Pytree, attributes_of
from linnet.nnx.objects.variable import Variable
from linnet.state.filters import Filter, to_predicate

B = TypeVar("B")


def _append(old: Any, new: Any) -> Any:
    return (*old, new)


def _nothing() -> Any:
    return ()


def _is_noop(captured: Any, asked: bool | None) -> bool:
    """Return whether a value that nobody captures is let go, as asked for or by the flag."""
    return captured is None and (config.nnx_sow_capture_noop if asked is None else asked)


class Module(Pytree):
    """The base class of layers and models.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> class Counter(nnx.Module):
    ...     def __init__(self):
    ...         self.count = nnx.Variable(jnp.array(0))
    ...     def __call__(self, x):
    ...         self.count[...] += 1
    ...         return x
    >>> counter = Counter()
    >>> print(counter(1.0), counter(1.0), counter.count[...])
    1.0 1.0 2
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        method = vars(cls).get("__call__")
        if inspect.isfunction(method):
            cls.__call__ = observed(method)  # type: ignore[method-assign]

    def sow(
        self,
        variable_type: Any,
        name: str,
        value: Any,
        reduce_fn: Callable[[Any, Any], Any] = _append,
        init_fn: Callable[[], Any] = _nothing,
        capture_noop: bool | None = None,
    ) -> bool:
        """Keep a value that appears during a call, in a variable of this module.

        Inside :func:`nnx.capture` the value goes to what is captured, if its type is asked for;
        outside it goes to an attribute of the module, or nowhere with ``capture_noop``.

        Args:
            variable_type: the type of the variable, or its registered name.
            name: its name.
            value: what to keep.
            reduce_fn: joins what was kept before and the new value; by default a tuple grows.
            init_fn: makes what was there before the first value.
            capture_noop: do nothing outside ``nnx.capture``; ``None`` for what the flag
                ``nnx_sow_capture_noop`` says.

        Returns:
            Whether the value was kept.

        Raises:
            ValueError: the attribute exists and is no variable of this type.
        """
        kind = _kind(variable_type)
        captured = sown.place_for(self, kind)
        if captured is sown.NOT_ASKED_FOR or _is_noop(captured, capture_noop):
            return False
        if captured is not None:
            before = captured[name]._raw_value if name in captured else init_fn()
            captured[name] = kind.from_metadata(reduce_fn(before, value), {})
            return True
        if name in attributes_of(self):
            variable = attributes_of(self)[name]
            _check_kind(self, name, variable, kind)
            variable.set_raw_value(reduce_fn(variable.get_raw_value(), value))
        else:
            setattr(self, name, kind(reduce_fn(init_fn(), value)))
        return True

    def perturb(
        self,
        name: str,
        value: Any,
        variable_type: Any = Perturbation,
        capture_noop: bool | None = None,
    ) -> Any:
        """Add a variable of zeros to a value, so that its gradient can be taken.

        Inside :func:`nnx.capture` the variable is one of those captured, if its type is asked for,
        and else the value is returned as it is; outside it is an attribute of the module, or there
        is none with ``capture_noop``.

        Args:
            name: the name of the variable.
            value: what to add it to; a pytree of arrays.
            variable_type: the type of the variable, or its registered name.
            capture_noop: do nothing outside ``nnx.capture``; ``None`` for what the flag
                ``nnx_sow_capture_noop`` says.

        Returns:
            The value plus the variable.

        Raises:
            ValueError: the attribute exists and is no variable of this type.
        """
        kind = _kind(variable_type)
        captured = sown.place_for(self, kind)
        if captured is sown.NOT_ASKED_FOR or _is_noop(captured, capture_noop):
            return value
        home = attributes_of(self) if captured is None else captured
        if name not in home:
            zeros = jax.tree.map(jnp.zeros_like, value)
            if captured is None:
                setattr(self, name, kind(zeros))
            else:
                captured[name] = kind.from_metadata(zeros, {})
        variable = home[name]
        _check_kind(self, name, variable, kind)
        return jax.tree.map(jnp.add, value, variable.get_value())

    def set_attributes(
        self,
        *filters: Filter,
        raise_if_not_found: bool = True,
        graph: bool | None = None,
        **attributes: Any,
    ) -> None:
        """Set attributes in this module and all modules in it that have them.

        Args:
            *filters: set them only in modules that one of these matches.
            raise_if_not_found: whether an attribute that no module has is an error.
            graph: taken for Flax's sake.
            **attributes: names and new values.

        Raises:
            ValueError: no module has one of the attributes.
        """
        missing = assign_attributes(self, filters or True, attributes)
        if missing and raise_if_not_found:
            raise ValueError(not_found("set_attributes", self, missing))

    def train(self, **attributes: Any) -> None:
        """Switch to training: ``deterministic`` and ``use_running_average`` become ``False``.

        Args:
            **attributes: further attributes to set.
        """
        self.set_attributes(
            **{"deterministic": False, "use_running_average": False, **attributes},
            raise_if_not_found=False,
        )

    def eval(self, **attributes: Any) -> None:
        """Switch to evaluation: ``deterministic`` and ``use_running_average`` become ``True``.

        Args:
            **attributes: further attributes to set.
        """
        self.set_attributes(
            **{"deterministic": True, "use_running_average": True, **attributes},
            raise_if_not_found=False,
        )

    def iter_modules(self) -> Iterator[tuple[Any, "Module"]]:
        """Iterate over this module and all in it, with their paths; see ``nnx.iter_modules``."""
        return iter_modules(self)

    def iter_children(self) -> Iterator[tuple[Any, "Module"]]:
        """Iterate over the modules that are attributes; see ``nnx.iter_module_children``."""
        return iter_module_children(self)


def _kind(variable_type: Any) -> Any:
    if isinstance(variable_type, str):
        return variable_type_from_name(variable_type, allow_register=True)
    return variable_type


def _check_kind(module: Module, name: str, variable: Any, kind: Any) -> None:
    if not isinstance(variable, Variable) or type(variable) is not kind:
        raise ValueError(
            f"{type(module).__name__} keeps a {kind.__name__} under the name {name!r}, but "
            f"attribute {name!r} is a {type(variable).__name__}. Choose another name."
        )


def assign_attributes(node: Any, only: Filter, attributes: Mapping[str, Any]) -> list[str]:
    """Set attributes in all modules of a model that have them; return those that none has.

    Args:
        node: the model.
        only: only in modules that this filter matches.
        attributes: names and values.
    """
    picks = to_predicate(only)
    missing = set(attributes)
    for path, module in iter_modules(node):
        if picks(path, module):
            for name, value in attributes.items():
                if hasattr(module, name):
                    missing.discard(name)
                    setattr(module, name, value)
    return sorted(missing)


def not_found(what: str, node: Any, missing: list[str]) -> str:
    """Word the error of attributes that no module of a model has."""
    known = {name for _, module in iter_modules(node) for name in attributes_of(module)}
    return (
        f"{what} was to set {listing(missing)}, but no module of {type(node).__name__} has an "
        f"attribute of this name.{''.join(near(name, known) for name in missing)} Pass "
        "raise_if_not_found=False if that is as it should be."
    )


def iter_modules(
    module: Any, /, *, graph: bool | None = None
) -> Iterator[tuple[tuple[Any, ...], Module]]:
    """Iterate over a module and all modules in it, with their paths, children first.

    >>> from linnet import nnx
    >>> [path for path, _ in nnx.iter_modules(nnx.Sequential(nnx.Module()))]
    [('layers', 0), ('layers',), ()]
    """
    for path, value in iter_graph(module, graph=graph):
        if isinstance(value, Module):
            yield path, value


def iter_children(node: Any, /, *, graph: bool | None = None) -> Iterator[tuple[Any, Any]]:
    """Iterate over the attributes of an object that are objects or variables, with their names."""
    for key, child in node._children():
        if isinstance(child, Pytree | Variable):
            yield key, child


def iter_module_children(
    node: Any, /, *, graph: bool | None = None
) -> Iterator[tuple[Any, Module]]:
    """Iterate over the attributes of a module that are modules, with their names."""
    for key, child in node._children():
        if isinstance(child, Module):
            yield key, child
