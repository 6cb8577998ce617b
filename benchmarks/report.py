"""Tables of the figures, for the terminal, for Markdown and as data.

A grid is a table of text that both renderings share; the data keeps every sample.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measure import Samples, Spread, ratios
from benchmarks.rows import OURS, Row, Target, verdicts
from benchmarks.sweep import Growth, slope

RIVALS = ("Flax", "hand-written")  # those to whom the table prints ratios
WIDTH = 240  # of the longest line that may be printed
MARKS = {"met": "✓", "near": "≈", "missed": "✗"}
MEANINGS = {"met": "Met", "near": "Missed by less than the spread", "missed": "Missed"}


@dataclass(frozen=True)
class Grid:
    """A table of text: a title, the columns' names, the lines, and what must be said below."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def amount(figure: float | None, unit: str) -> str:
    """A figure with a unit of its size.

    >>> amount(0.0123, "s"), amount(4.2, "s"), amount(3_100_000, "B"), amount(None, "s")
    ('12.3 ms', '4.20 s', '3.10 MB', '–')
    """
    if figure is None:
        return "–"
    scales = {
        "s": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
        "B": ((1e6, "MB"), (1e3, "kB"), (1, "B")),
    }
    scale, name = next((pair for pair in scales[unit] if abs(figure) >= pair[0]), scales[unit][-1])
    return f"{figure / scale:#.3g}".rstrip(".") + f" {name}"


def table(
    rows: Mapping[str, Row],
    samples: Mapping[str, Samples],
    names: Sequence[str],
    title: str,
    rivals: Sequence[str] = RIVALS,
) -> Grid:
    """Medians of every contender, our ratios to some of them, the targets."""
    rivals = [name for name in rivals if name in names and OURS in names]
    columns = ["work", *names, *(f"{OURS} / {name}" for name in rivals), "target", ""]
    lines = []
    for key, row in rows.items():
        if key not in samples:
            continue
        found = samples[key]
        medians = [
            amount(Spread.of(found[name]).median if name in found else None, row.unit)
            for name in names
        ]
        lines.append(
            [
                row.title,
                *medians,
                *(_ratio(found, name) for name in rivals),
                "; ".join(_target(key, target, row.unit) for target in row.targets),
                " ".join(MARKS[each.word] for each in verdicts(key, row, samples)),
            ]
        )
    notes = [
        "Medians; ratios are taken round by round, ± is half the way between their quartiles.",
        " ".join(f"{mark} {MEANINGS[word]}." for word, mark in MARKS.items()),
    ]
    return Grid(title, columns, lines, notes)


def growth_table(
    rows: Mapping[str, Row], growth: Growth, counts: Sequence[int], limit: float
) -> Grid:
    """Each cost over the numbers of blocks, and what a block more costs."""
    lines = []
    for key, row in rows.items():
        for index, (name, costs) in enumerate(growth.get(key, {}).items()):
            cells = [amount(costs.get(blocks), row.unit) for blocks in counts]
            title = "" if index else row.title
            lines.append([title, name, *cells, amount(slope(costs), row.unit)])
    notes = [
        f"– was not taken: more than {limit:g} s, judging from the size before.",
        "init was taken at every other size.",
    ]
    columns = ["work", "", *(f"{blocks} blocks" for blocks in counts), "per block"]
    return Grid("Growth with the number of blocks", columns, lines, notes)


def markdown(grid: Grid) -> str:
    """The grid as a Markdown table.

    >>> print(markdown(Grid("Costs", ["work", "a"], [["trace", "1 ms"]], ["Medians."])))
    ### Costs
    <BLANKLINE>
    | work | a |
    |---|---|
    | trace | 1 ms |
    <BLANKLINE>
    Medians.
    """
    rows = [grid.columns, ["---"] * len(grid.columns), *grid.lines]
    lines = ["| " + " | ".join(cells) + " |" for cells in rows]
    lines[1] = lines[1].replace(" ", "")
    return "\n".join([f"### {grid.title}", "", *lines, "", *grid.notes])


def show(grid: Grid) -> None:
    """Prints the grid to the terminal."""
    from rich.console import Console
    from rich.table import Table

    # a terminal too narrow breaks lines, which is better than figures cut short
    console = Console(width=WIDTH)
    drawn = Table(title=grid.title, title_justify="left")
    for index, column in enumerate(grid.columns):
        drawn.add_column(column, justify="right" if index else "left", no_wrap=True)
    for line in grid.lines:
        drawn.add_row(*line)
    console.print(drawn)
    console.print(*grid.notes, sep="\n", highlight=False)


def data(rows: Mapping[str, Row], samples: Mapping[str, Samples]) -> dict[str, object]:
    """Every row with its samples, their spread, ratios and verdicts, ready for JSON."""
    found: dict[str, object] = {}
    for key, row in rows.items():
        if key not in samples:
            continue
        found[key] = {
            "title": row.title,
            "unit": row.unit,
            "contenders": {
                name: {**dataclasses.asdict(Spread.of(figures)), "samples": figures}
                for name, figures in samples[key].items()
            },
            "ratios": {
                name: dataclasses.asdict(Spread.of(ratios(samples[key][OURS], [figures])))
                for name, figures in samples[key].items()
                if name != OURS and OURS in samples[key]
            },
            "targets": [dataclasses.asdict(target) for target in row.targets],
            "verdicts": [dataclasses.asdict(each) for each in verdicts(key, row, samples)],
        }
    return found


def growth_data(growth: Growth) -> dict[str, object]:
    """The sweep, ready for JSON."""
    return {
        key: {
            name: {"medians": costs, "per_block": slope(costs)} for name, costs in by_name.items()
        }
        for key, by_name in growth.items()
    }


def _ratio(samples: Samples, rival: str) -> str:
    if OURS not in samples or rival not in samples:
        return "–"
    spread = Spread.of(ratios(samples[OURS], [samples[rival]]))
    return f"{spread.median:.3f} ± {(spread.high - spread.low) / 2:.3f}"


def _target(key: str, target: Target, unit: str) -> str:
    if not target.rivals:
        return f"≤ {amount(target.limit, unit)}"
    names = " and ".join(name for _, name in target.rivals)
    others = {other for other, _ in target.rivals}
    of = "" if others == {key} else f"'s {others.pop()}"
    return f"≤ {target.limit:.2f} × {names}{of}"
