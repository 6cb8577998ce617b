"""The one writer of values: objects as the calls that could make them, and indented lists.

An object says what it looks like by a method ``_outline_``, which returns an :class:`Outline`: how
the text starts, the parts inside, one to a line, how it ends, and a note. :func:`text_of` writes
outlines one inside the other, and knows no class that has one. Arrays are written by their values,
or, inside a model, by dtype and shape.

:func:`outline` writes nested containers for tables, as YAML would, so a reader knows the form
without having learnt it: that of ``{"x": float array (2, 3), "sizes": [1, None]}`` is::

    sizes:
    - 1
    - None
    x: float32[2,3]
"""

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import jax
import numpy as np

from linnet.base.errors import shape_text
from linnet.base.jaxcompat import trace_of

_INDENT = "  "


# --- objects ---------------------------------------------------------------------------------


def name_key(name: Any, item: str) -> str:
    """Write a part as an argument: ``name=item``; one without a name as it is."""
    return f"{name}={item}" if name != "" else item


def repr_key(key: Any, item: str) -> str:
    """Write a part as an entry of a dictionary."""
    return f"{key!r}: {item}"


def pair_key(key: Any, item: str) -> str:
    """Write a part as a pair."""
    return f"({key!r}, {item})"


@dataclasses.dataclass(frozen=True)
class Outline:
    """What an object looks like as text.

    Attributes:
        start: the beginning, up to the opening bracket.
        parts: keys and values of what is inside, a mapping or pairs.
        end: the closing bracket.
        note: a comment behind the opening bracket.
        again: what is written where the object is met once more; by default the same.
        keys: how a part is written with its key.
    """

    start: str
    parts: Iterable[tuple[Any, Any]] | Mapping[Any, Any]
    end: str
    note: str = ""
    again: str = ""
    keys: Callable[[Any, str], str] = name_key


def text_of(value: Any, *, arrays: bool = True) -> str:
    """Write an object for people to read.

    Args:
        value: the object.
        arrays: whether to write the values of arrays, or just their dtypes and shapes.
    """
    return _written(value, "", set(), arrays)


def _written(value: Any, indent: str, seen: set[int], arrays: bool) -> str:
    if hasattr(type(value), "_outline_"):
        return _object(value._outline_(), value, indent, seen, arrays)
    if type(value) is dict:
        return _object(Outline("{", value, "}", keys=repr_key), value, indent, seen, arrays)
    if type(value) in {list, tuple}:
        return _sequence(value, indent, seen, arrays)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        known = isinstance(value, jax.Array | np.ndarray | np.generic) and trace_of(value) is None
        if known and (arrays or value.shape == ()):
            return repr(value).replace("\n", "\n" + indent)
        return shape_text(value)
    if isinstance(value, type):
        return value.__name__
    if hasattr(value, "_fields"):
        fields = zip(value._fields, value, strict=True)
        named = Outline(f"{type(value).__name__}(", fields, ")")
        return _object(named, value, indent, seen, arrays)
    return repr(value)


def _object(shape: Outline, value: Any, indent: str, seen: set[int], arrays: bool) -> str:
    if shape.again:
        if id(value) in seen:
            return shape.again
        seen.add(id(value))
    parts = shape.parts.items() if isinstance(shape.parts, Mapping) else shape.parts
    inner = indent + _INDENT
    lines = [shape.keys(key, _written(item, inner, seen, arrays)) for key, item in parts]
    return _block(shape.start, lines, shape.end, indent, shape.note)


def _sequence(value: Any, indent: str, seen: set[int], arrays: bool) -> str:
    start, end = ("[", "]") if type(value) is list else ("(", ")")
    items = [_written(item, indent + _INDENT, seen, arrays) for item in value]
    if type(value) is tuple and len(items) == 1 and "\n" not in items[0]:
        return f"({items[0]},)"
    if all("\n" not in item for item in items) and sum(map(len, items)) < 72:
        return start + ", ".join(items) + end
    return _block(start, items, end, indent)


def _block(start: str, lines: list[str], end: str, indent: str, note: str = "") -> str:
    if not lines:
        return f"{start}{end}"
    inner = ",\n".join(indent + _INDENT + line for line in lines)
    return f"{start}{note}\n{inner}\n{indent}{end}"


# --- nested containers -----------------------------------------------------------------------


def outline(value: Any) -> str:
    """Write a value as an outline.

    >>> print(outline([{"b": 1, "a": (2, "c")}, []]))
    - a:
      - 2
      - c
      b: 1
    - []
    """
    return "\n".join(_lines(value))


def _lines(value: Any) -> list[str]:
    value = _plain(value)
    if isinstance(value, dict) and value:
        return _dict_lines(cast("dict[Any, Any]", value))
    if isinstance(value, list) and value:
        return [line for item in cast("list[Any]", value) for line in _item_lines(item)]
    return [str(value)]


def _item_lines(item: Any) -> list[str]:
    first, *rest = _lines(item)
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _dict_lines(value: dict[Any, Any]) -> list[str]:
    lines: list[str] = []
    for key in sorted(value, key=str):
        inner = _plain(value[key])
        word = key.value if isinstance(key, enum.Enum) else key
        if isinstance(inner, list) and inner:
            lines += [f"{word}:", *_lines(inner)]
        elif isinstance(inner, dict) and inner:
            lines += [f"{word}:", *(f"  {line}" for line in _lines(inner))]
        else:
            lines.append(f"{word}: {inner}")
    return lines


def _plain(value: Any) -> Any:
    """Turn a value into a dictionary, a list, or something to be printed as it is."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return shape_text(value)
    if isinstance(value, Mapping):
        return dict(cast("Mapping[Any, Any]", value))
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return cast("Any", value)._asdict()
    if isinstance(value, list | tuple):
        return list(cast("list[Any]", value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value
