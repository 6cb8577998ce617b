"""The names of ``flax.nnx.rnglib``: streams of random keys."""

from linnet.base.typing import (
    MISSING as MISSING,
    Missing as Missing,
)
from linnet.nnx import (
    Pytree as Pytree,
    RngCount as RngCount,
    RngKey as RngKey,
    Rngs as Rngs,
    RngState as RngState,
    RngStream as RngStream,
    Variable as Variable,
    fork_rngs as fork_rngs,
    reseed as reseed,
    restore_rngs as restore_rngs,
    split_rngs as split_rngs,
    with_rngs as with_rngs,
)
from linnet.nnx.rng_changes import (
    SplitBackups as SplitBackups,
    backup_keys as backup_keys,
)
