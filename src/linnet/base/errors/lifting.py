"""Errors of functions and classes that are transformed: what they are, and how they are called."""

from collections.abc import Iterable, Sequence
from typing import Any

from linnet.base.errors.modules import CallCompactUnboundModuleError
from linnet.base.errors.variables import (
    InvalidRngError,
    ModifyScopeVariableError,
    ScopeCollectionNotFound,
    ScopeParamNotFoundError,
    ScopeVariableNotFoundError,
)
from linnet.base.errors.words import LinnetError, Retold, listing, near, short


class TransformTargetError(LinnetError, TypeError):
    """A transformation was applied to what it cannot transform."""

    def __init__(self, target: Any, transform: str = "", module_class: str = "") -> None:
        name = f"nn.{transform}" if transform else "A transformation"
        write = f"nn.{transform or 'jit'}"
        if module_class:
            why = f"{module_class}(...), which is a module, an object of a module class"
            cure = (
                f"Transform the class and then make an object of it, "
                f"`{write}({module_class})(...)`, or transform a function of the module, "
                f"`{write}(lambda module, x: module(x))(module, x)`."
            )
        else:
            why = f"{short(target)} ({type(target).__name__})"
            cure = (
                f"Apply it to a class, `{write}(nn.Dense)(features=3)`, to a method where it is "
                f"defined, `@{write}` above `def __call__(self, x)`, or to a function whose first "
                f"argument is a module, `{write}(lambda module, x: ...)(module, x)`."
            )
        super().__init__(f"{name} was applied to {why}. {cure}")


class TransformedMethodReturnValueError(LinnetError):
    """A transformed function returned a module or a variable."""

    def __init__(self, value: Any) -> None:
        kind = type(value).__name__
        super().__init__(
            f"A transformed function returned a {kind}, which belongs to the inside of the "
            "transformation and is of no use outside: only values come out. Return what it "
            "computes, `module(x)` or `variable.value`, and create the module outside, passing it "
            "to the function as an argument."
        )


class LiftedArgumentError(LinnetError, TypeError):
    """A transformed function was called without a bound module."""

    def __init__(self, transform: str, function: str, given: str) -> None:
        super().__init__(
            f"nn.{transform}({function}) was called with {given} as its first argument, where a "
            "bound module is expected: the transformation carries the variables of that module. "
            f"Call it inside a method as `nn.{transform}({function})(self, ...)`; from outside, "
            f"through apply: `model.apply(variables, ..., method=...)`."
        )


class UnboundTransformedError(CallCompactUnboundModuleError):
    """A module of a transformed class was called without variables."""

    def __init__(self, cls: str, method: str, transform: str) -> None:
        call = "" if method == "__call__" else f", method={method!r}"
        LinnetError.__init__(
            self,
            f"{cls}.{method} was called on a module that is not bound: it has no variables that "
            f"nn.{transform} could carry. Write `variables = module.init(key, ...{call})` and "
            f"`module.apply(variables, ...{call})`, or create the module inside a method of "
            "another one.",
        )


class NoSuchMethodError(LinnetError, AttributeError):
    """A method was to be transformed that the class does not have."""

    def __init__(self, transform: str, method: str, cls: type) -> None:
        known = [key for key in dir(cls) if not key.startswith("_")]
        super().__init__(
            f"nn.{transform} was to transform method {method!r} of {cls.__name__}, which has none."
            f"{near(method, known)} Name its methods: "
            f"`nn.{transform}({cls.__name__}, ..., methods=['encode'])`."
        )


class IgnoredKeywordsWarning(Retold, RuntimeWarning):
    """Keyword arguments were passed to a transformation that has no axes for them."""

    def __init__(self, transform: str, kwargs: Iterable[str]) -> None:
        super().__init__(
            f"{transform} has no axes for keyword arguments, so {', '.join(kwargs)} is not passed "
            "on. Pass it by position, with an axis in in_axes (None, or nn.broadcast in a scan, "
            "for what is not mapped), or make it a field of the module."
        )


class StaticArgumentError(LinnetError, ValueError):
    """An argument that was said to be static has a value without a hash."""

    def __init__(self, transform: str, name: int | str, value: Any) -> None:
        which = f"number {name}" if isinstance(name, int) else repr(name)
        super().__init__(
            f"{transform} was told that argument {which} is static, so that its value is part of "
            f"what is compiled, but it was called with {short(value)}, a {type(value).__name__}, "
            "which has no hash. Pass a value that has one, such as a tuple in place of a list or "
            "array; or leave the argument out of the static ones."
        )


class ReduceAxesError(LinnetError, NotImplementedError):
    """A gradient was to be reduced over axes."""

    def __init__(self, reduce_axes: Any) -> None:
        super().__init__(
            f"reduce_axes={reduce_axes!r} was given; JAX no longer has it. Sum the gradients with "
            "jax.lax.psum."
        )


class ArgumentNumberError(LinnetError, ValueError, TypeError):
    """An argument to differentiate was not given."""

    def __init__(self, number: int, count: int) -> None:
        super().__init__(
            f"argnums={number} names an argument that was not given: the function was called with "
            f"{count} positional arguments, numbered from 0."
        )


class WholeArgumentError(LinnetError, ValueError):
    """A filter says what to differentiate by, in a mode that differentiates by everything."""

    def __init__(self, by: Any) -> None:
        super().__init__(
            f"nnx.grad was given argnums={by!r} with graph=False or graph_updates=False. In these "
            "modes gradients have the form of the argument and are taken by all of it. Leave the "
            "mode out, or split the argument: "
            "`graphdef, params, rest = nnx.split(model, nnx.Param, ...)`."
        )


class UnknownArgumentError(LinnetError, ValueError):
    """An option names an argument that the function does not have."""

    def __init__(self, option: str, name: int | str, function: str, names: Sequence[str]) -> None:
        super().__init__(
            f"{option} names {name!r}, but {function} has no such argument: it takes "
            f"{listing(names) if names else 'none'}, numbered from 0. Name one of these."
        )


class AuxiliaryResultError(LinnetError, TypeError, ValueError):
    """A function with another output returned no pair."""

    def __init__(self, transform: str, result: Any) -> None:
        size = f" of {len(result)}" if isinstance(result, tuple | list) else ""
        super().__init__(
            f"{transform} was told has_aux=True, so the function has to return two things, the "
            f"value and the other output, but it returned a {type(result).__name__}{size}. Write "
            "`return value, other`, or leave has_aux out."
        )


class AxesError(LinnetError, ValueError):
    """The axes of a transformation do not fit its arguments or one another."""

    @classmethod
    def count(cls, transform: str, axes: Any, given: int) -> "AxesError":
        """Return the error of another number of axes than of arguments."""
        return cls(
            f"{transform} was told {len(axes)} axes, in_axes={tuple(axes)!r}, and called with "
            f"{given} positional arguments. Give one axis for each argument."
        )

    @classmethod
    def carries(cls, axes: Any, count: int) -> "AxesError":
        """Return the error of several carries."""
        return cls(
            f"nnx.scan was given {count} carries, {tuple(axes)!r}; there is one. Carry a tuple of "
            "what has to be carried."
        )

    @classmethod
    def one_sided(cls, in_axes: Any, out_axes: Any) -> "AxesError":
        """Return the error of a carry that starts nowhere, or that no step hands on."""
        return cls(
            f"nnx.scan has a Carry in one of in_axes={in_axes!r} and out_axes={out_axes!r} only: "
            "what is carried over has to start somewhere, and each step has to hand it on. Say "
            "nnx.Carry in both, or in neither."
        )

    @classmethod
    def outputs(cls, count: int, result: Any) -> "AxesError":
        """Return the error of another number of results than of axes for them."""
        return cls(
            f"A step of nnx.scan has to return {count} values, as out_axes says, but returned a "
            f"{type(result).__name__}."
        )


class AxisSizeError(LinnetError, ValueError):
    """What a transformation maps along one axis has different sizes there, or none."""

    def __init__(self, transform: str, sizes: Sequence[tuple[str, int]], option: str) -> None:
        if not sizes:
            super().__init__(
                f"{transform} maps nothing that has an axis, so its size has to be said: neither "
                "an argument nor a variable is mapped. The size should be specified manually, "
                f"`{option}=...`."
            )
            return
        counted: dict[int, list[str]] = {}
        for what, size in sizes:
            counted.setdefault(size, []).append(what)
        told = "; ".join(
            f"{size} in {', '.join(names[:4])}{' and others' if len(names) > 4 else ''}"
            for size, names in counted.items()
        )
        super().__init__(
            f"{transform} maps along one axis, but the sizes of that axis differ: {told}. Pass "
            "arguments of one size, with the axis that in_axes names, and variables made for that "
            "size."
        )


class CarryStructureError(LinnetError, TypeError, ValueError):
    """The carry that a loop body returns is not like the one that it was given."""

    def __init__(self, transform: str, differences: Sequence[str]) -> None:
        super().__init__(
            f"The body of {transform} returned a carry unlike the one it was given, and a loop "
            f"can only carry values that keep their structure, shapes and dtypes:\n  "
            + "\n  ".join(differences)
            + "\nReturn a carry like the first one, or begin with one like the result, for "
            "instance with `.astype` or `jnp.broadcast_to`. A variable that is carried has to "
            "exist before the loop: declare it outside, or place its collection along an axis."
        )


class ScanResultError(LinnetError, TypeError):
    """The body of a scan did not return a carry and an output."""

    def __init__(self, transform: str, given: str) -> None:
        super().__init__(
            f"The body of {transform} returned {given}, where a pair is expected: the carry for "
            "the next step and the output of this one. Write `return carry, y`, or "
            "`return carry, None` where there is no output."
        )


class ScanArgumentError(LinnetError, TypeError):
    """A scanned function was called without a carry."""

    def __init__(self, transform: str) -> None:
        super().__init__(
            f"What {transform} made was called without arguments, but a loop begins with a carry. "
            "Write `scanned(carry, xs)`, or `scanned(None, xs)` where nothing is carried."
        )


class LoopDependenceError(LinnetError, ValueError):
    """A value that is to be the same in all steps of a loop depends on the step."""

    def __init__(self, transform: str, names: Sequence[str]) -> None:
        super().__init__(
            f"{transform} was told that {listing(names)} is the same in all steps, but it has a "
            "data dependency on the scan body: it is computed from the carry, from an input that "
            "is scanned over, or from a key that is split among the steps. Stack it, with an axis "
            "in variable_axes or out_axes; carry it, with variable_carry; or make it from what all "
            "steps share, for instance with `split_rngs={'params': False}`."
        )


def left_outside(transform: str, collections: Any, streams: Any, advice: str) -> str:
    """Say what crosses a transformation, to who misses something inside."""
    return (
        f"Inside {transform} there is only what it was told to carry: the collections "
        f"{collections!r} and the random streams {streams!r}. For others, say how they cross: "
        f"{advice}."
    )


MISSING_INSIDE = (
    InvalidRngError,
    ModifyScopeVariableError,
    ScopeCollectionNotFound,
    ScopeParamNotFoundError,
    ScopeVariableNotFoundError,
)
"""What is raised where something was not carried into a transformation."""
