"""The names of ``flax.nnx.filterlib``: which variables an operation is about."""

from linnet.base.typing import (
    Key as Key,
)
from linnet.nnx import (
    All as All,
    Any as Any,
    Everything as Everything,
    Not as Not,
    Nothing as Nothing,
    OfType as OfType,
    PathContains as PathContains,
    PathIn as PathIn,
    WithTag as WithTag,
)
from linnet.state.filters import (
    Filter as Filter,
    Predicate as Predicate,
    to_predicate as to_predicate,
)
