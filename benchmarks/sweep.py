"""How each cost grows with the number of blocks.

Each work is measured on a small model first and then on larger ones. A contender whose next
figure would exceed a limit, judging from its last one in proportion to the blocks, is left out
from there on: that keeps compilations of minutes out of the run, whoever needs them. ``init`` has
no such limit, because most of its cost does not grow.
"""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.models.transformer import Sizes
from benchmarks.rows import ROWS, WORKS
from benchmarks.setting import Setting, compare_outputs

ROUNDS = {"trace": 3, "eager": 3, "init": 1, "gradient": 1}
STRIDES = {"init": 2}  # every other size, because fresh processes are dear
UNLIMITED = ("init",)

Growth = dict[str, dict[str, dict[int, float]]]  # row → contender → blocks → median


def sweep(
    sizes: Sizes, counts: Sequence[int], works: Sequence[str], names: Sequence[str], limit: float
) -> Growth:
    """Measures the given works on models of each number of blocks.

    Args:
      sizes: all else about the model.
      counts: numbers of blocks, rising.
      works: which works; importing does not depend on the model and is passed over.
      names: the contenders.
      limit: seconds beyond which a figure is not taken.
    """
    growth: Growth = {}
    for place, blocks in enumerate(counts):
        setting = Setting(dataclasses.replace(sizes, blocks=blocks))
        compare_outputs(setting, names)
        for work in works:
            if work not in ROUNDS or place % STRIDES.get(work, 1):
                continue
            able = [name for name in names if _predicted(growth, work, name, blocks) <= limit]
            rows = WORKS[work].measure(setting, able, ROUNDS[work]) if able else {}
            for row, samples in rows.items():
                for name, figures in samples.items():
                    costs = growth.setdefault(row, {}).setdefault(name, {})
                    costs[blocks] = statistics.median(figures)
    return growth


def _predicted(growth: Growth, work: str, name: str, blocks: int) -> float:
    """The seconds of this work's longest figure, in proportion to the last number of blocks."""
    if work in UNLIMITED:
        return 0.0
    costs = [
        growth.get(key, {}).get(name, {})
        for key, row in ROWS.items()
        if row.work == work and row.unit == "s"
    ]
    return max(
        (figures[max(figures)] * blocks / max(figures) for figures in costs if figures),
        default=0.0,
    )


def slope(costs: Mapping[int, float]) -> float | None:
    """What one block more costs: the slope of the straight line nearest to the figures.

    >>> slope({4: 9.0, 8: 17.0, 16: 33.0})
    2.0
    """
    if len(costs) < 2:
        return None
    return statistics.linear_regression(list(costs), list(costs.values())).slope
