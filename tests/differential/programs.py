"""One program, two libraries: what it does under Flax and under Linnet must be the same.

A *program* is a function of a module namespace, as ``flax.linen`` and ``linnet.linen``. It returns
a pytree, or raises. ``differential.linen`` and ``differential.nnx`` know their namespaces.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from differential.compare import Raised, compare


def outcome(program: Any, library: Any) -> Any:
    """Run a program under one library; an error is an outcome too."""
    try:
        with warnings.catch_warnings():
            if library.__name__.startswith("flax"):
                # what Flax is about to change is not what is compared
                warnings.simplefilter("ignore")
            return program(library)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        names = tuple(cls.__name__ for cls in type(error).__mro__)
        return Raised(names[0], names)


def assert_same(
    program: Any,
    *,
    libraries: tuple[Any, Any],
    tolerance: float = 1e-5,
    drawn: bool = False,
    floor: float = 0.01,
    floors: Mapping[str, float] = {},
) -> Any:
    """Check that a program does the same under both libraries; return what it does under ours.

    Where Flax raises a plain ``ValueError`` our error may be finer, as long as whoever catches
    Flax's by name catches ours.

    Args:
        program: a function of the namespace.
        libraries: the two namespaces, Flax's first.
        tolerance: as in `compare`.
        drawn: as in `compare`.
        floor: as in `compare`.
        floors: as in `compare`.
    """
    theirs, ours = (outcome(program, library) for library in libraries)
    compare(ours, theirs, tolerance=tolerance, drawn=drawn, floor=floor, floors=floors)
    return ours


def assert_same_text(program: Any, *, libraries: tuple[Any, Any]) -> None:
    """Check that a program prints the same under both libraries, or raises the very same class."""

    def text(library: Any) -> Any:
        try:
            return repr(program(library))
        except Exception as error:  # noqa: BLE001 - which class it is, is the result
            return type(error)

    theirs, ours = (text(library) for library in libraries)
    assert ours == theirs
