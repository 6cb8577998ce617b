"""Flattening by path, beside Flax's."""

from types import MappingProxyType

import flax.traverse_util as reference
import jax
import pytest
from flax.core import FrozenDict as ReferenceFrozenDict
from flax.nnx import traversals
from hypothesis import given, settings, strategies as st

from linnet.tree import paths as ours
from linnet.tree.frozen_dict import FrozenDict
from linnet.tree.paths import empty_node, flatten_dict, path_aware_map, unflatten_dict

NESTED = {"a": 1, "b": {"c": 2, "d": {}}, "e": {}, "list": [{"x": 1}], "none": None}

names = st.text("abc", min_size=1, max_size=2)
trees = st.dictionaries(
    names,
    st.recursive(
        st.integers() | st.none() | st.lists(st.integers(), max_size=2),
        lambda inner: st.dictionaries(names, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def plain(tree):
    """Spells the stand-in for an empty dict the same for both libraries."""
    return repr(tree).replace("_EmptyNode()", "empty_node")


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("sep", [None, "/", "."])
@pytest.mark.parametrize(
    "is_leaf",
    [None, lambda path, _: path == ("b",), lambda path, _: not path, lambda _, x: "c" in x],
)
def test_flatten_as_flax(keep, sep, is_leaf):
    """Every option gives the same flat dict, in the same order, as Flax."""
    options = {"keep_empty_nodes": keep, "is_leaf": is_leaf, "sep": sep}
    assert plain(flatten_dict(NESTED, **options)) == plain(
        reference.flatten_dict(NESTED, **options)
    )


@settings(max_examples=60, deadline=None)
@given(trees, st.booleans(), st.sampled_from([None, "/"]))
def test_generated_trees_as_flax(tree, keep, sep):
    """A generated tree is flattened and restored as by Flax."""
    flat = flatten_dict(tree, keep_empty_nodes=keep, sep=sep)
    expected = reference.flatten_dict(tree, keep_empty_nodes=keep, sep=sep)
    assert plain(flat) == plain(expected)
    assert unflatten_dict(flat, sep) == reference.unflatten_dict(expected, sep)


@settings(max_examples=60, deadline=None)
@given(trees, st.sampled_from([None, "/"]))
def test_round_trip(tree, sep):
    """What is flattened with its empty dicts comes back whole."""
    flat = flatten_dict(tree, keep_empty_nodes=True, sep=sep)
    assert unflatten_dict(flat, sep=sep) == tree


@settings(max_examples=30, deadline=None)
@given(trees)
def test_path_aware_map_as_flax(tree):
    """A function of path and value is applied at the same places as by Flax."""
    assert path_aware_map(lambda *args: args, tree) == reference.path_aware_map(
        lambda *args: args, tree
    )


def test_frozen_dicts_are_branches():
    """A FrozenDict is walked like a dict, and plain dicts come back, as in Flax."""
    assert flatten_dict(FrozenDict(a={"b": 1})) == reference.flatten_dict(
        ReferenceFrozenDict(a={"b": 1})
    )
    assert flatten_dict({"a": FrozenDict(b=1)}) == {("a", "b"): 1}
    assert path_aware_map(lambda _, x: -x, FrozenDict(a={"b": 1}, e={})) == {
        "a": {"b": -1},
        "e": {},
    }
    assert unflatten_dict(FrozenDict({("a", "b"): 1})) == {"a": {"b": 1}}


def test_empty_node_is_a_pytree_without_leaves():
    """The stand-in for an empty dict passes through jax.tree and stays itself."""
    assert jax.tree.leaves({"a": empty_node}) == []
    assert jax.tree.map(lambda x: x, {"a": empty_node})["a"] is empty_node
    assert empty_node == type(empty_node)()
    assert hash(empty_node) == hash(type(empty_node)())


def test_keys_that_are_no_strings():
    """Integer keys make paths, but cannot be joined."""
    assert unflatten_dict(flatten_dict({1: {2: 3}})) == {1: {2: 3}}
    with pytest.raises(TypeError, match="its key 2 is int and no string; leave out sep="):
        flatten_dict({"a": {2: 3}}, sep="/")
    with pytest.raises(TypeError, match="cannot be split at '/'"):
        unflatten_dict({("a", "b"): 1}, sep="/")


@pytest.mark.parametrize(
    "flat",
    [
        {("a",): 1, ("a", "b"): 2},
        {("a", "b"): 2, ("a",): 1},
        {("a",): {"x": 1}, ("a", "b"): 2},
        {("a", "b"): empty_node, ("a",): 1},
    ],
)
def test_colliding_paths_are_an_error(flat):
    """No value is lost to another whose path leads through its place."""
    with pytest.raises(ValueError, match="collides with another one"):
        unflatten_dict(flat)


def test_what_is_no_dict():
    """Other containers are refused by name, and so is the empty path."""
    with pytest.raises(TypeError, match=r"flatten_dict takes a nested dict .* given list"):
        flatten_dict([1])
    with pytest.raises(TypeError, match=r"unflatten_dict takes a dict .* given int"):
        unflatten_dict(3)
    with pytest.raises(ValueError, match="the empty path"):
        unflatten_dict({(): 1})


def test_input_is_left_alone():
    """A dict that stands as a value is not written into."""
    value = {"x": 1}
    flat = {("a", "b"): value, ("a", "c"): 2}
    assert unflatten_dict(flat) == {"a": {"b": {"x": 1}, "c": 2}}
    assert value == {"x": 1}
    assert ours.flatten_dict({}) == {}


@pytest.mark.parametrize("options", [{}, {"keep_empty_nodes": True}, {"sep": "/"}])
def test_mappings_of_any_type(options):
    """Mappings are flattened as in `flax.nnx.traversals`, and put together again."""
    tree = {"a": MappingProxyType({"b": 1, "c": {}}), "d": {"e": [2]}}
    flat = ours.flatten_mapping(tree, **options)
    assert str(flat).replace("empty_node", "_EmptyNode()") == str(
        traversals.flatten_mapping(tree, **options)
    )
    pairs = ours.flatten_to_sequence(tree)
    assert pairs == traversals.flatten_to_sequence(tree)
    assert ours.unflatten_mapping(pairs) == traversals.unflatten_mapping(pairs)
    sep = options.get("sep")
    assert ours.unflatten_mapping(flat, sep=sep) == traversals.unflatten_mapping(
        traversals.flatten_mapping(tree, **options), sep=sep
    )


def test_what_is_no_mapping():
    """Flattening something else is an error that names it."""
    with pytest.raises(TypeError, match="takes a nested mapping, but was given list"):
        ours.flatten_mapping([1])


def test_a_dict_that_holds_itself():
    """Cannot be flattened; the error says what to look for."""
    endless = {}
    endless["a"] = {"b": endless}
    with pytest.raises(ValueError, match="flatten_dict was given a dict that holds itself"):
        flatten_dict(endless)
