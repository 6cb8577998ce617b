"""One program, two libraries: what it does under Flax and under Linnet must be the same.

A *program* is a function of the module namespace, ``flax.linen`` or ``linnet.linen``. It returns a
pytree, or raises. :func:`assert_same` runs it under both and compares: the structure of the result
including the order of keys, integers, strings and random keys exactly, floating-point values to a
tolerance; and, of an error, its class by name: where Flax raises a plain ``ValueError`` ours may be
finer, as long as whoever catches Flax's by name catches ours.
"""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np

import linnet.linen
from versions import DRAWN_ULP

FLAX, LINNET = flax.linen, linnet.linen


@dataclasses.dataclass
class Raised:
    """The class of an error, by name, and the classes that it derives from."""

    name: str
    bases: tuple[str, ...] = ()


def outcome(program: Any, nn: Any) -> Any:
    """Run a program under one library; an error is an outcome too."""
    try:
        with warnings.catch_warnings():
            if nn.__name__.startswith("flax"):
                # what Flax is about to change is not what is compared
                warnings.simplefilter("ignore")
            return program(nn)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        names = tuple(cls.__name__ for cls in type(error).__mro__)
        return Raised(names[0], names)


def assert_same(
    program: Any,
    *,
    tolerance: float = 1e-5,
    drawn: bool = False,
    floor: float = 0.01,
    libraries: tuple[Any, Any] = (FLAX, LINNET),
) -> Any:
    """Check that a program does the same under both libraries; return what it does under ours.

    Args:
        program: a function of the namespace.
        libraries: the two namespaces, Flax's first.
        tolerance: relative to the largest element of an array, or to `floor` if all are smaller:
            a difference that should vanish is as exact as what it is the difference of.
        floor: what a vanishing array is measured by.
        drawn: the values are initial parameters: compare them to `DRAWN_ULP`.
    """
    theirs, ours = (outcome(program, library) for library in libraries)
    compare(ours, theirs, tolerance=tolerance, drawn=drawn, floor=floor)
    return ours


def compare(
    ours: Any,
    theirs: Any,
    where: str = "",
    *,
    tolerance: float,
    drawn: bool,
    floor: float = 0.01,
) -> None:
    """Check that two results are the same; ``floor`` is what a vanishing array is measured by."""
    how = {"tolerance": tolerance, "drawn": drawn, "floor": floor}
    if isinstance(theirs, Mapping):
        assert isinstance(ours, Mapping), (where, ours, theirs)
        assert list(ours) == list(theirs), (where, list(ours), list(theirs))
        for key in theirs:
            compare(ours[key], theirs[key], f"{where}/{key}", **how)
    elif isinstance(theirs, list | tuple):
        assert type(ours) is type(theirs), (where, ours, theirs)
        assert len(ours) == len(theirs), (where, ours, theirs)
        for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            compare(one, other, f"{where}[{i}]", **how)
    elif isinstance(theirs, jax.Array | np.ndarray):
        _compare_arrays(ours, theirs, where, **how)
    elif hasattr(theirs, "names") and hasattr(theirs, "unbox"):
        assert ours.names == theirs.names, where
        compare(ours.value, theirs.value, where, **how)
    elif isinstance(theirs, Raised):
        assert isinstance(ours, Raised), (where, ours, theirs)
        assert theirs.name in ours.bases, (where, ours, theirs)
    else:
        assert ours == theirs, (where, ours, theirs)


def _compare_arrays(
    ours: Any, theirs: Any, where: str, *, tolerance: float, drawn: bool, floor: float
) -> None:
    assert ours.shape == theirs.shape, (where, ours.shape, theirs.shape)
    assert ours.dtype == theirs.dtype, (where, ours.dtype, theirs.dtype)
    if jnp.issubdtype(theirs.dtype, jax.dtypes.prng_key):
        ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
    if not jnp.issubdtype(theirs.dtype, jnp.inexact):
        np.testing.assert_array_equal(ours, theirs, err_msg=where)
    elif drawn and theirs.dtype == jnp.float32:
        np.testing.assert_array_max_ulp(np.asarray(ours), np.asarray(theirs), maxulp=DRAWN_ULP)
    else:
        one, other = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        finite = np.abs(other[np.isfinite(other)])
        scale = max(finite.max(), floor) if finite.size else 1.0
        np.testing.assert_allclose(
            one, other, rtol=tolerance, atol=tolerance * scale, err_msg=where
        )


def shapes(tree: Any) -> Any:
    """Replace the arrays of a tree by their shapes."""
    return jax.tree.map(jnp.shape, tree)
