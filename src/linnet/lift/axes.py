"""Where an argument, or a group of variables, lies along the axis that a transformation maps.

An integer says along which axis, ``None`` that it is not mapped. In a scan a value that is the same
in every step is marked :data:`broadcast`: it is passed in once instead of being carried. ``In`` and
``Out`` restrict an axis to one direction: variables that only enter the transformation, or only
come out of it.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, final

import jax

from linnet.base.typing import Axis

T = TypeVar("T")


@final
class Broadcast:
    """The type of :data:`broadcast`."""

    def __repr__(self) -> str:
        return "broadcast"

    def __reduce__(self) -> str:
        return "broadcast"  # one object, also after a pickle or a copy


broadcast = Broadcast()


@dataclass(frozen=True)
class In(Generic[T]):
    """The axis of variables that enter a transformation and do not come out of it."""

    axis: T


@dataclass(frozen=True)
class Out(Generic[T]):
    """The axis of variables that come out of a transformation and do not enter it."""

    axis: T


ScanAxis: TypeAlias = int
InOutAxis: TypeAlias = Axis | In[Axis] | Out[Axis]
InOutScanAxis: TypeAlias = ScanAxis | In[ScanAxis] | Out[ScanAxis]


def spread(axes: Any, tree: Any) -> list[Any]:
    """Return the axis of each leaf of a tree.

    Args:
        axes: axes, a prefix of the tree; None counts as one.
        tree: the tree.

    >>> spread((0, None), ("a", {"b": "c", "d": "e"}))
    [0, None, None]
    """
    # None is a tree without leaves; wrapped it is a leaf
    marked = jax.tree.map(_Marked, axes, is_leaf=lambda axis: axis is None)
    return [mark.axis for mark in jax.tree.leaves(jax.tree.broadcast(marked, tree))]


@dataclass(frozen=True)
class _Marked:
    axis: Any
