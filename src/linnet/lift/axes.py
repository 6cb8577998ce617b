"""Where an argument, or a group of variables, lies along the axis that a transformation maps.

An integer says along which axis, ``None`` that it is not mapped. In a scan a value that is the same
in every step is marked :data:`broadcast`: it is passed in once instead of being carried.
"""

from typing import final


@final
class Broadcast:
    """The type of :data:`broadcast`."""

    def __repr__(self) -> str:
        return "broadcast"

    def __reduce__(self) -> str:
        return "broadcast"  # one object, also after a pickle or a copy


broadcast = Broadcast()
