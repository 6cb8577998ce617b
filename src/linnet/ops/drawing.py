"""Initializers: how the first value of a parameter is drawn.

An initializer is a frozen value, ``lecun_normal(in_axis=-2)``, that hashes, compares and pickles
by its configuration, and is called with ``(key, shape, dtype)``. The values are those of
``jax.nn.initializers``, bit for bit; what differs is the cost of the first call, which is nearly
all compilation:

* One compiled function draws all normal distributions, cut or not. What depends on the initializer
  and the shape, its scale and its bounds, are arguments of it, not constants inside it.
* Outside a trace it draws in one dimension, and more than is needed, so that kernels of many sizes
  share it: the n-th number that threefry draws does not depend on how many are drawn.
* Constants of moderate size are copied from numpy and compile nothing.

Inside a trace nothing is compiled on its own; there the draw keeps its shape, so that the compiler
can split it over devices along with the parameter.
"""

import dataclasses
import functools
import math
import operator
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from jax.core import Tracer

from linnet.base.jaxcompat import NORMAL_IS_COMPILED, is_tracing, to_device
from linnet.base.static_keys import static_key
from linnet.base.typing import Array, ArrayLike, Dtype, Initializer as InitializerLike, PRNGKey
from linnet.ops.keys import DeferredKey, drawn_key
from linnet.ops.op import op

# sizes up to the largest are drawn by the next larger of these, the others as they are
_SHARED_SIZES = (1 << 14, 1 << 16, 1 << 18)
# the same for small sizes, but only from the _OFTEN-th draw on: before, a program of their own
# would cost more than the numbers that are drawn for nothing
_SMALL_SIZES = (1 << 10, 1 << 12)
_OFTEN = 256
_small_draws = dict.fromkeys(_SMALL_SIZES, 0)


@op(static=["uniform", "shape", "dtype"])
def _sample(
    key: PRNGKey | DeferredKey,
    inner: ArrayLike,
    factor: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    uniform: bool,
    shape: tuple[int, ...],
    dtype: Dtype,
) -> Array:
    """Draw from a distribution of unit scale between two bounds and multiply by a factor.

    The arithmetic is that of ``jax.random``: a normal number is ``sqrt(2) erfinv(u)``, with ``u``
    even between the ``erf`` of the bounds, which are infinite where nothing is cut. For that
    ``sqrt(2)`` stands ``inner`` (see ``_factors``).
    """
    key = drawn_key(key)
    low, high = jnp.asarray(low, dtype), jnp.asarray(high, dtype)
    if uniform:
        return random.uniform(key, shape, dtype, low, high) * factor
    root = jnp.asarray(np.sqrt(2), dtype)
    # erfinv(-1) is infinite; random.normal leaves that one number out, too
    least = jnp.nextafter(jnp.asarray(-1, dtype), jnp.asarray(0, dtype))
    even = random.uniform(
        key, shape, dtype, jnp.maximum(jax.lax.erf(low / root), least), jax.lax.erf(high / root)
    )
    infinite = jnp.asarray(np.inf, dtype)
    drawn = jnp.clip(
        inner * jax.lax.erf_inv(even),
        jax.lax.nextafter(jax.lax.stop_gradient(low), infinite),
        jax.lax.nextafter(jax.lax.stop_gradient(high), -infinite),
    )
    return drawn * factor


@op(static=["settings", "shape", "dtype", "out_sharding"])
def _delegated(
    key: PRNGKey | DeferredKey,
    *,
    settings: tuple[str, tuple[tuple[str, Any], ...]],
    shape: tuple[int, ...],
    dtype: Dtype,
    out_sharding: Any,
) -> Array:
    """Draw as the initializer of JAX of this name and configuration does."""
    name, arguments = settings
    return getattr(jax.nn.initializers, name)(**dict(arguments))(
        drawn_key(key), shape, dtype, out_sharding
    )


def _drawn(
    key: PRNGKey | DeferredKey,
    plan: "Plan",
    shape: tuple[int, ...],
    final: tuple[int, ...],
    dtype: Dtype,
) -> Array:
    """Draw as a plan says, and shape; outside a trace by a function that other shapes share."""
    _, low, high, uniform = plan
    inner, factor = _factors(plan, dtype)
    base = key.base if isinstance(key, DeferredKey) else key
    if (
        is_tracing()
        or getattr(base, "committed", False)
        or not jax.sharding.get_abstract_mesh().empty
        or str(random.key_impl(base)) != "threefry2x32"
    ):  # what goes through numpy lies on the default device
        drawn = _sample(key, inner, factor, low, high, uniform=uniform, shape=shape, dtype=dtype)
        return drawn if shape == final else jnp.reshape(drawn, final)
    size = math.prod(shape)
    numbers = functools.partial(
        _sample, key, inner, factor, low, high, uniform=uniform, dtype=dtype, shape=(size,)
    )
    if not getattr(jax.config, "jax_threefry_partitionable", False) or size > _SHARED_SIZES[-1]:
        return jnp.reshape(numbers(), final)
    drawn = numbers(shape=(_shared_size(size),))
    # cut by numpy, which compiles nothing
    return to_device(np.asarray(drawn)[:size].reshape(final))


@functools.cache
def _root(dtype: Any) -> Any:
    return np.asarray(np.sqrt(2), dtype)


def _factors(plan: "Plan", dtype: Any) -> tuple[Any, Any]:
    """Return what normal numbers are multiplied by before they are cut, and afterwards.

    An uncut normal of JAX 0.12 is one compiled function, in which XLA makes one factor of the two.
    """
    root = _root(dtype)
    cut = plan.uniform or plan.low != -math.inf or plan.high != math.inf
    if cut or not NORMAL_IS_COMPILED:
        return root, plan.factor
    return root * plan.factor, np.asarray(1, dtype)


def _shared_size(size: int) -> int:
    """Return how many numbers to draw where ``size`` are needed."""
    for shared in _SMALL_SIZES:
        if size <= shared:
            _small_draws[shared] += 1
            if _small_draws[shared] > _OFTEN:
                return shared
    return next(shared for shared in _SHARED_SIZES if size <= shared)


class Plan(NamedTuple):
    """How to draw: a distribution of unit scale between two bounds, times a factor."""

    factor: Any
    low: Any = -math.inf
    high: Any = math.inf
    uniform: bool = False


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Initializer:
    """Draws the first value of a parameter.

    Attributes:
        dtype: dtype of the value where the call names none; ``None`` is JAX's default float.
    """

    jax_name: ClassVar[str] = ""
    takes_deferred_key: ClassVar[bool] = True
    dtype: Dtype | None = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        # a number on a device becomes one of numpy, which hashes and which a plan can be made of
        for name, value in list(vars(self).items()):
            if is_array(value) and not isinstance(value, np.ndarray | Tracer) and not value.ndim:
                object.__setattr__(self, name, np.asarray(value)[()])

    def __call__(
        self,
        key: PRNGKey | DeferredKey | None,
        shape: Sequence[int] | int,
        dtype: Dtype | None = None,
        out_sharding: Any = None,
    ) -> Array:
        """Draw a value.

        Args:
            key: decides what is drawn; a constant needs none.
            shape: of the value; a number is the length of a vector.
            dtype: of the value; ``None`` takes the initializer's own.
            out_sharding: how to lay the value out over devices, as in ``jax.nn.initializers``.

        Returns:
            Array of that shape and dtype.
        """
        dims = tuple(shape) if isinstance(shape, Iterable) else (operator.index(shape),)
        return self.draw(key, dims, dims, dtype, out_sharding)

    def draw(
        self,
        key: Any,
        shape: tuple[int, ...],
        final: tuple[int, ...],
        dtype: Dtype | None = None,
        out_sharding: Any = None,
    ) -> Array:
        """Draw for one shape and return the value in another of the same size."""
        wanted = self.dtype if dtype is None else dtype
        resolved = jax.dtypes.canonicalize_dtype(float if wanted is None else wanted)
        plan = None if out_sharding is not None else _planned(self, shape, resolved)
        if plan is None:
            value = _delegated(
                key,
                settings=(self.jax_name, self.arguments()),
                shape=shape,
                dtype=resolved,
                out_sharding=out_sharding,
            )
        else:
            value = _drawn(key, plan, shape, final, resolved)
        return value if value.shape == final else jnp.reshape(value, final)

    def plan(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> "Plan | None":
        """Return how to draw, or ``None`` to leave the draw to JAX."""
        return None

    def arguments(self) -> tuple[tuple[str, Any], ...]:
        """Return the configuration as arguments of JAX's initializer of the same name."""
        return tuple((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))

    @functools.cached_property
    def key(self) -> Hashable:
        """What equal initializers have in common; ``None`` for one that holds an array."""
        values = [value for _, value in self.arguments()]
        return None if any(map(is_array, values)) else static_key((type(self), *values))

    def _content(self) -> Hashable:
        """Return the key, or one with the arrays as they are now."""
        if self.key is not None:
            return self.key
        return type(self), tuple(_array_key(value) for _, value in self.arguments())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Initializer):
            return NotImplemented
        return self is other or self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        return written(self, self.jax_name)


@functools.lru_cache(maxsize=4096)
def _planned_before(
    initializer: Initializer, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Plan | None:
    return initializer.plan(shape, dtype)


def _planned(initializer: Initializer, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plan | None:
    """Return how to draw, worked out once for each initializer without arrays, shape and dtype."""
    return None if initializer.key is None else _planned_before(initializer, shape, dtype)


def is_array(value: Any) -> bool:
    """Return whether a value is an array or a tracer."""
    return isinstance(value, np.ndarray | jax.Array)


def _array_key(value: Any) -> Hashable:
    """Return a key of what an initializer holds: arrays by content, tracers by identity."""
    if not is_array(value) or isinstance(value, Tracer):
        return static_key(value)
    held = np.asarray(value)
    return str(held.dtype), held.shape, held.tobytes()


def written(initializer: Initializer, name: str, hidden: Sequence[str] = ()) -> str:
    """Write an initializer as the call that makes it."""
    given = ", ".join(
        f"{field.name}={getattr(initializer, field.name)!r}"
        for field in dataclasses.fields(initializer)
        if field.name not in hidden
        and static_key(getattr(initializer, field.name)) != static_key(field.default)
    )
    return f"{name}({given})"


@dataclasses.dataclass(eq=False)
class Flattened:
    """Draws a kernel of several input and output axes as a matrix, then shapes it.

    The first ``split`` axes are inputs and the others outputs, so that an initializer that looks at
    fans sees all of them. A boxed value, one that carries metadata, is shaped inside its box.

    Attributes:
        initializer: draws the matrix.
        split: how many axes come before the outputs; 0 draws a vector.

    >>> from linnet.ops.distributions import Normal
    >>> Flattened(Normal(), 1)(random.key(0), (4, 2, 3)).shape
    (4, 2, 3)
    """

    takes_deferred_key: ClassVar[bool] = True
    initializer: InitializerLike
    split: int

    def __call__(
        self, key: PRNGKey | DeferredKey, shape: Sequence[int], dtype: Dtype = jnp.float32
    ) -> Any:
        """Draw a value of a shape."""
        final = tuple(shape)
        outputs = math.prod(final[self.split :])
        flat = (math.prod(final[: self.split]), outputs) if self.split else (outputs,)
        if isinstance(self.initializer, Initializer):
            return self.initializer.draw(key, flat, final, dtype)
        drawn = self.initializer(drawn_key(key), flat, dtype)
        return jax.tree.map(lambda value: jnp.reshape(value, final), drawn)
