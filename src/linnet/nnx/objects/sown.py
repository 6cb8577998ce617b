"""Where values that modules sow go while something is captured.

While a function runs under ``nnx.capture``, every module that it got knows where the values of the
types asked for go: not to its attributes, but to a dictionary beside it. Captures run in a context:
what one thread captures, no other one sees.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

NOT_ASKED_FOR: Any = object()
"""What :func:`place_for` returns for a type that is captured by nobody, while something is."""


class Capture:
    """One running capture: which types, and for each module of it the values by name."""

    def __init__(self, types: tuple[Any, ...], outputs: Any) -> None:
        self.types = types
        self.outputs = outputs
        self.places: dict[int, tuple[Any, dict[str, Any]]] = {}

    def add(self, module: Any, kept: dict[str, Any]) -> None:
        """Capture what a module sows, on top of what is kept of it already."""
        self.places[id(module)] = (module, kept)

    def kept(self, module: Any) -> dict[str, Any]:
        """Return the values of a module of this capture, by name."""
        return self.places[id(module)][1]

    def place(self, module: Any) -> dict[str, Any] | None:
        """Return the values of a module, by name; ``None`` if it is none of this capture's."""
        found = self.places.get(id(module))
        return found[1] if found else None


running_captures: ContextVar[tuple[Capture, ...]] = ContextVar("running_captures", default=())


@contextmanager
def running(*captures: Capture) -> Generator[None, None, None]:
    """Have captures run, inside those that do already."""
    token = running_captures.set((*running_captures.get(), *captures))
    try:
        yield
    finally:
        running_captures.reset(token)


def place_for(module: Any, kind: Any) -> Any:
    """Return where values of a kind that a module sows go.

    Returns:
        A dictionary; ``None`` if nothing is captured here, so that they go to the module;
        ``NOT_ASKED_FOR`` if something is, but not this kind.
    """
    for each in reversed(running_captures.get()):
        place = each.place(module)
        if place is not None:
            return place if kind in each.types else NOT_ASKED_FOR
    return None


def record(module: Any, name: str, result: Any) -> None:
    """Keep the result of a method for the captures that ask for such."""
    for capture in running_captures.get():
        place = capture.place(module) if capture.outputs else None
        if place is not None:
            before = place[name]._raw_value if name in place else ()
            place[name] = capture.outputs.from_metadata((*before, result), {})
