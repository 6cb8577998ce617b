"""Which module of Linnet stands for which module of Flax.

Where Linnet spreads over several modules what Flax has in one, the names are gathered by a façade
in ``linnet.as_flax.modules``.
"""

VERSION = "0.12.8"

MODULES = {
    "flax": "linnet.as_flax.modules.flax",
    "flax.configurations": "linnet.base.config",
    "flax.core": "linnet.as_flax.modules.core",
    "flax.core.axes_scan": "linnet.lift.axes",
    "flax.core.frozen_dict": "linnet.tree.frozen_dict",
    "flax.core.meta": "linnet.as_flax.modules.meta",
    "flax.core.scope": "linnet.as_flax.modules.scope",
    "flax.core.variables": "linnet.as_flax.modules.variables",
    "flax.errors": "linnet.base.errors",
    "flax.ids": "linnet.base.ids",
    "flax.jax_utils": "linnet.training.replication",
    "flax.linen": "linnet.linen",
    "flax.linen.activation": "linnet.linen.activation",
    "flax.linen.attention": "linnet.linen.attention",
    "flax.linen.combinators": "linnet.linen.combinators",
    "flax.linen.dtypes": "linnet.linen.dtypes",
    "flax.linen.initializers": "linnet.linen.initializers",
    "flax.linen.linear": "linnet.linen.linear",
    "flax.linen.module": "linnet.linen.module",
    "flax.linen.normalization": "linnet.linen.normalization",
    "flax.linen.partitioning": "linnet.as_flax.modules.partitioning",
    "flax.linen.pooling": "linnet.linen.pooling",
    "flax.linen.spmd": "linnet.linen.spmd",
    "flax.linen.stochastic": "linnet.linen.stochastic",
    "flax.linen.summary": "linnet.linen.summary",
    "flax.linen.transforms": "linnet.linen.transforms",
    "flax.serialization": "linnet.tree.serialization",
    "flax.struct": "linnet.tree.struct",
    "flax.traceback_util": "linnet.base.traceback",
    "flax.training": "linnet.as_flax.modules.training",
    "flax.training.common_utils": "linnet.as_flax.modules.common_utils",
    "flax.training.train_state": "linnet.training.train_state",
    "flax.traverse_util": "linnet.as_flax.modules.traverse_util",
    "flax.typing": "linnet.as_flax.modules.typing",
    "flax.version": "linnet.as_flax.modules.version",
}
