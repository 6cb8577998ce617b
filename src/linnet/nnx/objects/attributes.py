"""Which attributes of an object are data, and which are static.

JAX sees two things in an object: *data*, the arrays that transformations act on, and what is
*static*, the rest, which has to be equal for a compiled program to be used again. An attribute is
data if its value is: an array, a variable, an object of NNX, or a list, tuple, dictionary or other
pytree that holds any of these. Everything else is static.

Two things override that. :func:`data` and :func:`static` say it explicitly, on assignment or in the
class body. And an attribute that was data stays so when it is set to a number, so that replacing an
array by a Python scalar compiles nothing anew.
"""

import dataclasses
import inspect
from typing import Annotated, Any, TypeAlias, TypeVar

import jax
import numpy as np

from linnet.base.typing import MISSING, is_of_a_library

T = TypeVar("T")


_IS_DATA, _IS_STATIC = "__data__", "__static__"
Data: TypeAlias = Annotated[T, _IS_DATA]  # annotates an attribute in the class body as data
Static: TypeAlias = Annotated[T, _IS_STATIC]

# type → whether its values are data; None where it depends on what the value holds. Of classes of
# users only those that JAX knows are remembered: others can be registered later, and let go
_KNOWN: dict[type, bool | None] = {
    **dict.fromkeys((int, float, complex, bool, str, bytes, type(None), type), False),
    **dict.fromkeys((list, tuple, dict), None),
    np.ndarray: True,
}
_natures = dict(_KNOWN)
_data_types: list[type] = [np.ndarray, jax.Array]


def register_data_type(type_: T, /) -> T:
    """Have values of a type be data wherever they are assigned. Can be used as a decorator.

    >>> from linnet import nnx
    >>> @nnx.register_data_type
    ... class Counter:
    ...     pass
    >>> nnx.is_data(Counter())
    True
    """
    _data_types.append(type_)  # type: ignore[arg-type]
    _natures.clear()
    _natures.update(_KNOWN)
    return type_


def nature(value: Any) -> bool | None:
    """Tell whether a value is data (``True``), static (``False``), or a container of either."""
    cls = type(value)
    found: Any = _natures.get(cls, MISSING)
    if found is MISSING:
        tree = is_tree(value)
        found = True if isinstance(value, tuple(_data_types)) else None if tree else False
        if tree or is_of_a_library(cls):
            _natures[cls] = found
    return found


def is_tree(value: Any) -> bool:
    """Tell whether JAX takes a value for a pytree with children, and not for a leaf."""
    return not isinstance(value, type) and not jax.tree_util.all_leaves([value])


def is_data(value: Any, /) -> bool:
    """Tell whether a value is data by its type: an array, a variable, an object of NNX.

    >>> import jax.numpy as jnp
    >>> is_data(jnp.ones(2)), is_data(2.0)
    (True, False)
    """
    return nature(value) is True


def has_data(value: Any, /) -> list[Any]:
    """List the data inside a value, at any depth of lists, dictionaries and other pytrees.

    >>> import jax.numpy as jnp
    >>> len(has_data([1, {"a": jnp.ones(2)}]))
    1
    """
    kind = nature(value)
    if kind is None:
        leaves = jax.tree.leaves(value, is_leaf=is_data)
        return [leaf for leaf in leaves if is_data(leaf)]
    return [value] if kind else []


def holds_data(value: Any) -> bool:
    """Tell whether a value is data or holds any."""
    kind = nature(value)
    if kind is None:
        if type(value) is list or type(value) is tuple:
            return any(map(holds_data, value))
        if type(value) is dict:
            return any(map(holds_data, value.values()))
        return bool(has_data(value))
    return kind


# --- saying it explicitly --------------------------------------------------------------------


def data(value: Any = MISSING, /, **kwargs: Any) -> Any:
    """Mark a value that is assigned to an attribute, or a field of a dataclass, as data.

    Args:
        value: the value to assign; left out in a class body.
        **kwargs: as for ``dataclasses.field``.

    Returns:
        A field specifier that carries the value.

    >>> from linnet import nnx
    >>> import jax
    >>> class Model(nnx.Module):
    ...     def __init__(self):
    ...         self.step = nnx.data(0)
    >>> jax.tree.leaves(Model())
    [0]
    """
    return _specified(value, static=False, kwargs=kwargs)


def static(value: Any = MISSING, /, **kwargs: Any) -> Any:
    """Mark a value that is assigned to an attribute, or a field of a dataclass, as static.

    Args:
        value: the value to assign; left out in a class body.
        **kwargs: as for ``dataclasses.field``.

    Returns:
        A field specifier that carries the value.
    """
    return _specified(value, static=True, kwargs=kwargs)


def _specified(value: Any, *, static: bool, kwargs: dict[str, Any]) -> Any:
    metadata = {**kwargs.pop("metadata", {}), "static": static}
    if value is not MISSING:
        metadata["nnx_value"] = value
        if isinstance(value, int | float | str | tuple | type(None)):
            kwargs.setdefault("default", value)
    return dataclasses.field(metadata=metadata, **kwargs)


def is_marker(value: Any) -> bool:
    """Tell whether a value came from :func:`data` or :func:`static`."""
    return type(value) is dataclasses.Field and "static" in value.metadata


def read_marker(field: Any) -> tuple[Any, bool]:
    """Return the value that a marker carries and whether it is to be data.

    Raises:
        ValueError: the marker carries no value.
    """
    if "nnx_value" not in field.metadata:
        raise ValueError(
            "nnx.data() or nnx.static() without a value was assigned to an attribute. Write "
            "`self.x = nnx.data(value)`; without a value they belong into a class body, "
            "`x: jax.Array = nnx.data()`."
        )
    return field.metadata["nnx_value"], not field.metadata.get("static", False)


def _annotated(cls: type) -> dict[str, bool]:
    """Return the attributes that are annotated ``nnx.Data[...]`` or ``nnx.Static[...]``."""
    hints = inspect.get_annotations(cls)
    if any(
        isinstance(hint, str) and ("Data" in hint or "Static" in hint) for hint in hints.values()
    ):
        try:
            hints = inspect.get_annotations(cls, eval_str=True)
        except NameError:  # of another annotation, which is not ours to understand
            return {}
    marks = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {
        name: _IS_DATA in mark
        for name, mark in marks.items()
        if _IS_DATA in mark or _IS_STATIC in mark
    }


def declared_in(cls: type) -> dict[str, bool]:
    """Return the attributes that a class body marks: name → whether it is data."""
    found = _annotated(cls)
    for name, value in list(vars(cls).items()):
        if is_marker(value):
            found[name] = not value.metadata["static"]
    # where the class is a dataclass already, its fields were taken out of the body
    for field in getattr(cls, "__dataclass_fields__", {}).values():
        if "static" in field.metadata:
            found[field.name] = not field.metadata["static"]
    return found
