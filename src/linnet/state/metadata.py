"""Boxes: values that carry metadata about their axes.

An initializer may return a box in place of an array. The variables of a model then hold the box,
and a module that reads the variable gets the value inside: what is known of the axes travels with
the value and stays out of the arithmetic. A transform that adds an axis to a variable, or takes one
away, tells the box through ``add_axis`` and ``remove_axis``.

A box is a pytree whose leaves are its value's. The functions here take a tree in which boxes and
plain leaves stand side by side, and treat every box as one leaf.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Generic, NoReturn, Self, TypeVar

import jax

A = TypeVar("A")


class AxisMetadata(Generic[A]):
    """The base of every box. A subclass must be a pytree and define the four methods below.

    It is no abstract base class: ``isinstance`` of one costs several times as much, and every
    variable that is read is asked whether it is a box.
    """

    def unbox(self) -> A:
        """Returns the value inside, ready to be computed with."""
        self._missing("unbox")

    def replace_boxed(self, val: Any) -> "AxisMetadata[Any]":
        """Returns a box of the same metadata around another value.

        Args:
            val: the value.
        """
        self._missing("replace_boxed")

    def add_axis(self, index: int, params: Mapping[Any, Any]) -> Self:
        """Returns the box as it is after its value has got one more axis.

        Args:
            index: where the axis is.
            params: what the transform says about the axis (its ``metadata_params``).
        """
        self._missing("add_axis")

    def remove_axis(self, index: int, params: Mapping[Any, Any]) -> Self:
        """Returns the box as it is after its value has lost an axis; undoes ``add_axis``.

        Args:
            index: where the axis was.
            params: what the transform says about the axis (its ``metadata_params``).
        """
        self._missing("remove_axis")

    def _missing(self, method: str) -> NoReturn:
        name = type(self).__name__
        raise NotImplementedError(
            f"{name} is a box, for it inherits from AxisMetadata, but does not define {method}; "
            f"write `def {method}(self, ...)` in class {name}"
        )


def is_axis_metadata(val: Any) -> bool:
    """Says whether a value is a box.

    Args:
        val: the value.
    """
    return isinstance(val, AxisMetadata)


def map_axis_meta(fn: Callable[[AxisMetadata[Any]], Any], tree: Any) -> Any:
    """Returns the tree with a function of each box in its place, and everything else as it is.

    Args:
        fn: takes a box.
        tree: a pytree that may hold boxes.
    """
    return jax.tree.map(
        lambda leaf: fn(leaf) if isinstance(leaf, AxisMetadata) else leaf,
        tree,
        is_leaf=is_axis_metadata,
    )


def unbox(tree: Any) -> Any:
    """Returns the tree with each box replaced by the value inside it, to the innermost.

    Args:
        tree: a pytree that may hold boxes, or be one.
    """
    if isinstance(tree, AxisMetadata):
        return unbox(tree.unbox())
    if isinstance(tree, jax.Array):
        return tree
    return map_axis_meta(unbox, tree)


def replace_boxed(tree: Any, updates: Any) -> Any:
    """Returns the tree with the values of another one, put into the boxes where there are boxes.

    Args:
        tree: a pytree that may hold boxes.
        updates: a tree of the same structure once ``tree`` is unboxed.

    Raises:
        ValueError: the structures differ.
    """

    def place(old: Any, new: Any) -> Any:
        if isinstance(old, AxisMetadata):
            # Inside a box there may be another one.
            return old.replace_boxed(replace_boxed(old.unbox(), new))
        return new

    return jax.tree.map(place, tree, updates, is_leaf=is_axis_metadata)


def add_axis(tree: Any, index: int, params: Mapping[Any, Any]) -> Any:
    """Tells every box of a tree that its value has got one more axis.

    Args:
        tree: a pytree that may hold boxes.
        index: where the axis is.
        params: what the transform says about the axis.
    """
    return map_axis_meta(lambda box: box.add_axis(index, params), tree)


def remove_axis(tree: Any, index: int, params: Mapping[Any, Any]) -> Any:
    """Tells every box of a tree that its value has lost an axis; undoes ``add_axis``.

    Args:
        tree: a pytree that may hold boxes.
        index: where the axis was.
        params: what the transform says about the axis.
    """
    return map_axis_meta(lambda box: box.remove_axis(index, params), tree)


def same_boxed(one: Any, other: Any) -> bool:
    """Tell whether two values are the same objects, in boxes that say the same of them."""
    if one is other:
        return True
    (leaves, treedef), (others, other_def) = jax.tree.flatten(one), jax.tree.flatten(other)
    return treedef == other_def and all(map(operator.is_, leaves, others))
