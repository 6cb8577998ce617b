"""Keys of static values: equal where a compiled program may be shared, and nowhere else."""

import copy

import numpy as np
import pytest

from linnet.base.static_keys import static_key

APART = [
    (1, True),
    (0.0, -0.0),
    (0j, complex(0.0, -0.0)),
    (1.0, np.float64(1.0)),
    (np.float32(0.0), np.float32(-0.0)),
    (np.float32(0.5), np.float64(0.5)),
    ([1], (1,)),
    ({1}, frozenset({1})),
    ({1}, {True}),
    (frozenset({1}), frozenset({True})),
    ({"a": 1}, {"a": True}),
    ([{1: [2]}], [{1: [2.0]}]),
    (np.array([1, 2]), np.array([1, 3])),
    (np.array([1, 2]), np.array([[1, 2]])),
    (np.zeros(1, np.int32), np.zeros(1, np.float32)),
]
SAME = [1, 0.0, float("nan"), "a", {1, 2}, {"a": [1, {2}]}, np.array([1.0, np.nan]), np.float32(2)]


@pytest.mark.parametrize(("one", "other"), APART, ids=str)
def test_what_a_program_can_tell_apart(one, other):
    """Values that differ in type, sign or shape have keys that differ."""
    assert static_key(one) != static_key(other)


@pytest.mark.parametrize("value", SAME, ids=str)
def test_equal_values(value):
    """An equal value made anew has an equal key, which hashes alike."""
    one, other = static_key(value), static_key(copy.deepcopy(value))
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1, [2]], lambda value: value[1].append(3)),
        ({"a": {1}}, lambda value: value["a"].add(2)),
        ([np.zeros(2)], lambda value: value[0].__setitem__(0, 1.0)),
    ],
)
def test_values_that_are_changed(value, change):
    """What is changed in place has another key."""
    before = static_key(value)
    change(value)
    assert static_key(value) != before


def test_an_object_without_a_hash_is_itself():
    """Anything else that does not hash is equal to itself only."""

    class Config:
        __hash__ = None

    one = Config()
    assert static_key(one) == static_key(one)
    assert static_key(one) != static_key(Config())
