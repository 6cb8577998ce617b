"""The names of ``flax.traverse_util``."""

from linnet.tree.paths import (
    empty_node as empty_node,
    flatten_dict as flatten_dict,
    path_aware_map as path_aware_map,
    unflatten_dict as unflatten_dict,
)
from linnet.tree.traversal import (
    ModelParamTraversal as ModelParamTraversal,
    Traversal as Traversal,
    TraverseAttr as TraverseAttr,
    TraverseCompose as TraverseCompose,
    TraverseEach as TraverseEach,
    TraverseFilter as TraverseFilter,
    TraverseId as TraverseId,
    TraverseItem as TraverseItem,
    TraverseMerge as TraverseMerge,
    TraverseTree as TraverseTree,
    t_identity as t_identity,
)
