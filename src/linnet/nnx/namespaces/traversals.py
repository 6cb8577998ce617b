"""The names of ``flax.nnx.traversals``: nested mappings as flat ones, and back."""

from linnet.tree.paths import empty_node, flatten_mapping, flatten_to_sequence, unflatten_mapping

__all__ = ["empty_node", "flatten_mapping", "flatten_to_sequence", "unflatten_mapping"]
