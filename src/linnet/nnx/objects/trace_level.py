"""Levels of tracing: an update must not be written where it would die, nor lost in a copy.

Two mistakes are told here, each with the place of the variable.

*Writing outward.* A variable made outside a JAX transformation is set inside it. The value would be
a tracer that is dead when the transformation ends; :func:`refuse` raises.

*Writing to a copy.* A module passed to a plain ``jax.jit`` or ``jax.grad`` is a pytree to JAX,
which hands a copy of it in. Setting a variable of the copy is fine, if the copy comes out
again; if not, the update is lost. :func:`watch_copy` marks the variables of such copies, and a mark
that was written to and is thrown away, unread, warns.

A variable does not know where it stands in a model. Only when something is wrong is it looked for,
in the local variables of the running functions.
"""

import re
import sys
import warnings
from typing import Any

from linnet.base import errors
from linnet.base.jaxcompat import current_trace, is_tracing, trace_of
from linnet.nnx.objects.nodes import path_to


def refuse(variable: Any, what: str) -> None:
    """Raise the error of a change at another level than the variable's own.

    Raises:
        TraceContextError: always.
    """
    raise errors.TraceContextError(f"A function {what}", name_of(variable), type(variable).__name__)


class _Mark:
    """Follows a variable of a copy that JAX made: was it written, and then handed on?"""

    __slots__ = ("kind", "unread")

    def __init__(self) -> None:
        self.unread: str | None = None
        self.kind = ""

    def wrote(self, variable: Any) -> None:
        if self.unread is None:
            self.unread, self.kind = name_of(variable), type(variable).__name__

    def flattened(self, variable: Any) -> None:
        self.unread = None

    def __del__(self) -> None:
        if self.unread is not None and not sys.is_finalizing():
            warnings.warn(errors.LostUpdateWarning(self.unread, self.kind), stacklevel=2)


def watch_copy(variable: Any) -> None:
    """Mark a variable that JAX has just made of a tracer, as the copy of one outside."""
    if is_tracing() and trace_of(variable._raw_value) is current_trace():
        object.__setattr__(variable, "_lost", _Mark())


def forget_copy(variable: Any) -> None:
    """Take the mark off a variable whose updates are taken care of."""
    object.__setattr__(variable, "_lost", None)


# what notebooks call inputs and outputs: `_`, `_3`, `_i3`, `Out`
_OF_NOTEBOOKS = re.compile(r"_+|_i*\d*|_[dio]h|In|Out")


def name_of(variable: Any, otherwise: str = "a variable") -> str:
    """Say where something stands, as a running function sees it: ``model.layers[0].kernel``."""
    frame = sys._getframe(1)
    found = ""
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in {"linnet", "jax", "jaxlib"}:
            for name, value in list(frame.f_locals.items()):
                if _OF_NOTEBOOKS.fullmatch(name):
                    continue
                path = path_to(value, variable)
                if path is not None:
                    found = name + path
        frame = frame.f_back  # type: ignore[assignment]
    # the outermost function that sees it has the longest path, from the root of the model
    return found or otherwise
