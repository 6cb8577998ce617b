"""Which module of Linnet stands for which module of Flax."""

from linnet.as_flax.names import MODULES as _GATHERED
from linnet.base.names import publish
from linnet.linen.names import MODULES as _LINEN
from linnet.nnx.names import MODULES as _NNX

VERSION = "0.12.12"

publish("linnet.as_flax", _GATHERED)


def _homes(package: str, table: dict[str, str]) -> dict[str, str]:
    """Return the modules of a table under Flax's names, with where they are here."""
    return {
        f"flax.{package}.{name}": f"linnet.{package}.{name}" if ":" in entry else entry
        for name, entry in table.items()
    }


# the modules of NNX that are files of their own under Flax's names
_OWN = (
    *("compat", "spmd", "summary", "training", "training.ema", "training.metrics"),
    *("training.optimizer", "transforms"),
)

MODULES = {
    "flax": "linnet.as_flax.flax",
    "flax.configurations": "linnet.base.config",
    "flax.core": "linnet.as_flax.core",
    "flax.core.axes_scan": "linnet.lift.axes",
    "flax.core.frozen_dict": "linnet.tree.frozen_dict",
    "flax.core.meta": "linnet.as_flax.meta",
    "flax.core.scope": "linnet.as_flax.scope",
    "flax.core.variables": "linnet.as_flax.variables",
    "flax.errors": "linnet.base.errors",
    "flax.ids": "linnet.base.ids",
    "flax.jax_utils": "linnet.training.replication",
    "flax.linen": "linnet.linen",
    "flax.linen.transforms": "linnet.linen.transforms",
    **_homes("linen", _LINEN),
    "flax.nnx": "linnet.nnx",
    **{f"flax.nnx.{name}": f"linnet.nnx.{name}" for name in _OWN},
    **_homes("nnx", _NNX),
    "flax.serialization": "linnet.tree.serialization",
    "flax.struct": "linnet.tree.struct",
    "flax.traceback_util": "linnet.base.traceback",
    "flax.training": "linnet.as_flax.training",
    "flax.training.common_utils": "linnet.training.replication",
    "flax.training.train_state": "linnet.training.train_state",
    "flax.traverse_util": "linnet.as_flax.traverse_util",
    "flax.typing": "linnet.as_flax.typing",
    "flax.version": "linnet.as_flax.version",
}
del MODULES["flax.nnx.object"]  # an attribute of ``nnx``, which is no module in Flax

# modules of Flax that a program may ask for in vain, for now
COMING = frozenset(
    (
        *("flax.core.lift", "flax.core.nn", "flax.cursor", "flax.io", "flax.linen.batch_apply"),
        *("flax.linen.fp8_ops", "flax.linen.kw_only_dataclasses", "flax.linen.recurrent"),
        *("flax.metrics", "flax.nnx.bridge", "flax.nnx.deprecations", "flax.nnx.extract"),
        *("flax.nnx.ids", "flax.nnx.nn.recurrent", "flax.nnx.proxy_caller", "flax.nnx.reprlib"),
        *("flax.nnx.tracers", "flax.nnx.transforms.general", "flax.training.checkpoints"),
        *("flax.training.dynamic_scale", "flax.training.early_stopping"),
        *("flax.training.lr_schedule", "flax.training.orbax_utils"),
        "flax.training.prefetch_iterator",
    )
)
