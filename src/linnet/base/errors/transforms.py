"""Errors of state that crosses a JAX transformation, and of variables met at the wrong level."""

from collections.abc import Sequence
from typing import Any

from linnet.base.errors.words import LinnetError, LinnetWarning, listing, near, path_text


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


class VariableReplacedWarning(LinnetWarning):
    """An attribute that held a variable was set to an array."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(
            f"self.{name} held a {kind} and was set to an array. The variable is no longer part of "
            f"the model: no optimizer trains it, no filter finds it, and `self.{name}.value` fails "
            f"from now on. To set the value of the variable, write `self.{name}[...] = x` or "
            f"`self.{name}.value = x`; to replace it on purpose, `self.{name} = nnx.{kind}(x)`."
        )


class UnplacedVariableError(LinnetError, ValueError):
    """No group of a plan says how a variable crosses a transformation."""

    def __init__(self, path: Sequence[Any], kind: str, transform: str, filters: Any) -> None:
        super().__init__(
            f"{transform} does not know how {path_text(path)} ({kind}) crosses it: none of the "
            f"filters {listing(filters)} matches it. Say how it does, or add a last filter ... "
            "for all the rest."
        )


class BoundMethodError(LinnetError, TypeError, ValueError):
    """A transformation was applied to a method of an object, which would be no argument of it."""

    def __init__(self, transform: str, cls: str, method: str) -> None:
        super().__init__(
            f"nnx.{transform} does not support bound methods: {cls}.{method} was taken from an "
            "object, whose variables would be constants of the transformation, and updates to them "
            f"errors. Pass the object as an argument, `nnx.{transform}({cls}.{method})(obj, ...)`, "
            f"or decorate the method where it is defined, `@nnx.{transform}`."
        )


class UncarriedUpdateWarning(LinnetWarning):
    """A variable was updated in a transformation that hands it in, but not out."""

    def __init__(self, transform: str, name: str, kind: str) -> None:
        super().__init__(
            f"{name} ({kind}) was updated inside {transform}, which hands it to every step and "
            "takes nothing out: the update is lost. Let it cross in a way that carries it out, "
            f"nnx.StateAxes({{nnx.{kind}: nnx.Carry, ...: None}}), or do not update it there."
        )


class MappedUpdateError(LinnetError, ValueError):
    """A variable that is the same for all instances was set to a value that is not."""

    def __init__(self, transform: str, name: str, kind: str) -> None:
        super().__init__(
            f"{name} ({kind}) is not mapped by {transform}, it is the same for all instances, but "
            "was set to a value that differs between them. Give it an axis, "
            f"nnx.StateAxes({{nnx.{kind}: 0, ...: None}}), or reduce the value over the instances, "
            "with axis_name= and jax.lax.pmean for example."
        )


class StateMismatchError(LinnetError, ValueError):
    """A state was to be put into a model that it does not fit."""

    def __init__(
        self, model: str, wrong: Sequence[tuple[Sequence[Any], str]], known: Sequence[str]
    ) -> None:
        told: list[str] = []
        for path, problem in wrong:
            text = path_text(path)
            told.append(f"  {text}: {problem}.{near(text, known) if 'no such' in problem else ''}")
        super().__init__(
            f"nnx.update was given a state that does not fit {model}; nothing was changed.\n"
            + "\n".join(told)
            + "\nUpdate with a state of the same model, or take the entries above out of it."
        )


class ConflictingPlacementError(LinnetError, ValueError):
    """A variable that is reached twice would have to cross a transformation in two ways."""

    def __init__(self, transform: str, places: Sequence[tuple[str, Any]]) -> None:
        told = " and ".join(f"{path} with {placement!r}" for path, placement in places)
        super().__init__(
            f"In {transform}, one variable is reached at {told}. It is one variable and can cross "
            "in one way only. Give both places the same one, or copy the variable with nnx.clone."
        )


class CapturedResultError(LinnetError, ValueError):
    """A variable of the outside, that is no argument, comes out of a transformed function."""

    def __init__(self, transform: str, name: str, cls: type) -> None:
        super().__init__(
            f"{name} of a function under {transform} is a {cls.__name__} of the outside that is "
            "none of its arguments, so it has no axis. Pass the variable, or the model that holds "
            "it, as an argument; return nnx.clone of it for a copy in each instance."
        )


class VariableSortError(LinnetError, NotImplementedError):
    """Variables of a sort that Linnet does not have were asked for."""

    def __init__(self, what: str, hijax: Any, ref: Any) -> None:
        super().__init__(
            f"{what}(hijax={hijax}, ref={ref}) asks for variables whose values are JAX "
            "references. Variables are Python objects here; leave the arguments out."
        )
