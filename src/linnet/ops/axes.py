"""How an axis is spelled: one integer or several, counted from either end."""

import operator
from collections.abc import Iterable, Sequence
from typing import Any


def as_tuple(value: int | Iterable[int]) -> tuple[int, ...]:
    """Return one integer or several as a tuple.

    >>> as_tuple(3), as_tuple([1, 2])
    ((3,), (1, 2))
    """
    if type(value) is int:  # the common case, and an abstract base class is slow to ask
        return (value,)
    if isinstance(value, Iterable):
        return tuple(operator.index(item) for item in value)
    return (operator.index(value),)


def from_front(axes: int | Iterable[int], rank: int) -> tuple[int, ...]:
    """Count axes from the front of an array of ``rank`` axes, and put them in order.

    Raises:
        ValueError: the array has no such axis.

    >>> from_front((-1, 0), 3)
    (0, 2)
    """
    given = as_tuple(axes)
    for axis in given:
        if not -rank <= axis < rank:
            raise ValueError(
                f"Axis {axis} of axes {given} does not exist in an array with {rank} axes; write "
                f"axes between {-rank} and {rank - 1}."
            )
    return tuple(sorted(axis % rank for axis in given))


def per_axis(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """Spread a setting over ``rank`` spatial axes: ``None`` is 1, one integer is for all.

    Raises:
        ValueError: a sequence of another length.

    >>> per_axis(None, 2, "strides"), per_axis(3, 2, "strides"), per_axis([1, 2], 2, "strides")
    ((1, 1), (3, 3), (1, 2))
    """
    if value is None:
        return (1,) * rank
    if not isinstance(value, Sequence):
        return (operator.index(value),) * rank
    given = as_tuple(value)
    if len(given) != rank:
        raise ValueError(
            f"{name}={given} has {len(given)} entries, but there are {rank} spatial axes; give one "
            "integer for all of them, or one for each."
        )
    return given
