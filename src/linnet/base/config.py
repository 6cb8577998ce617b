"""Flags that change how the library behaves, each with an environment variable of its name.

A flag has a name, a default and a help text. Its first value is that of the environment variable
of the same name in capitals, where there is one. From then on it is an attribute of ``config``,
plain to read (the hot paths read some of them on every call) and changed only by
``config.update``, so that a misspelt flag is an error and not a new attribute.

To add a flag, write one more ``bool_flag`` or ``int_flag`` at the end of this file.
"""

import functools
import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from linnet.base.typing import MISSING

T = TypeVar("T")

_PREFIX = "flax_"
_TRUE = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "n", "no", "off"})


class Config:
    """The flags and their values: read as attributes, changed with ``update``.

    >>> config.flax_return_frozendict
    False
    >>> with config.temp_flip_flag("return_frozendict", True):
    ...     config.flax_return_frozendict
    True
    """

    # Values are ordinary instance attributes: a property, or a `__getattr__` for the misspelt,
    # would cost several times as much on each read.
    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(
            f"config.{name} cannot be assigned to; write config.update({name!r}, {value!r})"
        )

    def update(self, name_or_holder: "str | FlagHolder[Any]", value: Any, /) -> None:
        """Gives a flag a new value, for the whole process.

        Args:
            name_or_holder: the name of the flag, or the holder that ``bool_flag`` returned.
            value: its new value.

        Raises:
            LookupError: there is no such flag.
            TypeError: the value is not of the flag's type.
        """
        name = name_or_holder.name if isinstance(name_or_holder, FlagHolder) else name_or_holder
        flag = _FLAGS.get(name)
        if flag is None:
            raise LookupError(_unknown_flag(name, _FLAGS))
        object.__setattr__(self, name, flag.checked(value))

    @contextmanager
    def temp_flip_flag(self, var_name: str, var_value: Any) -> Generator[None, None, None]:
        """Gives a flag another value for the length of a ``with`` block.

        Args:
            var_name: the name of the flag; its prefix ``flax_`` may be left out.
            var_value: its value inside the block.

        Raises:
            LookupError: there is no such flag.
        """
        name = var_name if var_name in _FLAGS else f"{_PREFIX}{var_name}"
        before = getattr(self, name, None)
        self.update(name, var_value)
        try:
            yield
        finally:
            self.update(name, before)

    def __repr__(self) -> str:
        lines = [f"  {name}={getattr(self, name)!r},\n" for name in _FLAGS]
        return f"Config(\n{''.join(lines)})"


class FlagHolder(Generic[T]):
    """A flag: its name, what it does, and its present value."""

    def __init__(self, name: str, help: str, *, kind: type = bool, optional: bool = False) -> None:  # noqa: A002 - Flax's name
        self.name = name
        self.__name__ = name.removeprefix(_PREFIX)
        self.__doc__ = f"Flag `{name}`: {help}"
        self._kind = kind
        self._optional = optional

    @property
    def value(self) -> T:
        """The present value of the flag."""
        return getattr(config, self.name)

    def checked(self, value: Any) -> Any:
        """Returns a value for this flag as the type it has.

        Raises:
            TypeError: the value is of another type.
        """
        if (value is None and self._optional) or isinstance(value, self._kind):
            return value
        if self._kind is bool and value in (0, 1):
            return bool(value)
        raise TypeError(
            f"the flag {self.name} takes {self._kind.__name__}, but was given {value!r} "
            f"({type(value).__name__})"
        )

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"the flag {self.name} itself is neither true nor false; write "
            f"config.{self.name} or {self.__name__}.value"
        )


_FLAGS: dict[str, FlagHolder[Any]] = {}
config = Config()


def bool_flag(name: str, *, default: bool, help: str) -> FlagHolder[bool]:  # noqa: A002
    """Adds a flag that is on or off.

    Args:
        name: name of the flag; its environment variable is the same in capitals.
        default: its value where the environment does not say.
        help: what it does.

    Returns:
        The holder, which ``config.update`` takes in place of the name.
    """
    return _add(FlagHolder[bool](name, help), static_bool_env(name.upper(), default))


def int_flag(name: str, *, default: int | None, help: str) -> FlagHolder[int]:  # noqa: A002
    """Adds a flag that holds an integer, or ``None``.

    Args:
        name: name of the flag; its environment variable is the same in capitals.
        default: its value where the environment does not say.
        help: what it does.

    Returns:
        The holder, which ``config.update`` takes in place of the name.
    """
    holder = FlagHolder[int](name, help, kind=int, optional=True)
    return _add(holder, static_int_env(name.upper(), default))


def static_bool_env(varname: str, default: bool) -> bool:
    """Reads a truth value from the environment.

    Args:
        varname: name of the environment variable.
        default: the value where the variable is not set.

    Raises:
        ValueError: the variable holds something that is neither true nor false.
    """
    text = os.environ.get(varname)
    if text is None:
        return default
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(
        f"the environment variable {varname} has the value {text!r}, which is no truth value; "
        f"write one of {', '.join(sorted(_TRUE | _FALSE))}"
    )


def static_int_env(varname: str, default: int | None) -> int | None:
    """Reads an integer from the environment.

    Args:
        varname: name of the environment variable.
        default: the value where the variable is not set.

    Raises:
        ValueError: the variable holds something that is no integer.
    """
    text = os.environ.get(varname)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f"the environment variable {varname} has the value {text!r}, which is no integer"
        ) from None


def _add(flag: FlagHolder[T], value: Any) -> FlagHolder[T]:
    _FLAGS[flag.name] = flag
    config.update(flag, value)
    return flag


def _unknown_flag(name: str, known: Mapping[str, Any]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=2)
    advice = f"did you mean {' or '.join(near)}?" if near else f"the flags are {', '.join(known)}"
    return f"there is no flag {name!r}; {advice}"


flax_filter_frames = bool_flag(
    "flax_filter_frames",
    default=True,
    help="whether frames inside the library are left out of tracebacks",
)
flax_profile = bool_flag(
    "flax_profile",
    default=True,
    help="whether calls of modules are named in profiles and in compiled programs",
)
flax_preserve_adopted_names = bool_flag(
    "flax_preserve_adopted_names",
    default=False,
    help="whether a module that another one adopts keeps the name it had",
)
flax_return_frozendict = bool_flag(
    "flax_return_frozendict",
    default=False,
    help="whether `init` and `apply` return a FrozenDict in place of a dict",
)
flax_fix_rng = bool_flag(
    "flax_fix_rng_separator",
    default=False,
    help="whether a separator keeps paths such as ('ab', 'c') and ('a', 'bc') from one random key",
)
flax_always_shard_variable = bool_flag(
    "flax_always_shard_variable",
    default=True,
    help="whether a variable with partition names is placed on the mesh when it is created",
)
nnx_graph_mode = bool_flag(
    "nnx_graph_mode",
    default=True,
    help="whether functions of NNX see models as graphs, in which parts may be shared",
)
nnx_graph_updates = bool_flag(
    "nnx_graph_updates",
    default=True,
    help="whether transformations of NNX carry changes of structure out",
)
nnx_sow_capture_noop = bool_flag(
    "nnx_sow_capture_noop",
    default=False,
    help="whether `nnx.Module.sow` and `perturb` do nothing outside `nnx.capture`",
)


class FlagSetting:
    """Sets a flag in this thread: for good, for a ``with`` block, or in each call of a function.

    A subclass names the flag. Other threads go on with what they have set, or else with the value
    of the process, which ``config.update`` sets.
    """

    _flag: str

    def __init__(self, value: Any, /) -> None:
        self._value = _FLAGS[self._flag].checked(value)
        self._before = _of_thread.__dict__.get(self._flag, MISSING)
        setattr(_of_thread, self._flag, self._value)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        if self._before is MISSING:
            _of_thread.__dict__.pop(self._flag, None)
        else:
            setattr(_of_thread, self._flag, self._before)

    def __call__(self, f: Any, /) -> Any:
        """Decorate a function: the flag is set while it runs, and not now."""
        self.__exit__()

        @functools.wraps(f)
        def call(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self._value):
                return f(*args, **kwargs)

        return call

    @classmethod
    def current_value(cls) -> Any:
        """Return the value in this thread."""
        value = _of_thread.__dict__.get(cls._flag, MISSING)
        return getattr(config, cls._flag) if value is MISSING else value


_of_thread = threading.local()
