"""The names of ``flax.nnx.variablelib``: variables and their kinds."""

from linnet.base.config import config
from linnet.base.typing import MISSING, Missing
from linnet.nnx import (
    BatchStat,
    Cache,
    Intermediate,
    Param,
    Perturbation,
    Variable,
    VariableMetadata,
    register_variable_name,
    use_eager_sharding,
    using_eager_sharding,
    var_defaults,
    variable_name_from_type,
    variable_type_from_name,
    with_metadata,
)
from linnet.nnx.views import VarDefaults

__all__ = [
    "MISSING",
    "BatchStat",
    "Cache",
    "Intermediate",
    "Missing",
    "Param",
    "Perturbation",
    "VarDefaults",
    "Variable",
    "VariableMetadata",
    "config",
    "register_variable_name",
    "use_eager_sharding",
    "using_eager_sharding",
    "var_defaults",
    "variable_name_from_type",
    "variable_type_from_name",
    "with_metadata",
]
