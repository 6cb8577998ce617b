"""Errors of state that crosses a JAX transformation, and of variables met at the wrong level."""

from collections.abc import Sequence
from typing import Any

from linnet.base.errors.words import LinnetError, LinnetWarning, listing, path_text


class TraceContextError(LinnetError):
    """A variable was changed at another level of tracing than the one it was made at."""

    def __init__(self, what: str, name: str, kind: str) -> None:
        super().__init__(
            f"{what} {name} ({kind}) inside a JAX transformation that did not receive it as an "
            "argument: the variable belongs to the level outside, and the new value would be a "
            "tracer that is dead when the transformation ends. Pass the module to the transformed "
            "function as an argument, and use the transformation of Linnet, which carries updates "
            "out: `nnx.jit(step)(model, x)` in place of `jax.jit(lambda x: step(model, x))(x)`; or "
            "return the new value and set the variable outside."
        )


class LostUpdateWarning(LinnetWarning):
    """A module was changed inside a plain JAX transformation, and the change goes nowhere."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(
            f"{name} ({kind}) was updated inside a plain JAX transformation, which works on a copy "
            "of the module, and the copy is not returned: the update is lost. Use the "
            "transformation of Linnet, which carries updates out (`nnx.jit` for `jax.jit`, "
            "`nnx.value_and_grad` for `jax.value_and_grad`), or return the module and go on with "
            "what is returned."
        )


class UnplacedVariableError(LinnetError, ValueError):
    """No group of a plan says how a variable crosses a transformation."""

    def __init__(self, path: Sequence[Any], kind: str, transform: str, filters: Any) -> None:
        super().__init__(
            f"{transform} does not know how {path_text(path)} ({kind}) crosses it: none of the "
            f"filters {listing(filters)} matches it. Say how it does, or add a last filter ... "
            "for all the rest."
        )


class ConflictingPlacementError(LinnetError, ValueError):
    """A variable that is reached twice would have to cross a transformation in two ways."""

    def __init__(self, transform: str, places: Sequence[tuple[str, Any]]) -> None:
        told = " and ".join(f"{path} with {placement!r}" for path, placement in places)
        super().__init__(
            f"In {transform}, one variable is reached at {told}. It is one variable and can cross "
            "in one way only. Give both places the same one, or copy the variable with nnx.clone."
        )


__all__ = [
    "ConflictingPlacementError",
    "LostUpdateWarning",
    "TraceContextError",
    "UnplacedVariableError",
]
