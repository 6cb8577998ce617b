"""The names of ``flax.nnx.rnglib``: streams of random keys."""

from linnet.base.typing import MISSING, Missing
from linnet.nnx import (
    Pytree,
    RngCount,
    RngKey,
    Rngs,
    RngState,
    RngStream,
    Variable,
    fork_rngs,
    reseed,
    restore_rngs,
    split_rngs,
    with_rngs,
)
from linnet.nnx.rng_changes import SplitBackups, backup_keys

__all__ = [
    "MISSING",
    "Missing",
    "Pytree",
    "RngCount",
    "RngKey",
    "RngState",
    "RngStream",
    "Rngs",
    "SplitBackups",
    "Variable",
    "backup_keys",
    "fork_rngs",
    "reseed",
    "restore_rngs",
    "split_rngs",
    "with_rngs",
]
