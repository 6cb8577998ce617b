"""How each figure is taken.

A *work* is something done once that yields the figures of one row or several: compiling the
gradient step says how long lowering and compiling took, and leaves a program whose run time and
memory are two rows more. It is given a setting, the contenders' names and a number of rounds, and
returns the samples of each row.

What JAX remembers between calls is part of the question, and answered alike for everyone:

* ``trace`` traces a function that JAX has not seen, so that the model itself is traced anew. What
  functions jitted within it keep stays warm, as it is from the second model onwards.
* ``eager`` has everything compiled that the library compiles piecewise.
* ``lower`` and ``compile`` start from ``jax.clear_caches()``: the first step of a process.
* ``import``, ``init`` and ``lazy_init`` run each in a process of its own.

JAX's cache on disk is off throughout.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from benchmarks.measure import Figures, Samples, fresh, interleave, timed
from benchmarks.models.contenders import ENTRIES
from benchmarks.models.transformer import Tree, training_step
from benchmarks.setting import Setting, compare

Work = Callable[[Setting, Sequence[str], int], dict[str, Samples]]

GRADIENT_BUDGET = 20.0  # seconds for a contender; some need more for one compilation
STEPS = 5  # runs of the compiled step to a figure


def imports(_setting: Setting, names: Sequence[str], rounds: int) -> dict[str, Samples]:
    def body(name: str) -> Figures:
        return {"import": fresh("import", ENTRIES[name].imports)}

    # the round before brings the files into the system's cache
    return interleave(body, [name for name in names if ENTRIES[name].imports], rounds, warmup=True)


def init(setting: Setting, names: Sequence[str], rounds: int) -> dict[str, Samples]:
    """Both ``init`` and ``lazy_init``, side by side because one's target is the other."""

    def body(name: str) -> Figures:
        lazy = setting.contender(name)[0].lazy_init is not None
        works = ("init", "lazy_init") if lazy else ("init",)
        return {work: fresh(work, name, setting.sizes.blocks) for work in works}

    return interleave(body, names, rounds)


def trace(setting: Setting, names: Sequence[str], rounds: int) -> dict[str, Samples]:
    def body(name: str) -> Figures:
        contender, params = setting.contender(name)
        # a lambda, because JAX would know contender.apply again and trace nothing
        unseen = jax.jit(lambda params, ids: contender.apply(params, ids))  # noqa: PLW0108
        return {"trace": timed(lambda: unseen.trace(params, setting.ids))[0]}

    return interleave(body, names, rounds, warmup=True)


def eager(setting: Setting, names: Sequence[str], rounds: int) -> dict[str, Samples]:
    def body(name: str) -> Figures:
        contender, params = setting.contender(name)
        return {"eager": timed(lambda: contender.apply(params, setting.ids))[0]}

    return interleave(body, names, rounds, warmup=True)


def gradient(setting: Setting, names: Sequence[str], rounds: int) -> dict[str, Samples]:
    """Lowers and compiles the training step, then runs what was compiled."""
    steps: dict[str, Callable[[Tree, jax.Array], tuple[jax.Array, Tree]]] = {}

    def compile_step(name: str) -> Figures:
        contender, params = setting.contender(name)
        step = jax.jit(training_step(contender))
        jax.clear_caches()
        lowering, lowered = timed(lambda: step.lower(params, setting.ids))
        compiling, steps[name] = timed(lowered.compile)
        return {
            "lower": lowering,
            "compile": compiling,
            "gradient": lowering + compiling,
            "memory": steps[name].memory_analysis().temp_size_in_bytes,
        }

    def run(name: str) -> Figures:
        _, params = setting.contender(name)
        # once before, so that nobody pays for what his predecessor left in the caches
        jax.block_until_ready(steps[name](params, setting.ids))
        return {"run": timed(lambda: steps[name](params, setting.ids), repeats=STEPS)[0]}

    compiling = interleave(compile_step, names, rounds, budget=GRADIENT_BUDGET)
    compare(
        {
            name: _summary(step(setting.contender(name)[1], setting.ids))
            for name, step in steps.items()
        },
        "loss and norm of the gradient",
    )
    return compiling | interleave(run, names, 4 * rounds, warmup=True)


def _summary(result: tuple[jax.Array, Tree]) -> tuple[jax.Array, jax.Array]:
    """What can be compared between trees of different form: the loss, the gradient's norm."""
    loss, gradients = result
    return loss, jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradients)))
