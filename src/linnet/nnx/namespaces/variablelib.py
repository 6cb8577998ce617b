"""The names of ``flax.nnx.variablelib``: variables and their kinds."""

from linnet.base.config import (
    config as config,
)
from linnet.base.typing import (
    MISSING as MISSING,
    Missing as Missing,
)
from linnet.nnx import (
    BatchStat as BatchStat,
    Cache as Cache,
    Intermediate as Intermediate,
    Param as Param,
    Perturbation as Perturbation,
    Variable as Variable,
    VariableMetadata as VariableMetadata,
    register_variable_name as register_variable_name,
    use_eager_sharding as use_eager_sharding,
    using_eager_sharding as using_eager_sharding,
    var_defaults as var_defaults,
    variable_name_from_type as variable_name_from_type,
    variable_type_from_name as variable_type_from_name,
    with_metadata as with_metadata,
)
from linnet.nnx.views import (
    VarDefaults as VarDefaults,
)
