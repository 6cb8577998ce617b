"""Linen's spelling of filters: the sets of collections they name, and Flax's functions on them."""

import flax.core.scope as flax_scope
import pytest
from hypothesis import given, strategies as st

from linnet.base import errors
from linnet.state import collection_filters as filters
from linnet.state.collection_filters import DenyList, collections_of

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
plain = st.one_of(st.booleans(), names, st.lists(names), st.sets(names), st.lists(names).map(tuple))
linen_filters = st.one_of(plain, plain.map(DenyList), plain.map(DenyList).map(DenyList))


def as_flax(filter_like):
    """Spell a filter for Flax, which has a DenyList of its own."""
    if isinstance(filter_like, DenyList):
        return flax_scope.DenyList(as_flax(filter_like.deny))
    return filter_like


@given(linen_filters, names)
def test_in_filter_is_flax(filter_like, name):
    """Membership is Flax's, for every spelling."""
    assert filters.in_filter(filter_like, name) == flax_scope.in_filter(as_flax(filter_like), name)


@given(linen_filters, linen_filters, names)
def test_set_operations_are_what_they_are_called(a, b, name):
    """Union, intersection and difference of filters are those of the sets they name."""
    in_a, in_b = filters.in_filter(a, name), filters.in_filter(b, name)
    assert filters.in_filter(filters.union_filters(a, b), name) == (in_a or in_b)
    assert filters.in_filter(filters.intersect_filters(a, b), name) == (in_a and in_b)
    assert filters.in_filter(filters.subtract_filters(a, b), name) == (in_a and not in_b)


@given(linen_filters, linen_filters, names)
def test_set_operations_are_flax(a, b, name):
    """So they are in Flax."""
    for op in ("union_filters", "intersect_filters", "subtract_filters"):
        ours = getattr(filters, op)(a, b)
        theirs = getattr(flax_scope, op)(as_flax(a), as_flax(b))
        assert filters.in_filter(ours, name) == flax_scope.in_filter(theirs, name)


@given(linen_filters)
def test_spelled_is_the_inverse_of_reading(filter_like):
    """A filter survives being read and spelled."""
    read = collections_of(filter_like)
    assert collections_of(read.spelled()) == read


@given(st.lists(linen_filters, max_size=3))
def test_group_collections_is_flax(col_filters):
    """Each collection goes to the first filter that names it."""
    xs = {name: {"v": i} for i, name in enumerate(NAMES)}
    theirs = flax_scope.group_collections(xs, [as_flax(f) for f in col_filters])
    assert filters.group_collections(xs, col_filters) == tuple(dict(group) for group in theirs)


def test_emptiness_and_listing():
    """`is_filter_empty` and `filter_to_set`."""
    assert filters.is_filter_empty(False)
    assert filters.is_filter_empty([])
    assert not filters.is_filter_empty(DenyList("a"))
    assert filters.filter_to_set("a") == {"a"}
    assert filters.filter_to_set(False) == set()
    with pytest.raises(errors.InvalidFilterError):
        filters.filter_to_set(DenyList("a"))


@pytest.mark.parametrize("wrong", [3, 2.5, object(), [1], b"ab", None])
def test_what_is_no_filter_of_collections(wrong):
    """The message shows the value and the spellings."""
    with pytest.raises(errors.InvalidFilterError, match="is not a filter of collections"):
        collections_of(wrong)
