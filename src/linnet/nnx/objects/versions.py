"""When the structure of an object graph has changed.

Flattening a model costs time in the size of the model, so it is done once and remembered (see
``graph/layout.py``). What is remembered is good until something structural happens to one of the
objects: an attribute set, an item appended, metadata changed. Every such change raises the version
of the object it happens to, and one clock for all. Nobody has to look at the versions while the
clock stands still.

Objects that nobody has flattened yet have version 0 and change silently, so that building a model
moves no clock.
"""

from typing import Any


class Clock:
    """Counts the structural changes to objects that somebody has flattened."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now = 0


clock = Clock()


def note_change(thing: Any) -> None:
    """Say that the structure of an object or variable has changed."""
    if thing._version:
        object.__setattr__(thing, "_version", thing._version + 1)
        clock.now += 1
