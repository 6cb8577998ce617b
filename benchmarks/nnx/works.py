"""How each figure of the second table is taken.

Calls are timed in the steady state: everything compiled, nothing changed in the model but values.
A call ends when its result is there, so that the figure includes running the program, which is the
same for all; what differs is what stands before and after it.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import flax.nnx
import jax
import jax.numpy as jnp

import linnet.nnx
from benchmarks.measure import Figures, Samples, fresh, interleave, timed
from benchmarks.models.transformer import Sizes, tokens
from benchmarks.nnx.chains import CONTENDERS, Calls
from benchmarks.nnx.transformer import transformer
from benchmarks.setting import compare

LIBRARIES = {"Linnet": linnet.nnx, "Flax": flax.nnx}
IMPORTS = {"Linnet": "linnet.nnx", "Flax": "flax.nnx", "Equinox": "equinox"}
BUDGET = 30.0  # seconds for a contender in one work
LIMIT = 15.0  # seconds that one figure may take, judging from the size before
FEATURES = 4  # of the layers that are made abstractly


def imports(names: Sequence[str], rounds: int) -> dict[str, Samples]:
    """Importing the library, beyond importing JAX, each in a process of its own."""

    def body(name: str) -> Figures:
        return {"import": fresh("import", IMPORTS[name])}

    return interleave(body, [name for name in names if name in IMPORTS], rounds, warmup=True)


@cache
def chain(name: str, variables: int) -> Calls:
    """The calls of a contender; ``variables`` is even."""
    return CONTENDERS[name](variables // 2)


def forget() -> None:
    """Let go what was compiled: programs of many parts fill the memory that holds code."""
    chain.cache_clear()
    jax.clear_caches()
    gc.collect()


def calls(
    kind: str, key: str, variables: int, names: Sequence[str], rounds: int
) -> dict[str, Samples]:
    """Compiled calls of chains: ``kind`` is "forward" or "step"."""
    able = [name for name in names if name in CONTENDERS]
    able = [name for name in able if getattr(chain(name, variables), kind) is not None]
    repeats = max(10, 400 // variables)

    def body(name: str) -> Figures:
        call = getattr(chain(name, variables), kind)
        call()  # so that nobody pays for what his predecessor left in the caches
        return {key: timed(call, repeats=repeats)[0]}

    # compiled before the first round, and compared
    compare({name: getattr(chain(name, variables), kind)() for name in able}, kind)
    return interleave(body, able, rounds, warmup=True, budget=BUDGET)


# --- functions of a model -------------------------------------------------------------------


@cache
def model(name: str) -> Any:
    """The transformer on a library, and its structure and state."""
    nnx = LIBRARIES[name]
    made = transformer(nnx, Sizes())(nnx.Rngs(0))
    return made, *nnx.split(made)


def functions(names: Sequence[str], rounds: int) -> dict[str, Samples]:
    """Making, taking apart, putting together, updating and copying a model."""
    sizes = Sizes()

    def body(name: str) -> Figures:
        nnx = LIBRARIES[name]
        made, graphdef, state = model(name)
        cls = type(made)
        works: dict[str, Callable[[], Any]] = {
            "construct": lambda: cls(nnx.Rngs(0)).head.bias[...],
            "split": lambda: (nnx.split(made), None)[1],
            "merge": lambda: (nnx.merge(graphdef, state), None)[1],
            "state": lambda: (nnx.state(made), None)[1],
            "update": lambda: nnx.update(made, state),
            "clone": lambda: (nnx.clone(made), None)[1],
            "trace": lambda: (_traced(nnx, made, tokens(sizes)), None)[1],
        }
        repeats = {"construct": 3, "trace": 1}
        return {key: timed(work, repeats.get(key, 10))[0] for key, work in works.items()}

    able = [name for name in names if name in LIBRARIES]
    compare({name: model(name)[0](tokens(sizes)) for name in able}, "logits")
    return interleave(body, able, rounds, warmup=True)


def _traced(nnx: Any, made: Any, ids: jax.Array) -> Any:
    # a new function, because JAX would know an old one again and trace nothing
    return nnx.jit(lambda model, ids: model(ids)).trace(made, ids)


# --- abstract models ------------------------------------------------------------------------


def abstract(counts: Sequence[int], names: Sequence[str]) -> dict[str, dict[int, float]]:
    """Seconds of ``eval_shape`` of a model of many layers, for each contender and size."""
    found: dict[str, dict[int, float]] = {}
    for name in names:
        if name not in LIBRARIES:
            continue
        nnx = LIBRARIES[name]
        costs = found[name] = {}
        for count in counts:
            before = max(costs, default=0)
            # judged by its growth from the size before, which may be quadratic
            if before and costs[before] * (count / before) ** 2 > LIMIT:
                break
            make = partial(_make, nnx, count)
            costs[count] = min(timed(make)[0] for _ in range(2))
            print(f"eval_shape {name} {count}", file=sys.stderr, flush=True)
    return found


def _make(nnx: Any, count: int) -> None:
    def layers() -> Any:
        rngs = nnx.Rngs(0)
        return nnx.List([nnx.Linear(FEATURES, FEATURES, rngs=rngs) for _ in range(count)])

    made = nnx.eval_shape(layers)
    if made[count - 1].kernel.get_value().shape != jnp.shape(jnp.ones((FEATURES, FEATURES))):
        raise AssertionError("eval_shape returned other shapes than were asked for")
