"""How two results are compared: structure and kinds exactly, real numbers to a tolerance.

There is one way to compare two arrays, :func:`compare_arrays`. :func:`compare` takes it through
what programs return, :func:`assert_close` through trees of arrays, each by the tolerance of its
dtype.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from versions import DRAWN_ULP

# relative to the largest element: float32 as the design asks; bfloat16 has 8 bits, and a layer
# rounds a handful of times
TOLERANCE = {"float32": 1e-5, "bfloat16": 3e-2, "float16": 4e-3, "complex64": 1e-5}


@dataclasses.dataclass
class Raised:
    """The class of an error, by name, and the classes that it derives from."""

    name: str
    bases: tuple[str, ...] = ()


def compare(
    ours: Any,
    theirs: Any,
    where: str = "",
    *,
    tolerance: float,
    drawn: bool = False,
    floor: float = 0.01,
    floors: Mapping[str, float] = {},
) -> None:
    """Check that what two programs did is the same.

    Mappings have the same keys in the same order, boxes the same names, an error of ours is of the
    class of Flax's, by name, or derives from it. Everything else but arrays is equal.

    Args:
        ours: what Linnet gave.
        theirs: what Flax gave.
        where: the place, for the message.
        tolerance: relative to the largest element of an array.
        drawn: the values are initial parameters: compare them to `DRAWN_ULP`.
        floor: where all elements are smaller than this, the tolerance is relative to it: a
            difference that should vanish is as exact as what it is the difference of.
        floors: the floor of what stands under a key of a mapping, where it is another one.
    """
    how = {"tolerance": tolerance, "drawn": drawn, "floor": floor, "floors": floors}
    if isinstance(theirs, Mapping):
        assert isinstance(ours, Mapping), (where, ours, theirs)
        assert list(ours) == list(theirs), (where, list(ours), list(theirs))
        for key in theirs:
            here = how | {"floor": floors.get(key, floor)}
            compare(ours[key], theirs[key], f"{where}/{key}", **here)
    elif isinstance(theirs, list | tuple):
        assert type(ours) is type(theirs), (where, ours, theirs)
        assert len(ours) == len(theirs), (where, ours, theirs)
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            compare(one, other, f"{where}[{i}]", **how)
    elif isinstance(theirs, jax.Array | np.ndarray):
        ulp = DRAWN_ULP if drawn else None
        compare_arrays(ours, theirs, where, tolerance=tolerance, ulp=ulp, floor=floor)
    elif hasattr(theirs, "names") and hasattr(theirs, "unbox"):
        assert ours.names == theirs.names, where
        compare(ours.value, theirs.value, where, **how)
    elif isinstance(theirs, Raised):
        assert isinstance(ours, Raised), (where, ours, theirs)
        assert theirs.name in ours.bases, (where, ours, theirs)
    else:
        assert ours == theirs, (where, ours, theirs)


def compare_arrays(
    ours: Any,
    theirs: Any,
    where: str = "",
    *,
    tolerance: float,
    ulp: int | None = None,
    floor: float = 0.0,
) -> None:
    """Check two arrays: shape, dtype, keys and integers exactly, real numbers to a tolerance.

    Args:
        ours: the array of Linnet.
        theirs: the array of Flax.
        where: the place, for the message.
        tolerance: relative to the largest element.
        ulp: compare float32 by units in the last place instead; 0 is bit for bit.
        floor: as in `compare`.
    """
    assert ours.shape == theirs.shape, (where, ours.shape, theirs.shape)
    assert ours.dtype == theirs.dtype, (where, ours.dtype, theirs.dtype)
    if jnp.issubdtype(theirs.dtype, jax.dtypes.prng_key):
        ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
    if not jnp.issubdtype(theirs.dtype, jnp.inexact):
        np.testing.assert_array_equal(ours, theirs, err_msg=where)
        return
    if ulp is not None and theirs.dtype == jnp.float32:
        np.testing.assert_array_max_ulp(np.asarray(ours), np.asarray(theirs), maxulp=ulp)
        return
    wide = np.complex128 if jnp.iscomplexobj(theirs) else np.float64
    one, other = np.asarray(ours).astype(wide), np.asarray(theirs).astype(wide)
    finite = np.abs(other[np.isfinite(other)])
    scale = max(finite.max(), floor) if finite.size else 1.0
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale, err_msg=where)


def assert_close(ours: Any, theirs: Any, computed_in: Any = None) -> None:
    """Check that two trees of arrays agree in structure, shape, dtype and value.

    Each array is compared by the tolerance of its dtype. What was computed in a narrow dtype is
    compared by that dtype's tolerance, whatever dtype the result has: within one compiled function
    XLA may keep more bits than were asked for.
    """
    ours, theirs = (jax.tree.map(jnp.asarray, tree) for tree in (ours, theirs))
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        names = [other.dtype.name] + ([] if computed_in is None else [jnp.dtype(computed_in).name])
        real = jnp.issubdtype(other.dtype, jnp.inexact)
        tolerance = max(TOLERANCE[name] for name in names) if real else 0.0
        compare_arrays(one, other, tolerance=tolerance)
