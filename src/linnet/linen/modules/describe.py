"""Modules and inputs written for people: the ``repr`` of a module, the inputs in a message."""

import dataclasses
from typing import Any

from linnet.base.errors import shape_text


def describe(value: Any) -> str:
    """Write an input as a message shows it: an array by dtype and shape, ``float32[2,3]``."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return shape_text(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {describe(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        items = ", ".join(map(describe, value))
        return f"[{items}]" if isinstance(value, list) else f"({items})"
    text = repr(value)
    return text if len(text) <= 40 else f"<{type(value).__name__}>"


def _is_module(value: Any) -> bool:
    return hasattr(type(value), "_facts")


def describe_module(module: Any, depth: int = 0) -> str:
    """Write a module as its class, its fields and, if it is bound, its submodules, indented."""
    pad = " " * 4 * (depth + 1)
    cls = type(module).__name__
    lines = []
    fields = [
        field.name
        for field in dataclasses.fields(module)
        if field.repr and field.init and field.name not in {"parent", "name"}
    ]
    children = dict(module._state.children)
    own = [name for name in fields if name not in children]
    if own:
        lines.append(f"{pad}# attributes")
        lines += [f"{pad}{name} = {_value(getattr(module, name), depth + 1)}" for name in own]
    if children:
        lines.append(f"{pad}# children")
        lines += [
            f"{pad}{name} = {describe_module(child, depth + 1)}" for name, child in children.items()
        ]
    return f"{cls}()" if not lines else "\n".join([f"{cls}(", *lines, f"{pad[4:]})"])


def _value(value: Any, depth: int) -> str:
    if _is_module(value):
        return describe_module(value, depth)
    if isinstance(value, list | tuple) and any(_is_module(item) for item in value):
        inner = ", ".join(_value(item, depth) for item in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return getattr(value, "__name__", None) or repr(value)
