"""The operators of variables: those of their values.

Operators in place are refused: ``v += 1`` would rebind the name from the variable to an array.
"""

import operator
from collections.abc import Callable
from typing import Any

_BINARY = (
    *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow"),
    *("lshift", "rshift", "and", "xor", "or"),
)
_UNARY = ("neg", "pos", "abs", "invert", "complex", "int", "float", "index")
_WITH_ARGUMENTS = ("round", "trunc", "floor", "ceil", "format")
_COMPARING = ("lt", "le", "eq", "ne", "gt", "ge")


def install_operators(cls: Any) -> None:
    """Give a class of variables the operators of their values."""

    def plain(value: Any) -> Any:
        return value.get_value() if isinstance(value, cls) else value

    def binary(function: Callable[[Any, Any], Any], *, swapped: bool) -> Callable[..., Any]:
        if swapped:
            return lambda self, other: function(plain(other), self.get_value())
        return lambda self, other: function(self.get_value(), plain(other))

    def named(name: str) -> Callable[..., Any]:
        return lambda self, *args: getattr(self.get_value(), name)(*args)

    def refused(symbol: str) -> Callable[..., Any]:
        def in_place(self: Any, other: Any) -> Any:
            raise NotImplementedError(
                f"`variable {symbol} x` was written for a {type(self).__name__}. The name before "
                "the operator would be rebound from the variable to an array, and the model would "
                f"lose it. Write `variable[...] {symbol} x` or `variable.value {symbol} x`."
            )

        return in_place

    symbols = dict(
        zip(
            _BINARY,
            ["+=", "-=", "*=", "@=", "/=", "//=", "%=", "", "**=", "<<=", ">>=", "&=", "^=", "|="],
            strict=True,
        )
    )
    for name in _BINARY:
        known = {"and": "and_", "or": "or_"}.get(name, name)
        function = divmod if name == "divmod" else getattr(operator, known)
        setattr(cls, f"__{name}__", binary(function, swapped=False))
        setattr(cls, f"__r{name}__", binary(function, swapped=True))
        if symbols[name]:
            setattr(cls, f"__i{name}__", refused(symbols[name]))
    for name in _COMPARING:
        setattr(cls, f"__{name}__", binary(getattr(operator, name), swapped=False))
    for name in (*_UNARY, *_WITH_ARGUMENTS):
        setattr(cls, f"__{name}__", named(f"__{name}__"))
    # equality is that of the values, element by element, so a variable cannot be a dictionary key
    cls.__hash__ = None
