"""The names of ``flax.typing``."""

from linnet.base.typing import (
    MISSING as MISSING,
    Array as Array,
    ArrayPytree as ArrayPytree,
    Axes as Axes,
    Axis as Axis,
    AxisName as AxisName,
    Collection as Collection,
    Dtype as Dtype,
    Initializer as Initializer,
    Key as Key,
    LaxPadding as LaxPadding,
    Leaf as Leaf,
    LogicalPartitionSpec as LogicalPartitionSpec,
    LogicalPartitionSpecPytree as LogicalPartitionSpecPytree,
    Missing as Missing,
    MutableCollection as MutableCollection,
    MutableVariableDict as MutableVariableDict,
    PaddingLike as PaddingLike,
    PartitionSpecPytree as PartitionSpecPytree,
    PrecisionLike as PrecisionLike,
    PRNGFoldable as PRNGFoldable,
    PRNGKey as PRNGKey,
    RNGSequences as RNGSequences,
    Shape as Shape,
    ShapeDtype as ShapeDtype,
    Sharding as Sharding,
    VariableDict as VariableDict,
    has_shape_dtype as has_shape_dtype,
    is_key_like as is_key_like,
)
from linnet.lift.axes import (
    In as In,
    InOutAxis as InOutAxis,
    InOutScanAxis as InOutScanAxis,
    Out as Out,
    ScanAxis as ScanAxis,
)
from linnet.state.logical import LogicalNames as LogicalNames, LogicalRules as LogicalRules
from linnet.tree.frozen_dict import (
    FrozenDict as FrozenDict,
    FrozenVariableDict as FrozenVariableDict,
)
