"""The initializers, one class for each: what is drawn, at which scale.

``linnet.ops.drawing`` says what an initializer is and does the drawing, ``linnet.ops.initializers``
gives them their names.
"""

import dataclasses
import math
from typing import Any, ClassVar, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from linnet.base.jaxcompat import is_tracing, to_device
from linnet.base.typing import Array, Dtype
from linnet.ops.drawing import Initializer, Plan, is_array, written

Mode: TypeAlias = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Distribution: TypeAlias = Literal["truncated_normal", "normal", "uniform"]

# the deviation of a standard normal cut at -2 and 2
_CUT_DEVIATION = 0.87962566103423978
# above this many elements a constant is filled on the device rather than copied to it
_COPIED_AT_MOST = 1 << 20


def _is_real(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is floating point, with an infinity for the bounds of a normal number."""
    return jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize > 1


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Normal(Initializer):
    """``normal``."""

    jax_name: ClassVar[str] = "normal"
    stddev: Any = 1e-2

    def plan(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plan | None:
        """Scale a standard normal."""
        if not _is_real(dtype):
            return None
        return Plan(np.asarray(self.stddev, dtype))


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class TruncatedNormal(Initializer):
    """``truncated_normal``."""

    jax_name: ClassVar[str] = "truncated_normal"
    stddev: Any = 1e-2
    lower: Any = -2.0
    upper: Any = 2.0

    def plan(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plan | None:
        """Scale a standard normal, cut."""
        if not _is_real(dtype):
            return None
        return Plan(np.asarray(self.stddev, dtype), self.lower, self.upper)


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Uniform(Initializer):
    """``uniform``."""

    jax_name: ClassVar[str] = "uniform"
    scale: Any = 1e-2

    def plan(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plan | None:
        """Scale the unit interval."""
        if not _is_real(dtype):
            return None
        return Plan(np.asarray(self.scale, dtype), 0.0, 1.0, uniform=True)


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Orthogonal(Initializer):
    """``orthogonal``."""

    jax_name: ClassVar[str] = "orthogonal"
    scale: Any = 1.0
    column_axis: int = -1


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class DeltaOrthogonal(Orthogonal):
    """``delta_orthogonal``."""

    jax_name: ClassVar[str] = "delta_orthogonal"


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class VarianceScaling(Initializer):
    """``variance_scaling`` and those with a name of their own."""

    jax_name: ClassVar[str] = "variance_scaling"
    names: ClassVar[dict[tuple[float | None, str, str], str]] = {
        (1.0, "fan_avg", "truncated_normal"): "glorot_normal",
        (1.0, "fan_avg", "uniform"): "glorot_uniform",
        (2.0, "fan_in", "truncated_normal"): "he_normal",
        (2.0, "fan_in", "uniform"): "he_uniform",
        (1.0, "fan_in", "truncated_normal"): "lecun_normal",
        (1.0, "fan_in", "uniform"): "lecun_uniform",
    }
    scale: Any
    mode: Mode
    distribution: Distribution
    in_axis: int | tuple[int, ...] = -2
    out_axis: int | tuple[int, ...] = -1
    batch_axis: int | tuple[int, ...] = ()

    def plan(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Plan | None:
        """Scale so that the variance is ``scale / fan``."""
        known = self.mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
        if not _is_real(dtype) or not known or len(shape) < 2:
            return None
        if 0 in shape:  # nothing is drawn, and there may be no fan to divide by
            return Plan(np.asarray(1, dtype))
        variance = np.asarray(self.scale / self._fan(shape), dtype)
        match self.distribution:
            case "normal":
                return Plan(np.sqrt(variance))
            case "truncated_normal":
                factor = np.sqrt(variance) / np.asarray(_CUT_DEVIATION, dtype)
                return Plan(factor, -2.0, 2.0)
            case "uniform":
                factor = np.sqrt(np.asarray(3, dtype) * variance)
                return Plan(factor, -1.0, 1.0, uniform=True)
            case _:
                return None

    def _fan(self, shape: tuple[int, ...]) -> float:
        """Count how many inputs, outputs or both meet in one element of a kernel."""
        sizes = np.asarray(shape, dtype=object)

        def size(axes: int | tuple[int, ...]) -> int:
            return int(np.prod(sizes[list(axes) if isinstance(axes, tuple) else [axes]]))

        ins, outs = size(self.in_axis), size(self.out_axis)
        receptive = math.prod(shape) / ins / outs / size(self.batch_axis)
        fan_in, fan_out = ins * receptive, outs * receptive
        match self.mode:
            case "fan_in":
                return fan_in
            case "fan_out":
                return fan_out
            case "fan_avg":
                return (fan_in + fan_out) / 2
            case "fan_geo_avg":
                return (fan_in * fan_out) ** 0.5

    def __repr__(self) -> str:
        scale = None if is_array(self.scale) else self.scale
        own = self.names.get((scale, self.mode, self.distribution))
        if own is None:
            return written(self, self.jax_name)
        return written(self, own, hidden=("scale", "mode", "distribution"))


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Constant(Initializer):
    """``constant``, ``zeros`` and ``ones``."""

    jax_name: ClassVar[str] = "constant"
    value: Any = 0.0
    name: str = ""

    def draw(
        self,
        key: Any,
        shape: tuple[int, ...],
        final: tuple[int, ...],
        dtype: Dtype | None = None,
        out_sharding: Any = None,
    ) -> Array:
        """Fill the shape."""
        wanted = self.dtype if dtype is None else dtype
        resolved = jax.dtypes.canonicalize_dtype(float if wanted is None else wanted)
        shape = final if jnp.ndim(self.value) == 0 else shape
        if (
            is_tracing()
            or out_sharding is not None
            or not isinstance(self.value, int | float | np.ndarray | np.number)
            or not jax.sharding.get_abstract_mesh().empty
            or math.prod(shape) > _COPIED_AT_MOST
        ):
            value = jnp.full(shape, self.value, resolved, device=out_sharding)
        else:
            value = to_device(np.full(shape, self.value, resolved))
        return value if value.shape == final else jnp.reshape(value, final)

    def __repr__(self) -> str:
        dtype = "" if self.dtype is None else f", dtype={self.dtype!r}"
        return self.name or f"constant({self.value!r}{dtype})"
