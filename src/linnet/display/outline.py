"""Values written as an outline: arrays by dtype and shape, containers as indented lists.

The outline of ``{"x": float array (2, 3), "sizes": [1, None]}`` is::

    sizes:
    - 1
    - None
    x: float32[2,3]

It is what YAML would print, so a reader knows it without having learnt it.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, cast


def shape_text(value: Any) -> str:
    """Write an array, or what is shaped like one, by its dtype and shape.

    >>> import jax
    >>> shape_text(jax.ShapeDtypeStruct((2, 3), "bfloat16"))
    'bfloat16[2,3]'
    """
    return f"{value.dtype}[{','.join(map(str, value.shape))}]"


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
        if isinstance(inner, list) and inner:
            lines += [f"{key}:", *_lines(inner)]
        elif isinstance(inner, dict) and inner:
            lines += [f"{key}:", *(f"  {line}" for line in _lines(inner))]
        else:
            lines.append(f"{key}: {inner}")
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
