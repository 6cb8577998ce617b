"""What is measured in a process that has done nothing before: ``python -m benchmarks.fresh``.

Prints one number, in seconds::

    python -m benchmarks.fresh import linnet.linen
    python -m benchmarks.fresh init Linnet 24
    python -m benchmarks.fresh lazy_init Linnet 24

An import is timed after ``import jax``, which all contenders need. The first ``init`` is timed
with the library imported, the device awake and its arguments made; everything that ``init``
traces and compiles is part of it.
"""

import importlib
import sys
import time

import jax


def imported(module: str) -> float:
    start = time.perf_counter()
    importlib.import_module(module)
    return time.perf_counter() - start


def initialised(work: str, name: str, blocks: str) -> float:
    from benchmarks.measure import timed
    from benchmarks.models import build
    from benchmarks.models.transformer import Sizes, tokens

    sizes = Sizes(blocks=int(blocks))
    contender = build(name, sizes)
    key, ids = jax.block_until_ready((jax.random.key(0), tokens(sizes)))
    if work == "lazy_init":
        outline = jax.ShapeDtypeStruct(ids.shape, ids.dtype)
        return timed(lambda: contender.lazy_init(key, outline))[0]
    return timed(lambda: contender.init(key, ids))[0]


if __name__ == "__main__":
    jax.config.update("jax_enable_compilation_cache", False)
    work, *arguments = sys.argv[1:]
    print(imported(*arguments) if work == "import" else initialised(work, *arguments))
