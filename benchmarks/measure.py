"""Timing: bodies taken in turn, figures compared in pairs.

A machine is never equally fast for long, so one contender's figure means little and the ratio of
two taken side by side means much. Bodies are therefore run in rounds (A B C A B C ...), each
figure belongs to its round, and ratios are formed round by round; what is reported is the median
of the ratios with their quartiles. Python's garbage collector runs between bodies, never within.

A body returns its own figure (or several), because what is timed is rarely all it does. A
contender whose rounds are long gets fewer of them: it joins no further round once that would
take its total beyond the budget. Its last figure then stands for the rounds it missed.
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

ROOT = Path(__file__).parents[1]

Figures = Mapping[str, float]
Samples = dict[str, list[float]]  # contender → one figure per round


def timed(body: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """The seconds that one call takes, its results awaited, and the result.

    The time is the mean over ``repeats`` calls.

    >>> took, result = timed(lambda: "done")
    >>> result
    'done'
    """
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(repeats):
            result = jax.block_until_ready(body())
        return (time.perf_counter() - start) / repeats, result
    finally:
        gc.enable()


def interleave(
    body: Callable[[str], Figures],
    names: Sequence[str],
    rounds: int,
    *,
    warmup: bool = False,
    budget: float = float("inf"),
) -> dict[str, Samples]:
    """Runs a body for each name in turn, round after round, and collects what it returns.

    Args:
      body: takes a name and returns a figure for each row.
      names: the contenders.
      rounds: how often, at most.
      warmup: whether a round is run before, whose figures are thrown away.
      budget: seconds after which a contender joins no further round. The first is never missed.

    Returns:
      For each row the samples of each contender.

    >>> interleave(lambda name: {"cost": float(len(name))}, ["a", "bc"], rounds=2)
    {'cost': {'a': [1.0, 1.0], 'bc': [2.0, 2.0]}}
    """
    if warmup:
        for name in names:
            body(name)
    rows: dict[str, Samples] = {}
    spent = dict.fromkeys(names, 0.0)
    for turn in range(rounds):
        for name in names:
            if turn and spent[name] * (turn + 1) / turn > budget:
                continue
            start = time.perf_counter()
            figures = body(name)
            spent[name] += time.perf_counter() - start
            for row, figure in figures.items():
                rows.setdefault(row, {}).setdefault(name, []).append(figure)
    return rows


def fresh(work: str, *arguments: object) -> float:
    """The figure that ``benchmarks.fresh`` prints, run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.fresh", work, *map(str, arguments)]
    # installed packages come with their bytecode; let the sources here keep theirs, too
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=kept)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


@dataclass(frozen=True)
class Spread:
    """Where a set of figures lies."""

    median: float
    low: float
    high: float
    least: float

    @classmethod
    def of(cls, figures: Iterable[float]) -> "Spread":
        """Median, quartiles and minimum.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.5, high=2.5, least=1.0)
        """
        figures = sorted(figures)
        low, median, high = (
            statistics.quantiles(figures, n=4, method="inclusive")
            if len(figures) > 1
            else figures * 3
        )
        return cls(median, low, high, figures[0])


def ratios(ours: Sequence[float], rivals: Sequence[Sequence[float]]) -> list[float]:
    """Ours over the least of the rivals, round by round.

    >>> ratios([1.0, 3.0], [[2.0, 2.0], [4.0, 1.0]])
    [0.5, 3.0]
    """
    rounds = max(len(ours), *map(len, rivals))

    def at(figures: Sequence[float], turn: int) -> float:
        return figures[min(turn, len(figures) - 1)]

    return [at(ours, turn) / min(at(rival, turn) for rival in rivals) for turn in range(rounds)]
