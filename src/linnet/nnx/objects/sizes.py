"""How much an object holds, by type of variable."""

from typing import Any

from linnet.nnx.objects.nodes import iter_graph
from linnet.nnx.objects.variable import Variable
from linnet.tree.measure import TreeSize, size_of


def sizes_text(obj: Any) -> str:
    """Write how much an object holds, by type of variable."""
    by_type = sizes_by_type(obj)
    if not by_type:
        return ""
    told = [f"{kind}: {size}" for kind, size in by_type.items()]
    if len(told) > 1:
        total = sum(by_type.values(), start=TreeSize())
        told.append(f"Total: {total}")
    return f" # {', '.join(told)}"


def sizes_by_type(obj: Any) -> dict[str, TreeSize]:
    """Return the size of what an object holds, by the name of the type of variable."""
    found: dict[str, TreeSize] = {}
    for _, value in iter_graph(obj):
        if isinstance(value, Variable):
            size = size_of(value.get_raw_value())
            if size:
                kind = family(type(value))
                found[kind] = found[kind] + size if kind in found else size
    return found


def family(kind: Any) -> str:
    """Return the type of variable that a type is shown under: the one right below Variable."""
    lineage = [cls for cls in kind.__mro__ if issubclass(cls, Variable) and cls is not Variable]
    return lineage[-1].__name__ if lineage else "Variable"
