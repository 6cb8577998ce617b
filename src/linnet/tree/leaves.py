"""Taking some leaves out of a tree, and putting others in their places: two inverse halves."""

from collections.abc import Callable, Sequence
from typing import Any

import jax


def take_leaves(
    tree: Any, chosen: Callable[[Any], bool]
) -> tuple[list[Any], Callable[[Sequence[Any]], Any]]:
    """Takes out of a tree the leaves that a function chooses.

    Args:
        tree: the tree.
        chosen: tells of a leaf whether it is taken.

    Returns:
        The leaves taken, and a function from as many others to the tree with them in place.

    >>> taken, rebuild = take_leaves({"x": 2.0, "name": "a"}, lambda leaf: isinstance(leaf, float))
    >>> taken, rebuild([3.0])
    ([2.0], {'name': 'a', 'x': 3.0})
    """
    leaves, treedef = jax.tree.flatten(tree)
    places = [place for place, leaf in enumerate(leaves) if chosen(leaf)]

    def rebuild(others: Sequence[Any]) -> Any:
        full = list(leaves)
        for place, other in zip(places, others, strict=True):
            full[place] = other
        return jax.tree.unflatten(treedef, full)

    return [leaves[place] for place in places], rebuild


def is_array(leaf: Any) -> bool:
    """Tells whether a leaf is an array or has the shape and dtype of one."""
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def struct_of(value: Any, sharding: Any = None) -> jax.ShapeDtypeStruct:
    """Return the shape and dtype of an array or number, or of what has them, as JAX writes them.

    Args:
        value: the array.
        sharding: how it is laid out over devices, as far as that is known.

    >>> struct_of(2.0)
    ShapeDtypeStruct(shape=(), dtype=float32)
    """
    known = value if isinstance(value, jax.ShapeDtypeStruct) else jax.typeof(value)
    return jax.ShapeDtypeStruct(known.shape, known.dtype, sharding=sharding)


def abstract(tree: Any) -> Any:
    """Returns a tree with the shapes and dtypes of its arrays in their places.

    >>> abstract({"x": jax.numpy.ones(2), "name": "a"})
    {'name': 'a', 'x': ShapeDtypeStruct(shape=(2,), dtype=float32)}
    """
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if is_array(leaf) else leaf, tree
    )
