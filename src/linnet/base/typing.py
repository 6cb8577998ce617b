"""Names for the types that Linnet's signatures speak of.

``Array`` is any JAX array or tracer. ``Dtype`` is anything ``jnp.dtype`` accepts. A ``Path`` is the
tuple of keys that leads from the root of a tree to a value; a ``JoinedPath`` is those keys as one
string.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeGuard, final, runtime_checkable

import jax
from jax import lax
from jax.typing import ArrayLike as ArrayLike, DTypeLike

Array: TypeAlias = jax.Array
PRNGKey: TypeAlias = jax.Array
Dtype: TypeAlias = DTypeLike
Shape: TypeAlias = Sequence[int]
Axes: TypeAlias = int | Sequence[int]
Axis: TypeAlias = int | None
AxisName: TypeAlias = str | tuple[str, ...] | None
Key: TypeAlias = Hashable
Path: TypeAlias = tuple[Any, ...]
JoinedPath: TypeAlias = str
PyTree: TypeAlias = Any
ArrayPytree: TypeAlias = Any
Leaf: TypeAlias = Any

PrecisionLike: TypeAlias = (
    str | lax.Precision | tuple[str, str] | tuple[lax.Precision, lax.Precision] | None
)
PaddingLike: TypeAlias = str | int | Sequence[int | tuple[int, int]]
LaxPadding: TypeAlias = str | Sequence[tuple[int, int]]

DotGeneral: TypeAlias = Callable[..., Array]
ConvGeneralDilated: TypeAlias = Callable[..., Array]
Einsum: TypeAlias = Callable[..., Array]

Collection: TypeAlias = Mapping[str, Any]
MutableCollection: TypeAlias = dict[str, Any]
VariableDict: TypeAlias = Mapping[str, Mapping[str, Any]]
MutableVariableDict: TypeAlias = dict[str, dict[str, Any]]
RNGSequences: TypeAlias = Mapping[str, PRNGKey]
PRNGFoldable: TypeAlias = int | str

Sharding: TypeAlias = tuple[AxisName, ...]
PartitionSpecPytree: TypeAlias = Any
LogicalPartitionSpec: TypeAlias = Any
LogicalPartitionSpecPytree: TypeAlias = Any


class Initializer(Protocol):
    """Draws the initial value of a parameter from a key: ``(key, shape, dtype) -> Array``."""

    def __call__(self, key: PRNGKey, shape: Any, dtype: Any = ...) -> Array:
        """Return the value."""
        ...


class PromoteDtype(Protocol):
    """Brings its arguments to one dtype, leaving ``None`` as it is."""

    def __call__(self, *args: Any, dtype: Dtype | None = None, inexact: bool = True) -> list[Any]:
        """Return the arguments, promoted."""
        ...


@runtime_checkable
class ShapeDtype(Protocol):
    """An array, or anything that is described like one."""

    shape: Any
    dtype: Any


def has_shape_dtype(x: Any) -> TypeGuard[ShapeDtype]:
    """Tell whether something has a shape and a dtype.

    >>> has_shape_dtype(jax.ShapeDtypeStruct((2,), "float32")), has_shape_dtype(2.0)
    (True, False)
    """
    return isinstance(x, ShapeDtype)


def is_key_like(x: Any) -> TypeGuard[Key]:
    """Tell whether something may be a key of a path.

    >>> is_key_like("kernel"), is_key_like(["kernel"])
    (True, False)
    """
    return isinstance(x, Hashable)


@final
class Missing:
    """The type of ``MISSING``: nothing was given, where ``None`` would be a value."""


MISSING = Missing()


_LIBRARIES = frozenset(("builtins", "numpy", "jax", "jaxlib", "ml_dtypes", "linnet"))


def is_of_a_library(cls: type) -> bool:
    """Tell whether a class may be remembered for good.

    A class that a program makes may be let go, and may be registered with JAX after it was first
    seen. Those of the libraries below are not.

    >>> is_of_a_library(int), is_of_a_library(type("Mine", (), {"__module__": "mine"}))
    (True, False)
    """
    return cls.__module__.partition(".")[0] in _LIBRARIES
