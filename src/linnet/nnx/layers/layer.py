"""What layers have in common: parameters drawn, attributes set, hooks handed to ops.

A layer of NNX declares what configures it, draws its parameters when it is made, and calls one op
(``linnet.ops``) when it is called. Models are made of hundreds of layers and are made more often
than one thinks (under ``eval_shape``, in tests, on every host), so making one is kept short: an
initializer folds its key itself (``RngStream.draw_later``), and all attributes are set at once.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from linnet.base import errors
from linnet.base.typing import Dtype, Initializer
from linnet.nnx.layers.dtypes import promote_dtype
from linnet.nnx.objects.kinds import Param
from linnet.nnx.objects.module import Module
from linnet.nnx.objects.pytree import attributes_of, blank
from linnet.nnx.objects.variable import Variable, VariableMetadata
from linnet.nnx.objects.versions import note_change
from linnet.nnx.random.streams import Rngs, RngStream
from linnet.ops import drawing
from linnet.ops.initializers import lecun_normal, variance_scaling
from linnet.ops.keys import takes_deferred_key

default_kernel_init = lecun_normal()
default_embed_init = variance_scaling(1.0, "fan_in", "normal", out_axis=0)

NO_METADATA: Mapping[str, Any] = {}


class Layer(Module):
    """A module that ``linnet.nnx`` comes with."""

    # whether the constructor takes ``rngs`` as a keyword that has to be given
    _needs_rngs: ClassVar[bool] = False

    if TYPE_CHECKING:  # the attributes that the constructors set all at once

        def __getattr__(self, name: str) -> Any: ...

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make an object without attributes, if streams are given where they are needed."""
        if cls._needs_rngs and "rngs" not in kwargs and (args or kwargs):
            raise errors.MissingStreamsError(cls.__name__, None, misspelt="rng" in kwargs)
        return blank(cls)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        make = vars(cls).get("__init__")
        if make is not None:
            cls._needs_rngs = _takes_rngs(make)

    def _set_up(self, data: tuple[str, ...], **attributes: Any) -> None:
        """Set all attributes of a new layer at once; ``data`` names those that are variables."""
        attributes_of(self).update(attributes)
        self._statuses.update(dict.fromkeys(data, True))
        note_change(self)


def chosen(given: Mapping[str, Any], names: str) -> dict[str, Any]:
    """Return some of the arguments of a constructor, its ``locals()``, in the order of the names.

    The order is that in which the attributes of a layer are written and walked.
    """
    return {name: given[name] for name in _words(names)}


@functools.cache
def _words(text: str) -> list[str]:
    return text.split()


def _takes_rngs(make: Any) -> bool:
    """Tell whether a constructor has a keyword-only argument ``rngs`` without a default."""
    code = getattr(make, "__code__", None)
    if code is None:
        return False
    first = code.co_argcount
    keywords = code.co_varnames[first : first + code.co_kwonlyargcount]
    return "rngs" in keywords and "rngs" not in (make.__kwdefaults__ or {})


def params_of(rngs: Any, layer: Any) -> Any:
    """Return the stream that a layer draws its parameters from.

    Raises:
        MissingStreamsError: ``rngs`` are no streams.
        UnknownStreamError: they have no stream ``params``, and no default one.
    """
    if isinstance(rngs, Rngs):
        return rngs["params"]
    stream = None if isinstance(rngs, RngStream) else getattr(rngs, "params", None)
    if stream is None:
        raise errors.MissingStreamsError(type(layer).__name__, rngs)
    return stream


def draw(stream: Any, init_fn: Callable[..., Any], shape: tuple[int, ...], dtype: Dtype) -> Any:
    """Draw the first value of a parameter with the next key of a stream."""
    late = takes_deferred_key(init_fn) and isinstance(stream, RngStream)
    return init_fn(stream.draw_later() if late else stream(), shape, dtype)


def draw_flat(
    stream: Any, init_fn: Initializer, split: int, shape: tuple[int, ...], dtype: Dtype
) -> Any:
    """Draw as a matrix, its first ``split`` axes by the others, and shape; 0 draws a vector."""
    if isinstance(init_fn, drawing.Initializer):
        return draw(stream, drawing.Flattened(init_fn, split), shape, dtype)
    outputs = math.prod(shape[split:])
    flat = (math.prod(shape[:split]), outputs) if split else (outputs,)
    drawn = draw(stream, init_fn, flat, dtype)
    if isinstance(drawn, VariableMetadata):
        return dataclasses.replace(drawn, raw_value=drawn.raw_value.reshape(shape))
    return drawn.reshape(shape)


def param(value: Any, metadata: Mapping[str, Any]) -> Param[Any]:
    """Make a parameter."""
    return Param(value, **metadata) if metadata else Param(value)


def value_of(variable: Any) -> Any:
    """Return the value of a variable that a layer may lack, or what stands in its place.

    A program may put an array there, or an object of its own that is read like a variable.
    """
    if isinstance(variable, Variable):
        return variable.get_value()
    return None if variable is None else variable[...]


def spread(hook: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return a ``promote_dtype`` of NNX, which takes one tuple, as the hook of an op.

    The default is no hook, so that the compiled op is used.
    """
    if hook is promote_dtype:
        return None
    return lambda *arrays, **how: hook(arrays, **how)


def decided(flag: str, layer: Any, *choices: bool | None) -> bool:
    """Return the first choice that was made.

    Raises:
        UndecidedModeError: none was.
    """
    for choice in choices:
        if choice is not None:
            return choice
    raise errors.UndecidedModeError(type(layer).__name__, flag)
