"""Models, variables and states as text.

Objects are written as the calls that could make them, one attribute a line, with the number of
values and bytes that they hold, by type of variable. Of arrays inside a model the shape and dtype
are written; a variable or a state that is printed by itself shows its values.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from linnet.base.jaxcompat import trace_of
from linnet.display.outline import shape_text
from linnet.nnx.objects.pytree import Pytree
from linnet.nnx.objects.variable import Variable
from linnet.tree.measure import size_of

_INDENT = "  "


def text_of(value: Any) -> str:
    """Write a model, variable or state for people to read."""
    from linnet.nnx.graph.states import FlatState, State

    values = not isinstance(value, Pytree)
    if isinstance(value, State | FlatState | Pytree | Variable):
        return _written(value, "", set(), values)
    return repr(value)


def _written(value: Any, indent: str, seen: set[int], values: bool) -> str:
    from linnet.nnx.graph.states import FlatState, State

    if isinstance(value, Variable):
        return _variable(value, indent, seen, values)
    if isinstance(value, Pytree):
        return _object(value, indent, seen, values)
    if isinstance(value, State):
        return _mapping("State({", value.raw_mapping, "})", indent, seen, values)
    if isinstance(value, FlatState):
        lines = [
            f"({path!r}, {_written(leaf, indent + _INDENT, seen, values)})" for path, leaf in value
        ]
        return _block("FlatState([", lines, "])", indent)
    if type(value) is dict:
        return _mapping("{", value, "}", indent, seen, values)
    if type(value) in {list, tuple}:
        start, end = ("[", "]") if type(value) is list else ("(", ")")
        items = [_written(item, indent + _INDENT, seen, values) for item in value]
        if type(value) is tuple and len(items) == 1 and "\n" not in items[0]:
            return f"({items[0]},)"
        if all("\n" not in item for item in items) and sum(map(len, items)) < 72:
            return start + ", ".join(items) + end
        return _block(start, items, end, indent)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _array(value, indent, values)
    if isinstance(value, type):
        return value.__name__
    if hasattr(value, "_fields"):
        fields = zip(value._fields, value, strict=True)
        lines = [f"{k}={_written(v, indent + _INDENT, seen, values)}" for k, v in fields]
        return _block(f"{type(value).__name__}(", lines, ")", indent)
    return repr(value)


def _array(value: Any, indent: str, values: bool) -> str:
    known = isinstance(value, jax.Array | np.ndarray | np.generic) and trace_of(value) is None
    if known and (values or value.shape == ()):
        return repr(value).replace("\n", "\n" + indent)
    return shape_text(value)


def _block(start: str, lines: list[str], end: str, indent: str, note: str = "") -> str:
    if not lines:
        return f"{start}{end}"
    inner = ",\n".join(indent + _INDENT + line for line in lines)
    return f"{start}{note}\n{inner}\n{indent}{end}"


def _mapping(
    start: str, mapping: Mapping[Any, Any], end: str, indent: str, seen: set[int], values: bool
) -> str:
    lines = [
        f"{key!r}: {_written(item, indent + _INDENT, seen, values)}"
        for key, item in mapping.items()
    ]
    return _block(start, lines, end, indent)


def _variable(variable: Variable[Any], indent: str, seen: set[int], values: bool) -> str:
    inner = indent + _INDENT
    lines = [f"value={_written(variable.get_raw_value(), inner, seen, values)}"]
    lines += [f"{k}={_written(v, inner, seen, values)}" for k, v in variable.get_metadata().items()]
    size = size_of(variable.get_raw_value())
    note = f" # {size}" if size else ""
    return _block(f"{type(variable).__name__}(", lines, ")", indent, note)


def _object(obj: Pytree, indent: str, seen: set[int], values: bool) -> str:
    name = type(obj).__name__
    if id(obj) in seen:
        return f"{name}(...)"
    seen.add(id(obj))
    from linnet.nnx.objects.containers import Dict, List

    inner = indent + _INDENT
    if isinstance(obj, List):
        lines = [_written(item, inner, seen, values) for item in obj]
        return _block(f"{name}([", lines, "])", indent, sizes_text(obj))
    if isinstance(obj, Dict):
        lines = [f"{k!r}: {_written(v, inner, seen, values)}" for k, v in obj.items()]
        return _block(f"{name}({{", lines, "})", indent, sizes_text(obj))
    fields = [(k, v) for k, v in obj.__dict__.items() if not k.startswith("_")]
    lines = [f"{k}={_written(v, inner, seen, values)}" for k, v in fields]
    return _block(f"{name}(", lines, ")", indent, sizes_text(obj))


def text_of_graphdef(graphdef: Any) -> str:
    """Write a structure: each part a line, indented by depth."""
    from linnet.nnx.graph.definitions import ArrayDef, Reference, VariableDef

    lines: list[str] = []

    def visit(key: Any, definition: Any, depth: int) -> None:
        lead = _INDENT * depth + (f"{key}=" if key is not None else "")
        if isinstance(definition, VariableDef):
            lines.append(f"{lead}{definition.type.__name__}({definition.metadata!r})")
        elif isinstance(definition, ArrayDef):
            lines.append(f"{lead}array")
        elif isinstance(definition, Reference):
            lines.append(f"{lead}<{definition.to} {definition.index} again>")
        elif not hasattr(definition, "children"):
            lines.append(f"{lead}{definition.value!r}")
        else:
            kind = getattr(definition, "type", None)
            name = kind.__name__ if kind is not None else str(definition.treedef)
            statics = getattr(definition, "statics", "")
            lines.append(f"{lead}{name}({statics!r})" if statics != "" else f"{lead}{name}")
            for name, child in zip(definition.keys, definition.children, strict=True):
                visit(name, child, depth + 1)

    visit(None, graphdef.root, 1)
    inside = "\n".join(lines)
    return f"GraphDef( # {graphdef.num_leaves} leaves\n{inside}\n)"
