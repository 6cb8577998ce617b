"""Leaves are taken out of a tree and put back."""

import pytest

from linnet.tree.leaves import take_leaves


def is_float(leaf):
    """Choose floats."""
    return isinstance(leaf, float)


def test_taken_leaves_put_back_make_the_tree():
    """The two halves are inverse."""
    tree = {"a": [1.0, 2], "b": (3.0, None)}
    taken, rebuild = take_leaves(tree, is_float)
    assert taken == [1.0, 3.0]
    assert rebuild(taken) == tree
    assert rebuild([4.0, 5.0]) == {"a": [4.0, 2], "b": (5.0, None)}
    assert tree == {"a": [1.0, 2], "b": (3.0, None)}


def test_another_number_of_leaves_is_refused():
    """Nothing is dropped silently."""
    _, rebuild = take_leaves([1.0, 2.0], is_float)
    with pytest.raises(ValueError, match="shorter"):
        rebuild([1.0])
