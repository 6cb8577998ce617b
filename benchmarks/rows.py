"""The rows of the table: from which work each comes, what is aimed at, whether it is met."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import works
from benchmarks.measure import Samples, Spread, ratios
from benchmarks.setting import Setting

OURS = "Linnet"


@dataclass(frozen=True)
class Work:
    """Something that yields rows, and how many rounds of it a run takes: all, or quick."""

    measure: Callable[[Setting, Sequence[str], int], dict[str, Samples]]
    rounds: int
    quick: int


WORKS = {
    "import": Work(works.imports, 4, 1),
    "init": Work(works.init, 3, 1),
    "trace": Work(works.trace, 15, 3),
    "eager": Work(works.eager, 15, 3),
    "gradient": Work(works.gradient, 4, 1),
}


@dataclass(frozen=True)
class Target:
    """At most ``limit`` times the least of the rivals, each a (row, contender).

    Without rivals the limit is absolute, in the unit of the row.
    """

    limit: float
    rivals: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Row:
    """One line of the table; its unit is "s" or "B"."""

    work: str
    title: str
    unit: str = "s"
    targets: tuple[Target, ...] = ()


ROWS = {
    "import": Row("import", "import, beyond import jax", targets=(Target(0.06),)),
    "init": Row("init", "init, fresh process", targets=(Target(0.25, (("init", "Flax"),)),)),
    "lazy_init": Row(
        "init", "lazy_init, fresh process", targets=(Target(0.10, (("init", "Flax"),)),)
    ),
    "trace": Row("trace", "trace apply", targets=(Target(0.10, (("trace", "Flax"),)),)),
    "eager": Row("eager", "eager apply", targets=(Target(0.05, (("eager", "Flax"),)),)),
    "lower": Row("gradient", "gradient: trace and lower"),
    "compile": Row("gradient", "gradient: compile"),
    "gradient": Row(
        "gradient", "gradient: lower + compile", targets=(Target(0.7, (("gradient", "Flax"),)),)
    ),
    "run": Row(
        "gradient",
        "compiled step: run time",
        targets=(Target(1.0, (("run", "Flax"), ("run", "hand-written"))),),
    ),
    "memory": Row(
        "gradient",
        "compiled step: temporary memory",
        "B",
        (Target(1.0, (("memory", "Flax"), ("memory", "hand-written"))),),
    ),
}


@dataclass(frozen=True)
class Verdict:
    """How a row stands to its target: "met", "near" where the target lies within the spread."""

    ratio: Spread  # of ours to the rivals; without rivals, our figure itself
    word: str


def verdicts(key: str, row: Row, samples: Mapping[str, Samples]) -> list[Verdict]:
    """The verdict on our figures for each target; none for one without its rivals.

    Args:
      key: the row's key.
      row: the row in question.
      samples: those of every row measured, by the row's key.
    """
    if OURS not in samples.get(key, {}):
        return []
    ours = samples[key][OURS]
    found: list[Verdict] = []
    for target in row.targets:
        rivals = [samples.get(other, {}).get(name) for other, name in target.rivals]
        if any(figures is None for figures in rivals):
            continue
        ratio = Spread.of(ratios(ours, rivals) if rivals else ours)
        met = ratio.median <= target.limit
        word = "met" if met else "near" if ratio.low <= target.limit else "missed"
        found.append(Verdict(ratio, word))
    return found
