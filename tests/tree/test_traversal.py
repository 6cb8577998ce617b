"""Traversals, beside Flax's."""

import collections
import copy
import pickle
import warnings

import flax.core
import flax.struct
import flax.traverse_util as reference
import jax
import pytest

from linnet.tree import struct, traversal
from linnet.tree.frozen_dict import FrozenDict, freeze
from linnet.tree.traversal import ModelParamTraversal, t_identity

pytestmark = pytest.mark.filterwarnings("ignore:.*Traversal. will be deprecated:DeprecationWarning")

Pair = collections.namedtuple("Pair", "x y")  # noqa: PYI024
DATA = {"b": (1, [2, 3]), "a": 5, "pair": Pair(7, 8)}

CHOICES = {
    "whole": lambda of, _: of,
    "item": lambda of, _: of["a"],
    "index": lambda of, _: of["b"][1][-1],
    "attribute": lambda of, _: of["pair"].y,
    "each": lambda of, _: of["b"][1].each(),
    "each of a dict": lambda of, _: of.each(),
    "tree": lambda of, _: of.tree(),
    "filter": lambda of, _: of.tree().filter(lambda x: x > 2),
    "merge": lambda of, _: of.merge(of["a"], of["b"][0], of["a"]),
    "compose": lambda of, module: of["b"].compose(module.TraverseItem(1)),
    "classes": lambda _, module: module.TraverseCompose(
        module.TraverseItem("b"),
        module.TraverseMerge(module.TraverseItem(0), module.TraverseId()),
    ),
}


def tenfold(value):
    """Changes numbers only."""
    return value * 10 if isinstance(value, int) else value


@pytest.mark.parametrize("choose", CHOICES.values(), ids=CHOICES)
def test_selects_as_flax(choose):
    """A traversal reads, updates and sets the places that Flax's does, and leaves its input."""
    ours, theirs = (choose(module.t_identity, module) for module in (traversal, reference))
    selected = list(theirs.iterate(DATA))
    before = copy.deepcopy(DATA)
    assert list(ours.iterate(DATA)) == selected
    assert ours.update(tenfold, DATA) == theirs.update(tenfold, DATA)
    values = list(range(100, 100 + len(selected)))
    assert ours.set(values, DATA) == theirs.set(values, DATA)
    assert before == DATA


def test_type_and_order_of_keys_are_kept():
    """An update keeps tuples, named tuples and the order of keys."""
    changed = t_identity.tree().update(lambda x: x, DATA)
    assert type(changed["pair"]) is Pair
    changed = t_identity["pair"].x.update(lambda x: x + 1, DATA)
    assert list(changed) == list(DATA)
    assert changed["pair"] == Pair(8, 8)
    assert type(t_identity[0].update(tenfold, Pair(1, 2))) is Pair


def test_dataclasses():
    """An attribute of a struct is replaced in a copy."""

    @struct.dataclass
    class Point:
        x: int
        y: int

    class Plain:
        x = 1

    assert t_identity.x.update(tenfold, Point(1, 2)) == Point(10, 2)
    plain = Plain()
    assert t_identity.x.update(tenfold, plain).x == 10
    assert plain.x == 1


def test_frozen_dicts_and_named_tuples_too():
    """Where Flax refuses, a FrozenDict and a named tuple are updated like a dict and a tuple."""
    frozen = freeze({"a": 1, "b": 2})
    assert t_identity["a"].update(tenfold, frozen) == freeze({"a": 10, "b": 2})
    changed = t_identity.each().update(tenfold, frozen)
    assert changed == freeze({"a": 10, "b": 20})
    assert isinstance(changed, FrozenDict)
    assert t_identity.each().update(tenfold, Pair(1, 2)) == Pair(10, 20)


@pytest.mark.parametrize("values", [[1], [1, 2, 3]])
def test_set_needs_one_value_for_each_place(values):
    """Too few or too many values are an error that counts both."""
    with pytest.raises(ValueError, match=f"{len(values)} values for the 2 places"):
        t_identity.each().set(values, [1, 2])
    with pytest.raises(ValueError, match="values provided"):
        reference.t_identity.each().set(values, [1, 2])


@pytest.mark.parametrize("container", ["ab", 3, None])
def test_each_needs_a_container(container):
    """What has no entries is named."""
    with pytest.raises(ValueError, match=f"applied to {type(container).__name__}"):
        t_identity.each().update(tenfold, container)


def test_traversals_can_be_copied_and_pickled():
    """The attributes that Python itself asks for are not taken for traversals."""
    for other in (copy.deepcopy(t_identity["a"].x), pickle.loads(pickle.dumps(t_identity["a"].x))):
        assert list(other.iterate({"a": Pair(1, 2)})) == [1]


PARAMS = {"d": {"kernel": 1, "bias": 2}, "c": {"kernel": 3}, "empty": {}}


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: {"params": x, "batch_stats": {"m": 4}}])
@pytest.mark.parametrize("frozen", [False, True])
def test_parameters_as_flax(wrap, frozen):
    """Parameters are selected by path and value in Flax's order, other collections left alone."""
    inputs = wrap(PARAMS)
    ours, theirs = [], []
    results = []
    for module, seen, freeze_ in (
        (traversal, ours, freeze),
        (reference, theirs, flax.core.freeze),
    ):

        def kernels(path, value, seen=seen):
            seen.append((path, value))
            return path.endswith("/kernel")

        chosen = module.ModelParamTraversal(kernels)
        data = freeze_(inputs) if frozen else inputs
        changed = chosen.update(tenfold, data)
        assert type(changed).__name__ == type(data).__name__
        results.append((list(chosen.iterate(data)), jax.tree.leaves(changed), str(changed)))
    assert ours == theirs
    assert results[0][:2] == results[1][:2]


def test_parameters_must_be_a_dict():
    """Something else than nested dicts is an error."""
    with pytest.raises(ValueError, match="was given list"):
        list(ModelParamTraversal(lambda *_: True).iterate([1]))


def test_no_warning():
    """Our traversals are not deprecated: making one warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        t_identity.each().tree()
