"""The names of ``flax.nnx.traversals``: nested mappings as flat ones, and back."""

from linnet.tree.paths import (
    empty_node as empty_node,
    flatten_mapping as flatten_mapping,
    flatten_to_sequence as flatten_to_sequence,
    unflatten_mapping as unflatten_mapping,
)
