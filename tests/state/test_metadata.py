"""Boxes, and the functions that see through them, beside Flax's."""

import flax.core.meta as reference
import jax
import jax.numpy as jnp
import pytest

from differential.programs import assert_same_text
from linnet.state import metadata, partitioning
from linnet.tree import struct


class ours:
    """The names of flax.core.meta, which stand in two of our files."""


for _home in (metadata, partitioning):
    for _name in vars(_home):
        setattr(ours, _name, getattr(_home, _name))

LAYERS = {partitioning.PARTITION_NAME: "layers"}


def tree(m):
    """A tree with a box, a box in a box, and leaves without a box."""
    return {
        "box": m.Partitioned(1, ("a", "b")),
        "twice": m.Partitioned(m.Partitioned(2, ("c",)), ("d",)),
        "list": [m.Partitioned(3, (None,)), 4],
        "none": None,
        "text": "x",
    }


# Computed with both libraries and compared as text, or by class of error.
PROGRAMS = [
    tree,
    lambda m: m.unbox(tree(m)),
    lambda m: m.unbox(m.Partitioned(m.Partitioned(2, ("c",)), ("d",))),
    lambda m: m.unbox(3),
    lambda m: m.replace_boxed(tree(m), jax.tree.map(lambda x: x, m.unbox(tree(m)))),
    lambda m: m.replace_boxed({"a": m.Partitioned(1, ()), "b": 2}, {"a": 3, "b": 4}),
    lambda m: m.replace_boxed({"a": m.Partitioned(1, ()), "b": 2}, {"a": 3}),
    lambda m: m.map_axis_meta(lambda box: box.names, tree(m)),
    lambda m: m.add_axis(tree(m), 0, LAYERS),
    lambda m: m.add_axis(tree(m), 1, LAYERS),
    lambda m: m.remove_axis(m.add_axis(tree(m), 0, LAYERS), 0, LAYERS),
    lambda m: [m.is_axis_metadata(x) for x in (tree(m)["box"], 3, None, m.Partitioned)],
    lambda m: jax.tree.leaves(tree(m)),
    lambda m: jax.tree_util.tree_flatten_with_path(tree(m))[0],
    lambda m: jax.tree.map(lambda x: x, m.Partitioned({"x": 1}, ("a",))),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_as_flax(program):
    """The same program gives the same result, or the same class of error, as Flax."""
    assert_same_text(program, libraries=(reference, ours))


def test_arrays_are_returned_as_they_are():
    """Unboxing what has no box costs no copy."""
    x = jnp.ones(3)
    assert metadata.unbox(x) is x
    assert metadata.unbox({"x": x})["x"] is x


def test_a_box_of_ones_own():
    """A user's box takes part in every function once it defines the four methods."""

    class Scaled(struct.PyTreeNode, metadata.AxisMetadata):
        value: object
        axes: int = struct.field(pytree_node=False, default=0)

        def unbox(self):
            return self.value * 2

        def replace_boxed(self, val):
            return self.replace(value=val)

        def add_axis(self, index, params):
            return self.replace(axes=self.axes + 1)

        def remove_axis(self, index, params):
            return self.replace(axes=self.axes - 1)

    boxes = {"a": Scaled(3)}
    assert metadata.unbox(boxes) == {"a": 6}
    assert metadata.replace_boxed(boxes, {"a": 5}) == {"a": Scaled(5)}
    assert metadata.add_axis(boxes, 0, {}) == {"a": Scaled(3, 1)}
    assert metadata.remove_axis(metadata.add_axis(boxes, 0, {}), 0, {}) == boxes


def test_an_unfinished_box_says_what_is_missing():
    """A box without one of the four methods is told which to write."""

    class Bare(metadata.AxisMetadata):
        pass

    for call in (
        lambda box: box.unbox(),
        lambda box: box.replace_boxed(1),
        lambda box: box.add_axis(0, {}),
        lambda box: box.remove_axis(0, {}),
    ):
        with pytest.raises(NotImplementedError, match=r"write `def \w+\(self, \.\.\.\)` in class"):
            call(Bare())
