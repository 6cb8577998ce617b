"""``python -m benchmarks.nnx``: measures, prints the table, writes it as JSON."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import jax

from benchmarks import machine, report
from benchmarks.measure import Samples
from benchmarks.nnx import works
from benchmarks.nnx.chains import CONTENDERS
from benchmarks.rows import Row, Target
from benchmarks.sweep import slope

SIZES = (10, 100, 400, 1600)
QUICK = (10, 100)
MANY = 400
LAYERS = (50, 100, 200, 400, 800)
LAYERS_QUICK = (10, 20)
SHOWN = ("Linnet", "Flax", "Equinox", "nested dict", "flat tuple")  # in the first table
LARGE = ("Linnet", "Flax", "nested dict", "flat tuple")  # with the largest models
RIVALS = ("Flax", "nested dict", "flat tuple")


def rows(sizes: Sequence[int]) -> dict[str, Row]:
    """The rows of the table, and what is aimed at."""

    def of_flax(key: str, limit: float) -> tuple[Target, ...]:
        return (Target(limit, ((key, "Flax"),)),)

    found = {"import": Row("import", "import, beyond import jax", targets=(Target(0.06),))}
    for n in sizes:
        key = f"forward {n}"
        # what is aimed at is the cost of many variables; a small call costs what any call does
        aims = Target(1.0, ((key, "nested dict"),)), Target(0.02, ((key, "Flax"),))
        title = f"nnx.jit, forward, {n} variables"
        found[key] = Row("calls", title, targets=aims if n >= MANY else ())
    for n in sizes:
        key = f"step {n}"
        aims = (Target(1.05, ((key, "nested dict"),)),)
        title = f"nnx.jit, step with optax, {n} variables"
        found[key] = Row("calls", title, targets=aims if n >= MANY else ())
    for key in ("construct", "split", "merge", "state", "update", "clone"):
        found[key] = Row("functions", f"{key}, 389 variables", targets=of_flax(key, 0.25))
    found["trace"] = Row("functions", "trace nnx.jit, 24-block transformer")
    found["abstract"] = Row(
        "abstract", "eval_shape of 400 layers", targets=of_flax("abstract", 0.05)
    )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nnx", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller models")
    parser.add_argument("--contenders", default=",".join(CONTENDERS).replace(", ", "; "))
    parser.add_argument(
        "--sizes",
        type=lambda text: tuple(map(int, text.split(","))),
        help="numbers of variables, even and rising",
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--out", type=Path, default=Path("out/bench/nnx.json"))
    options = parser.parse_args(arguments)
    names = [name.replace("; ", ", ") for name in options.contenders.split(",")]
    if unknown := set(names) - set(CONTENDERS):
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(CONTENDERS)}")
    start = time.monotonic()
    jax.config.update("jax_enable_compilation_cache", False)
    conditions = machine.describe()
    sizes, counts = (QUICK, LAYERS_QUICK) if options.quick else (SIZES, LAYERS)
    sizes = options.sizes or sizes
    table = rows(sizes)
    samples: dict[str, Samples] = {}

    _progress("import ...")
    samples |= works.imports(names, 1 if options.quick else 4)
    for kind in ("forward", "step"):
        for n in sizes:
            _progress(f"{kind}, {n} variables ...")
            rounds = 3 if options.quick else 15
            # the largest chains take half a minute to compile, and are compiled for fewer
            able = names if n <= MANY else [name for name in names if name in LARGE]
            samples |= works.calls(kind, f"{kind} {n}", n, able, rounds)
            works.forget()
    _progress("functions of a model ...")
    samples |= works.functions(names, 2 if options.quick else 7)
    _progress("abstract models ...")
    growth = works.abstract(counts, names)
    most = 400 if 400 in counts else counts[-1]
    samples["abstract"] = {name: [costs[most]] for name, costs in growth.items() if most in costs}

    title = f"NNX; {conditions['devices'][0]}, {conditions['cores']} cores"
    grids = [
        report.table(table, samples, [n for n in SHOWN if n in names], title, RIVALS),
        _growth(samples, sizes, growth, counts, names),
    ]
    for grid in grids:
        if options.markdown:
            print(report.markdown(grid), end="\n\n")
        else:
            report.show(grid)
    result = {
        "machine": conditions,
        "seconds": round(time.monotonic() - start),
        "rows": report.data(table, samples),
        "eval_shape": growth,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    _progress(f"written to {options.out} after {result['seconds']} s")


def _growth(samples, sizes, growth, counts, names) -> report.Grid:
    """What a variable more costs a call, and what a layer more costs an abstract model."""
    lines = []
    for kind in ("forward", "step"):
        for name in names:
            found = {
                n: sorted(samples[f"{kind} {n}"][name])[len(samples[f"{kind} {n}"][name]) // 2]
                for n in sizes
                if name in samples.get(f"{kind} {n}", {})
            }
            if found:
                cells = [report.amount(found.get(n), "s") for n in sizes]
                lines.append([f"{kind}, {_listed(sizes)} variables", name, *cells])
                lines[-1] += [""] * (len(counts) - len(sizes)) + [report.amount(slope(found), "s")]
    for name, costs in growth.items():
        cells = [report.amount(costs.get(n), "s") for n in counts]
        slopes = report.amount(slope(costs), "s")
        lines.append([f"eval_shape, {_listed(counts)} layers", name, *cells, slopes])
    width = max(len(sizes), len(counts))
    columns = ["work", "", *(f"size {i + 1}" for i in range(width)), "per variable or layer"]
    note = (
        "– was not taken: the largest chains for some contenders, and what would have taken more "
        f"than {works.LIMIT:g} s, judging from the size before."
    )
    return report.Grid("Growth", columns, lines, [note])


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
