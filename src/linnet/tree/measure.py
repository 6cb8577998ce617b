"""How much a tree holds: the number of its elements and the bytes they take.

Arrays count, and anything shaped like one (``jax.ShapeDtypeStruct``); Python numbers, strings and
other leaves do not.
"""

from dataclasses import dataclass
from typing import Any

import jax

_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))


@dataclass(frozen=True)
class TreeSize:
    """A number of elements and of bytes; sizes add up, and an empty one is false.

    >>> TreeSize(3, 12) + TreeSize(1, 2)
    TreeSize(count=4, bytes=14)
    >>> print(TreeSize(10_000, 12_345))
    10,000 (12.3 KB)
    """

    count: int = 0
    bytes: int = 0

    def __add__(self, other: "TreeSize") -> "TreeSize":
        return TreeSize(self.count + other.count, self.bytes + other.bytes)

    def __bool__(self) -> bool:
        return self.count != 0

    def __str__(self) -> str:
        return f"{self.count:,} ({bytes_text(self.bytes)})"


def size_of(tree: Any) -> TreeSize:
    """Measures a pytree of arrays, or of what has the shape and dtype of arrays.

    Args:
        tree: the pytree; a random key counts as one element.

    >>> size_of({"kernel": jax.ShapeDtypeStruct((4, 8), "bfloat16"), "name": "dense"})
    TreeSize(count=32, bytes=64)
    """
    arrays = [
        leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "size") and hasattr(leaf, "dtype")
    ]
    return sum((TreeSize(x.size, x.size * x.dtype.itemsize) for x in arrays), TreeSize())


def bytes_text(number: int) -> str:
    """Writes a number of bytes for people, in the largest unit of which it is more than one.

    Args:
        number: the number of bytes.

    >>> bytes_text(1_000), bytes_text(1_234), bytes_text(2_500_000)
    ('1,000 B', '1.2 KB', '2.5 MB')
    """
    for unit, name in _UNITS:
        if number > unit:
            return f"{number / unit:,.1f} {name}"
    return f"{number:,} B"
