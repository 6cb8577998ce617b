"""What a running model knows of itself: the modules being called, and each one's progress.

Which module is a submodule of which follows from where it is created: the module whose method runs
is the parent. The stack of running modules is kept here, one for each thread, together with the
interceptors that are registered (see ``methods.py``).
"""

import enum
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


class _Unset:
    """The default of ``parent``: the module whose method is running."""

    def __repr__(self) -> str:
        return "<the module being called>"

    def __reduce__(self) -> str:
        return "UNSET"  # one object, also after a pickle or a copy


UNSET: Any = _Unset()


class Phase(enum.Enum):
    """How far ``setup`` of a bound module has come."""

    NEW = enum.auto()
    RUNNING = enum.auto()
    DONE = enum.auto()


class ModuleState:
    """What a module keeps besides its fields, from its creation on.

    Attributes:
        phase: how far ``setup`` has come.
        in_setup: whether ``setup`` is running.
        in_compact: the name of the outermost compact method that is running, or "".
        autonames: class name → how many submodules the running compact method has named so.
        reserved: the names that the running compact method has used up.
        made: automatic name → the compact method that made it.
        children: name → submodule, in order of creation.
    """

    __slots__ = ("autonames", "children", "in_compact", "in_setup", "made", "phase", "reserved")

    def __init__(self) -> None:
        self.phase = Phase.NEW
        self.in_setup = False
        self.in_compact = ""
        self.autonames: dict[str, int] = {}
        self.reserved: list[tuple[str, str | None]] = []
        self.made: dict[str, str] = {}
        self.children: dict[str, Any] = {}

    def progress(self) -> tuple[Any, ...]:
        """Return how far the running compact method has come, hashable; see :meth:`resume`."""
        return self.in_compact, tuple(self.autonames.items()), tuple(self.made.items())

    def resume(self, progress: tuple[Any, ...]) -> None:
        """Come as far as another module of the same class and path."""
        self.in_compact, self.autonames, self.made = progress[0], *map(dict, progress[1:])

    @property
    def in_compact_method(self) -> bool:
        """Whether a compact method is running."""
        return bool(self.in_compact)


class Context(threading.local):
    """The running modules of a thread, innermost last, and its interceptors, outermost first."""

    def __init__(self) -> None:
        self.module_stack: list[Any] = [None]
        self.method_stack: list[str] = [""]
        self.interceptors: tuple[Any, ...] = ()

    def __reduce__(self) -> str:
        return "context"  # a class pickled by value takes its methods along, which refer to this

    @contextmanager
    def running(self, module: Any, method: str) -> Generator[None, None, None]:
        """Have a method of a module be the one that is running, for a ``with`` block."""
        self.module_stack.append(module)
        self.method_stack.append(method)
        try:
            yield
        finally:
            self.module_stack.pop()
            self.method_stack.pop()

    def methods_of(self, module: Any) -> list[str]:
        """Return the names of the running methods of a module, innermost last."""
        running = zip(self.module_stack, self.method_stack, strict=True)
        return [method for other, method in running if other is module]


context = Context()
