"""FrozenDict and its functions, beside Flax's."""

import collections
import copy as copying
import pickle

import flax.core as reference
import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from differential.programs import assert_same_text
from linnet.tree import frozen_dict as ours
from linnet.tree.frozen_dict import FrozenDict, freeze, unfreeze

NESTED = {"b": {"c": 1, "a": 2}, "a": 3, "empty": {}, "list": [{"y": 1}], "none": None}

names = st.text("abcdé_0 ", min_size=0, max_size=3)
trees = st.dictionaries(
    names,
    st.recursive(
        st.integers() | st.none() | st.text(max_size=2),
        lambda inner: st.dictionaries(names, inner, max_size=3) | st.tuples(inner),
        max_leaves=8,
    ),
    max_size=4,
)


# Each entry is computed with both libraries; results are compared as text, keys in order.
PROGRAMS = [
    lambda m: m.FrozenDict(NESTED),
    lambda m: str(m.FrozenDict()),
    lambda m: m.FrozenDict({"a": 1}, b=2),
    lambda m: m.FrozenDict([("a", {"b": 1})]),
    lambda m: m.FrozenDict(3),
    lambda m: m.FrozenDict({"a b": 1, ("x",): np.ones((2, 2))}),
    lambda m: m.FrozenDict({1: 1, "a": 2}),
    lambda m: m.FrozenDict(__unsafe_skip_copy__=True, a={"b": 1}),
    lambda m: m.FrozenDict({"x": m.FrozenDict(y=1)}),
    lambda m: m.freeze(NESTED)["b"],
    lambda m: m.freeze(NESTED)["zz"],
    lambda m: m.freeze(NESTED).get("zz", 5),
    lambda m: m.freeze(NESTED).keys(),
    lambda m: m.freeze(NESTED).values(),
    lambda m: list(m.freeze(NESTED).items()),
    lambda m: list(m.freeze(NESTED)),
    lambda m: reversed(m.freeze(NESTED)),
    lambda m: len(m.freeze(NESTED)),
    lambda m: "a" in m.freeze(NESTED),
    lambda m: ["a"] in m.freeze(NESTED),
    lambda m: m.freeze(NESTED).keys() & {"a"},
    lambda m: m.freeze(NESTED).copy({"q": {"r": m.FrozenDict(s=1)}}),
    lambda m: m.freeze(NESTED).copy({"b": {"x": 1}}),
    lambda m: m.freeze(NESTED).copy(),
    lambda m: m.freeze(NESTED).pop("a"),
    lambda m: m.freeze(NESTED).pop("zz"),
    lambda m: m.freeze(NESTED).unfreeze(),
    lambda m: m.freeze({1: 1, "a": 2}).unfreeze(),
    lambda m: m.freeze(NESTED).pretty_repr(2),
    lambda m: m.freeze(NESTED) | {"z": 1},
    lambda m: m.freeze(NESTED).__setitem__("a", 1),
    lambda m: setattr(m.freeze(NESTED), "x", 1),
    lambda m: m.freeze(NESTED).__reduce__()[1],
    lambda m: m.freeze(NESTED).tree_flatten_with_keys(),
    lambda m: m.FrozenDict.tree_unflatten(("a", "b"), (1, 2)),
    lambda m: m.freeze(3),
    lambda m: m.freeze([1]),
    lambda m: m.unfreeze(NESTED),
    lambda m: m.unfreeze({"x": m.FrozenDict(y=1), "l": [m.FrozenDict(y=1)]}),
    lambda m: m.unfreeze(m.FrozenDict({"x": [m.FrozenDict(y=1)]})),
    lambda m: m.unfreeze(3),
    lambda m: m.copy(NESTED, {"q": 1}),
    lambda m: m.copy(m.freeze(NESTED), {"q": 1}),
    lambda m: m.copy(3),
    lambda m: m.pop(NESTED, "a"),
    lambda m: m.pop(NESTED, "zz"),
    lambda m: m.pop(m.freeze(NESTED), "a"),
    lambda m: m.pop(3, "a"),
    lambda m: m.pretty_repr(NESTED),
    lambda m: m.pretty_repr({"a": m.FrozenDict(b=1), "c": np.ones((2, 2))}),
    lambda m: m.pretty_repr({}),
    lambda m: m.pretty_repr({"a": {"b": {"c": np.ones((2, 2))}}}),
    lambda m: m.pretty_repr(np.ones((2, 2))),
    lambda m: m.pretty_repr("x"),
    lambda m: m.freeze(NESTED) == NESTED,
    lambda m: NESTED == m.freeze(NESTED),  # noqa: SIM300
    lambda m: m.freeze(NESTED) == m.freeze(NESTED),
    lambda m: m.freeze(NESTED) != {"a": 1},
    lambda m: m.freeze(NESTED) == 3,
    lambda m: m.FrozenDict(a=1) == collections.OrderedDict(a=1),
    lambda m: {"x": m.FrozenDict(y=1)} == {"x": {"y": 1}},
    lambda m: hash(m.FrozenDict(a=[1])),
    lambda m: hash(m.FrozenDict(a=np.ones(2))),
    lambda m: hash(m.FrozenDict(a=1, b={"c": 2})) == hash(m.FrozenDict(b=m.freeze({"c": 2}), a=1)),
    lambda m: jax.tree.leaves(m.freeze(NESTED)),
    lambda m: jax.tree.structure(m.freeze(NESTED)),
    lambda m: jax.tree_util.tree_flatten_with_path(m.freeze(NESTED)),
    lambda m: jax.tree.map(lambda x: x + 1, m.freeze({"b": {"d": 1, "c": 2}, "a": 2})),
    lambda m: jax.tree.leaves(m.FrozenDict({1: 1, "a": 2})),
    lambda m: jax.tree.map(lambda x: m.FrozenDict(x=x), m.FrozenDict(a=1))["a"],
    lambda m: pickle.loads(pickle.dumps(m.freeze(NESTED))),
    lambda m: copying.deepcopy(m.freeze(NESTED)),
    lambda m: m.FrozenDict[str, int].__args__,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_as_flax(program):
    """The same program gives the same result, or the same class of error, as Flax."""
    assert_same_text(program, libraries=(reference, ours))


@settings(max_examples=60, deadline=None)
@given(trees)
def test_generated_trees_as_flax(tree):
    """Text, leaves, paths and plain form of a generated tree are those of Flax."""
    mine, theirs = freeze(tree), reference.freeze(tree)
    assert repr(mine) == repr(theirs)
    assert list(unfreeze(mine)) == list(reference.unfreeze(theirs))
    assert (
        jax.tree_util.tree_flatten_with_path(mine)[0]
        == (jax.tree_util.tree_flatten_with_path(theirs)[0])
    )
    assert str(jax.tree.structure(mine)) == str(jax.tree.structure(theirs))


@settings(max_examples=60, deadline=None)
@given(trees)
def test_inverse_pairs(tree):
    """Freezing, pickling and flattening are undone by their inverses."""
    frozen = freeze(tree)
    assert unfreeze(frozen) == tree
    assert freeze(unfreeze(frozen)) == frozen
    assert pickle.loads(pickle.dumps(frozen)) == frozen
    assert jax.tree.unflatten(jax.tree.structure(frozen), jax.tree.leaves(frozen)) == frozen


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(names, st.integers() | st.dictionaries(names, st.integers(), max_size=3)))
def test_equals_hash_alike(tree):
    """The order of insertion matters neither to equality nor to the hash."""
    backwards = freeze(dict(reversed(tree.items())))
    assert backwards == freeze(tree)
    assert hash(backwards) == hash(freeze(tree))


def test_frozen_means_frozen():
    """Neither the dict that went in nor the one that came out leads to what is inside."""
    inner = {"y": [1]}
    frozen = freeze({"x": inner})
    inner["z"] = 2
    out = unfreeze(frozen)
    out["x"]["y"].append(2)
    assert frozen == {"x": {"y": [1]}}


def test_setting_an_item_says_what_to_write():
    """The error for a change names the key and the two ways to have it."""
    with pytest.raises(ValueError, match=r"FrozenDict is immutable; write .*copy\(\{'a': value\}"):
        FrozenDict(a=1)["a"] = 2


def test_items_is_a_view():
    """Items can be counted, compared and gone through twice, as those of any mapping."""
    items = FrozenDict(a=1).items()
    assert len(items) == 1
    assert list(items) == list(items) == [("a", 1)]
    assert items == {"a": 1}.items()


def test_inside_jit():
    """A FrozenDict crosses jit as argument and result."""
    doubled = jax.jit(lambda tree: jax.tree.map(lambda x: 2 * x, tree))(freeze({"a": {"b": 1}}))
    assert isinstance(doubled, FrozenDict)
    assert doubled == {"a": {"b": 2}}


def test_a_dict_that_holds_itself():
    """Cannot be frozen; the error says what to look for."""
    endless = {}
    endless["a"] = {"b": endless}
    with pytest.raises(ValueError, match="given a dict that holds itself"):
        freeze(endless)
