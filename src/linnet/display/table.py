"""The table of a model: one row for each call of a module.

Each façade gathers its :class:`Row` objects; how they are shown is decided here. A variable
is counted in exactly one row, that of its module or, where that is not shown, of the nearest
ancestor that is, so that the rows add up to the model.
"""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

from linnet.base.optional import require
from linnet.display.outline import outline
from linnet.tree.measure import size_of


@dataclasses.dataclass(frozen=True)
class Row:
    """One call of a module.

    Attributes:
        path: where the module is, ``("encoder", "Dense_0")``.
        module: what it is: its class and, for another method than ``__call__``, the method.
        inputs: its arguments, abstract.
        outputs: its results, abstract.
        own: kind → name → the variables of the module itself.
        counted: kind → the variables counted in this row.
        flops: the operations of the forward pass, if counted.
        vjp_flops: those of the forward and the backward pass, if counted.
        shown: kind → the variables whose size is shown in this row; by default ``counted``.
    """

    path: tuple[str, ...]
    module: str
    inputs: Any
    outputs: Any
    own: Mapping[str, Mapping[str, Any]]
    counted: Mapping[str, Any]
    flops: int | None = None
    vjp_flops: int | None = None
    shown: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Listed:
    """Several things in one cell, one below the other."""

    parts: list[Any]


def render(
    title: str,
    rows: Sequence[Row],
    *,
    kind: str = "module",
    console_kwargs: Mapping[str, Any] | None = None,
    table_kwargs: Mapping[str, Any] | None = None,
    column_kwargs: Mapping[str, Any] | None = None,
) -> str:
    """Draw the table of a model as text, with the package ``rich``.

    Args:
        title: what is shown, the name of the model.
        rows: the calls, in order.
        kind: what the column with the classes of modules is called.
        console_kwargs: for ``rich.console.Console``.
        table_kwargs: for ``rich.table.Table``.
        column_kwargs: for each column.

    Returns:
        The table, in the terminal's colours unless ``console_kwargs`` say otherwise.

    Raises:
        ModuleNotFoundError: ``rich`` is not installed.
    """
    rich_table = require("rich.table", for_="tabulate")
    rich_text = require("rich.text", for_="tabulate")
    rich_console = require("rich.console", for_="tabulate")

    kinds = sorted({kind for row in rows for kind in row.counted})
    totals = {kind: size_of([row.counted.get(kind) for row in rows]) for kind in kinds}
    everything = size_of([row.counted for row in rows])
    counts = [c for c in ("flops", "vjp_flops") if any(getattr(r, c) is not None for r in rows)]

    options = {"show_header": True, "show_lines": True, "show_footer": True} | dict(
        table_kwargs or {}
    )
    table = rich_table.Table(
        **{"title": f"{title} Summary", "caption": _caption(everything), **options}
    )
    headers = ["path", kind, "inputs", "outputs", *counts, *kinds]
    footers = [""] * (len(headers) - len(kinds) - 1) + ["Total", *(_text(totals[k]) for k in kinds)]
    last_text = len(headers) - len(kinds) - 1
    for i, (header, footer) in enumerate(zip(headers, footers, strict=True)):
        shown = rich_text.Text(footer, justify="right" if i == last_text else "left")
        # a shape that is too long for its column goes on in the next line, rather than be cut
        table.add_column(header, footer=shown, **({"overflow": "fold"} | dict(column_kwargs or {})))
    for row in rows:
        # Text keeps rich from reading brackets of shapes as markup
        table.add_row(*(rich_text.Text(cell) for cell in _cells(row, counts, kinds)))
    out = io.StringIO()
    settings = {"force_terminal": True, "force_jupyter": False} | dict(console_kwargs or {})
    console = rich_console.Console(**{"file": out, **settings})
    console.print(table)
    return out.getvalue()


def _cells(row: Row, counts: Sequence[str], kinds: Sequence[str]) -> list[str]:
    numbers = [str(getattr(row, count) or 0) for count in counts]
    inputs = row.inputs.parts if isinstance(row.inputs, Listed) else [row.inputs]
    shown = "\n".join("" if part == [] else outline(part) for part in inputs)
    cells = ["/".join(row.path), row.module, shown, outline(row.outputs)]
    return [*cells, *numbers, *(_variables(row, kind) for kind in kinds)]


def _variables(row: Row, kind: str) -> str:
    shown = row.counted if row.shown is None else row.shown
    own, size = row.own.get(kind), size_of(shown.get(kind))
    listed = outline(own) if own else ""
    return "\n\n".join(part for part in (listed, _text(size)) if part)


def _text(size: Any) -> str:
    return str(size) if size else ""


def _caption(size: Any) -> str:
    return f"\nTotal Parameters: {_text(size)}"


def arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return the arguments of a call as the table shows them: one alone stands for itself.

    >>> arguments([1], {}), arguments([1], {"train": True})
    (1, [1, {'train': True}])
    """
    listed = [*args, dict(kwargs)] if kwargs else list(args)
    return listed[0] if len(listed) == 1 else listed
