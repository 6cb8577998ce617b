"""``python -m benchmarks``: measures, prints the table, writes it as JSON."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax

from benchmarks import machine, report
from benchmarks.measure import Samples
from benchmarks.models import NAMES
from benchmarks.models.transformer import Sizes
from benchmarks.rows import ROWS, WORKS
from benchmarks.setting import Setting, compare_outputs
from benchmarks.sweep import sweep

GROWTH = (4, 8, 16, 32, 64)
GROWTH_QUICK = (2, 4)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and a smaller sweep")
    parser.add_argument("--rows", type=_words(ROWS), default=list(ROWS), help="which rows")
    parser.add_argument("--contenders", type=_words(NAMES), default=list(NAMES), help="of whom")
    parser.add_argument("--blocks", type=int, default=Sizes.blocks, help="the model's depth")
    parser.add_argument(
        "--sweep",
        type=lambda text: [int(word) for word in text.split(",") if word],
        help="numbers of blocks for the second table; empty for none",
    )
    parser.add_argument(
        "--limit", type=float, default=10, help="seconds that a figure of the sweep may take"
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--out", type=Path, default=Path("out/bench/linen.json"))
    options = parser.parse_args(arguments)
    if options.sweep is None:
        options.sweep = GROWTH_QUICK if options.quick else GROWTH
    return options


def _words(allowed):
    """A comma-separated choice, in the order of ``allowed``."""

    def choose(text: str) -> list[str]:
        words = text.split(",")
        if unknown := [word for word in words if word not in allowed]:
            raise argparse.ArgumentTypeError(
                f"unknown: {', '.join(unknown)}; choose from {', '.join(allowed)}"
            )
        return [word for word in allowed if word in words]

    return choose


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    start = time.monotonic()
    jax.config.update("jax_enable_compilation_cache", False)
    conditions = machine.describe()
    sizes = Sizes(blocks=options.blocks)
    setting = Setting(sizes)
    compare_outputs(setting, options.contenders)

    works = [name for name in WORKS if any(ROWS[key].work == name for key in options.rows)]
    samples: dict[str, Samples] = {}
    for name in works:
        work = WORKS[name]
        _progress(f"{name} ...")
        rounds = work.quick if options.quick else work.rounds
        samples |= work.measure(setting, options.contenders, rounds)
    samples = {key: samples[key] for key in options.rows}
    _print(report.table(ROWS, samples, options.contenders, _title(sizes, conditions)), options)

    growth = {}
    if options.sweep:
        _progress(f"growth over {options.sweep} blocks ...")
        growth = sweep(sizes, options.sweep, works, options.contenders, options.limit)
        growth = {key: growth[key] for key in options.rows if key in growth}
        _print(report.growth_table(ROWS, growth, options.sweep, options.limit), options)

    result = {
        "machine": conditions,
        "sizes": vars(sizes),
        "seconds": round(time.monotonic() - start),
        "rows": report.data(ROWS, samples),
        "growth": report.growth_data(growth),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    _progress(f"written to {options.out} after {result['seconds']} s")


def _title(sizes: Sizes, conditions) -> str:
    return (
        f"Transformer of {sizes.blocks} blocks, width {sizes.width}, "
        f"{sizes.batch} × {sizes.length} tokens; "
        f"{conditions['devices'][0]}, {conditions['cores']} cores"
    )


def _print(grid: report.Grid, options: argparse.Namespace) -> None:
    if options.markdown:
        print(report.markdown(grid), end="\n\n")
    else:
        report.show(grid)


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
