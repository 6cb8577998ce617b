"""Names for the types that Linnet's signatures speak of.

``Array`` is any JAX array or tracer. ``Dtype`` is anything ``jnp.dtype`` accepts. A ``Path`` is the
tuple of keys that leads from the root of a tree to a value.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import jax
from jax import lax
from jax.typing import ArrayLike, DTypeLike

Array: TypeAlias = jax.Array
PRNGKey: TypeAlias = jax.Array
Dtype: TypeAlias = DTypeLike
Shape: TypeAlias = Sequence[int]
Axes: TypeAlias = int | Sequence[int]
Key: TypeAlias = Hashable
Path: TypeAlias = tuple[Any, ...]
PyTree: TypeAlias = Any

PrecisionLike: TypeAlias = (
    str | lax.Precision | tuple[str, str] | tuple[lax.Precision, lax.Precision] | None
)
PaddingLike: TypeAlias = str | int | Sequence[int | tuple[int, int]]
LaxPadding: TypeAlias = str | Sequence[tuple[int, int]]

DotGeneral: TypeAlias = Callable[..., Array]
ConvGeneralDilated: TypeAlias = Callable[..., Array]

VariableDict: TypeAlias = Mapping[str, Mapping[str, Any]]
RNGSequences: TypeAlias = Mapping[str, PRNGKey]


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


__all__ = [
    "Array",
    "ArrayLike",
    "Axes",
    "ConvGeneralDilated",
    "DotGeneral",
    "Dtype",
    "Initializer",
    "Key",
    "LaxPadding",
    "PRNGKey",
    "PaddingLike",
    "Path",
    "PrecisionLike",
    "PromoteDtype",
    "PyTree",
    "RNGSequences",
    "Shape",
    "VariableDict",
]
