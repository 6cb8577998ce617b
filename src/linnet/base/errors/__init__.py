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
    FlaxAlreadyImportedError,
    GradientStructureError,
    SerializationError,
    StateDictMismatchError,
    UnserializableTypeError,
    misfit_text,
    trained_collections,
    unread_state,
)
from linnet.base.errors.modules import (
    ApplyModuleInvalidMethodError,
    AssignSubModuleError,
    CallCompactUnboundModuleError,
    CallSetupUnboundModuleError,
    CallShareScopeOnUnboundModuleError,
    CallUnbindOnUnboundModuleError,
    DescriptorAttributeError,
    IncorrectPostInitOverrideError,
    InvalidInstanceModuleError,
    InvalidScopeError,
    MissingAttributeError,
    MultipleMethodsCompactError,
    NameInUseError,
    ReservedModuleAttributeError,
    SetAttributeFrozenModuleError,
    SetAttributeInModuleSetupError,
    UnboundModuleError,
    VariableOutsideSetupError,
)
from linnet.base.errors.transforms import (
    ConflictingPlacementError,
    LostUpdateWarning,
    TraceContextError,
    UnplacedVariableError,
)
from linnet.base.errors.variables import (
    ApplyScopeInvalidVariablesStructureError,
    ApplyScopeInvalidVariablesTypeError,
    InvalidFilterError,
    InvalidRngError,
    JaxTransformError,
    KindError,
    LazyInitError,
    MisfitError,
    ModifyScopeVariableError,
    PartitioningUnspecifiedError,
    ScopeCollectionNotFound,
    ScopeParamNotFoundError,
    ScopeParamShapeError,
    ScopeVariableNotFoundError,
    differentiated_state,
)
from linnet.base.errors.words import (
    LinnetError,
    LinnetWarning,
    listing,
    misspelt,
    near,
    path_text,
    place,
    short,
)

FlaxError = LinnetError

__all__ = [
    "ApplyModuleInvalidMethodError",
    "ApplyScopeInvalidVariablesStructureError",
    "ApplyScopeInvalidVariablesTypeError",
    "AssignSubModuleError",
    "CallCompactUnboundModuleError",
    "CallSetupUnboundModuleError",
    "CallShareScopeOnUnboundModuleError",
    "CallUnbindOnUnboundModuleError",
    "ConflictingPlacementError",
    "DescriptorAttributeError",
    "FlaxAlreadyImportedError",
    "FlaxError",
    "GradientStructureError",
    "IncorrectPostInitOverrideError",
    "InvalidFilterError",
    "InvalidInstanceModuleError",
    "InvalidRngError",
    "InvalidScopeError",
    "JaxTransformError",
    "KindError",
    "LazyInitError",
    "LinnetError",
    "LinnetWarning",
    "LostUpdateWarning",
    "MisfitError",
    "MissingAttributeError",
    "ModifyScopeVariableError",
    "MultipleMethodsCompactError",
    "NameInUseError",
    "PartitioningUnspecifiedError",
    "ReservedModuleAttributeError",
    "ScopeCollectionNotFound",
    "ScopeParamNotFoundError",
    "ScopeParamShapeError",
    "ScopeVariableNotFoundError",
    "SerializationError",
    "SetAttributeFrozenModuleError",
    "SetAttributeInModuleSetupError",
    "StateDictMismatchError",
    "TraceContextError",
    "UnboundModuleError",
    "UnplacedVariableError",
    "UnserializableTypeError",
    "VariableOutsideSetupError",
    "differentiated_state",
    "listing",
    "misfit_text",
    "misspelt",
    "near",
    "path_text",
    "place",
    "short",
    "trained_collections",
    "unread_state",
]
