"""Filters in NNX's spelling, and collections among them."""

import flax.nnx.filterlib as flax_filters
import pytest

from linnet.state import filters
from linnet.state.collection_filters import ALL_COLLECTIONS, InCollections
from linnet.state.filters import (
    All,
    Any,
    Everything,
    Not,
    Nothing,
    OfType,
    PathContains,
    PathIn,
    WithTag,
    to_predicate,
)


class Variable:
    """A stand-in with a tag."""

    def __init__(self, tag=None, type_=None):
        self.tag = tag
        if type_:
            self.type = type_


class Special(Variable):
    """A subclass of it."""


CASES = [
    (("layer", "kernel"), Variable()),
    (("layer", 0, "bias"), Variable(tag="frozen")),
    (("head", "kernel"), Special()),
    (("head", "bias"), Variable(type_=Special)),
]


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.Everything(),
        lambda m: m.Nothing(),
        lambda m: m.OfType(Special),
        lambda m: m.WithTag("frozen"),
        lambda m: m.PathContains("kernel"),
        lambda m: m.PathContains("ern", exact=False),
        lambda m: m.PathIn(("head", "bias")),
        lambda m: m.All(m.PathContains("head"), Special),
        lambda m: m.Any("frozen", Special),
        lambda m: m.Not(Special),
        lambda m: m.to_predicate(...),
        lambda m: m.to_predicate(None),
        lambda m: m.to_predicate(True),
        lambda m: m.to_predicate(False),
        lambda m: m.to_predicate(["frozen", Special]),
        lambda m: m.to_predicate(lambda path, value: len(path) == 3),
    ],
)
def test_nnx_spelling_is_flax(make):
    """Every spelling selects what it selects in Flax."""
    ours, theirs = make(filters), make(flax_filters)
    assert [bool(ours(*case)) for case in CASES] == [bool(theirs(*case)) for case in CASES]


def test_predicates_compare_hash_and_combine():
    """They are values; a filter of collections is a predicate too."""
    assert All("a", OfType(int)) == All("a", OfType(int))
    assert hash(Any(Not("a"))) == hash(Any(Not("a")))
    assert to_predicate(...) == Everything()
    assert to_predicate(()) == Any()
    assert Nothing() != Everything()
    assert PathIn(("a",)) == PathIn(("a",))
    trained = All(InCollections(frozenset({"params"})), Not(PathContains("bias")))
    assert trained(("params", "kernel"), 1)
    assert not trained(("params", "bias"), 1)
    assert not trained(("cache", "kernel"), 1)
    assert ALL_COLLECTIONS(("x",), None)
    assert WithTag("a") == to_predicate("a")


def test_what_is_no_nnx_filter():
    """The message shows the value and the spellings."""
    with pytest.raises(TypeError, match=r"is not a filter\. Write a variable type"):
        to_predicate(3)
