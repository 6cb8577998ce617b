"""Every error that Linnet raises on purpose, in one tree under :class:`LinnetError`.

A message answers three questions, in this order: what was done, with which values; why that cannot
work; which line to write instead. A class here builds its own message from the facts of the case,
so that one mistake reads the same wherever it is made, and tests hold each message to its three
answers. Paths are written as they lie in the variables: ``/encoder/layers_3/mlp``.

Where Flax has an error for the mistake, the class bears Flax's name, and code that catches it by
name goes on working. Two rules follow from that: names here are not ours to tidy, and a class that
Flax raises as a plain ``ValueError``, ``TypeError`` or ``AttributeError`` inherits from that too.
"""

from linnet.base.errors.data import (
    FlaxAlreadyImportedError as FlaxAlreadyImportedError,
    GradientStructureError as GradientStructureError,
    SerializationError as SerializationError,
    ShapeMismatchError as ShapeMismatchError,
    StateDictMismatchError as StateDictMismatchError,
    UnserializableTypeError as UnserializableTypeError,
    misfit_text as misfit_text,
    trained_collections as trained_collections,
    trained_kinds as trained_kinds,
    unread_state as unread_state,
)
from linnet.base.errors.lifting import (
    MISSING_INSIDE as MISSING_INSIDE,
    ArgumentNumberError as ArgumentNumberError,
    AxesError as AxesError,
    AxisSizeError as AxisSizeError,
    CarryStructureError as CarryStructureError,
    IgnoredKeywordsWarning as IgnoredKeywordsWarning,
    LiftedArgumentError as LiftedArgumentError,
    LoopDependenceError as LoopDependenceError,
    NoSuchMethodError as NoSuchMethodError,
    ReduceAxesError as ReduceAxesError,
    ScanArgumentError as ScanArgumentError,
    ScanResultError as ScanResultError,
    StaticArgumentError as StaticArgumentError,
    TransformedMethodReturnValueError as TransformedMethodReturnValueError,
    TransformTargetError as TransformTargetError,
    UnboundTransformedError as UnboundTransformedError,
    left_outside as left_outside,
)
from linnet.base.errors.modules import (
    ApplyModuleInvalidMethodError as ApplyModuleInvalidMethodError,
    AssignSubModuleError as AssignSubModuleError,
    CallCompactUnboundModuleError as CallCompactUnboundModuleError,
    CallSetupUnboundModuleError as CallSetupUnboundModuleError,
    CallShareScopeOnUnboundModuleError as CallShareScopeOnUnboundModuleError,
    CallUnbindOnUnboundModuleError as CallUnbindOnUnboundModuleError,
    DescriptorAttributeError as DescriptorAttributeError,
    IncorrectPostInitOverrideError as IncorrectPostInitOverrideError,
    InvalidInstanceModuleError as InvalidInstanceModuleError,
    InvalidScopeError as InvalidScopeError,
    MissingAttributeError as MissingAttributeError,
    MultipleMethodsCompactError as MultipleMethodsCompactError,
    NameInUseError as NameInUseError,
    ReservedModuleAttributeError as ReservedModuleAttributeError,
    SetAttributeFrozenModuleError as SetAttributeFrozenModuleError,
    SetAttributeInModuleSetupError as SetAttributeInModuleSetupError,
    UnboundModuleError as UnboundModuleError,
    VariableOutsideSetupError as VariableOutsideSetupError,
)
from linnet.base.errors.streams import (
    InvalidSeedError as InvalidSeedError,
    MissingCacheError as MissingCacheError,
    MissingStreamsError as MissingStreamsError,
    StackedKeysError as StackedKeysError,
    UndecidedModeError as UndecidedModeError,
    UnknownStreamError as UnknownStreamError,
)
from linnet.base.errors.transforms import (
    BoundMethodError as BoundMethodError,
    ConflictingPlacementError as ConflictingPlacementError,
    LostUpdateWarning as LostUpdateWarning,
    MappedUpdateError as MappedUpdateError,
    StateMismatchError as StateMismatchError,
    TraceContextError as TraceContextError,
    UncarriedUpdateWarning as UncarriedUpdateWarning,
    UnplacedVariableError as UnplacedVariableError,
    VariableReplacedWarning as VariableReplacedWarning,
)
from linnet.base.errors.variables import (
    ApplyScopeInvalidVariablesStructureError as ApplyScopeInvalidVariablesStructureError,
    ApplyScopeInvalidVariablesTypeError as ApplyScopeInvalidVariablesTypeError,
    InvalidFilterError as InvalidFilterError,
    InvalidRngError as InvalidRngError,
    JaxTransformError as JaxTransformError,
    KindError as KindError,
    LazyInitError as LazyInitError,
    MisfitError as MisfitError,
    ModifyScopeVariableError as ModifyScopeVariableError,
    PartitioningUnspecifiedError as PartitioningUnspecifiedError,
    ScopeCollectionNotFound as ScopeCollectionNotFound,
    ScopeParamNotFoundError as ScopeParamNotFoundError,
    ScopeParamShapeError as ScopeParamShapeError,
    ScopeVariableNotFoundError as ScopeVariableNotFoundError,
    differentiated_state as differentiated_state,
    made_of_zeros as made_of_zeros,
)
from linnet.base.errors.words import (
    LinnetError as LinnetError,
    LinnetWarning as LinnetWarning,
    listing as listing,
    misspelt as misspelt,
    near as near,
    no_such_name as no_such_name,
    path_text as path_text,
    place as place,
    short as short,
)

FlaxError = LinnetError
