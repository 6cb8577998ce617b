"""State dicts, beside Flax's."""

import collections
import dataclasses
from typing import Any, NamedTuple

import flax.core
import flax.serialization as reference
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import linnet.linen as nn
from linnet.base.errors import LinnetWarning, SerializationError, StateDictMismatchError
from linnet.state.partitioning import Partitioned
from linnet.tree import serialization as ours, struct
from linnet.tree.frozen_dict import FrozenDict
from linnet.tree.paths import empty_node


class Pair(NamedTuple):
    """Two values by name."""

    first: Any
    second: Any


def structs(m):
    """Makes the same structs with either library."""

    @m.dataclass
    class Point:
        x: Any
        name: str = m.field(pytree_node=False, default="origin")

    class Node(m.PyTreeNode):
        point: Any
        rest: Any = ()

    return Point, Node


OURS = (*structs(struct), FrozenDict)
THEIRS = (*structs(flax.struct), flax.core.FrozenDict)

# Trees made of the structs and the FrozenDict of either library.
TREES = {
    "dict": lambda *_: {1: 1, 2: {"b": None, "c": "text"}},
    "tuple key": lambda *_: {(1, 2): 3},
    "list": lambda *_: [1, [2, (3,)], []],
    "tuple": lambda *_: (1, (), {"a": (2,)}),
    "named tuple": lambda *_: Pair([1], {"c": Pair(2, 3)}),
    "array": lambda *_: {"a": np.arange(3), "b": np.float32(2)},
    "struct": lambda point, node, _: node(point(1, "here"), (point([2]),)),
    "frozen": lambda _, __, frozen: frozen({"a": {"b": (1, 2)}}),
    "frozen inside": lambda point, _, frozen: {"a": point(frozen({"x": 1}))},
    "partial": lambda *_: jax.tree_util.Partial(jnp.add, 1, k=[2]),
    "subclass of dict": lambda *_: collections.OrderedDict(a=1),
    "adam": lambda *_: optax.adam(1e-3).init({"w": np.ones(2, np.float32)}),
    "chain": lambda *_: optax.chain(
        optax.clip(1.0), optax.masked(optax.sgd(0.1, momentum=0.9), {"w": True, "b": False})
    ).init({"w": np.ones(2, np.float32), "b": np.zeros(1, np.float32)}),
    "leaf": lambda *_: 3,
    "nothing": lambda *_: None,
}
each_tree = pytest.mark.parametrize("tree", TREES.values(), ids=TREES)


def same(left, right):
    """Says whether two trees are of the same types and values."""
    structures = jax.tree.structure(left) == jax.tree.structure(right)
    leaves = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return structures and all(
        type(x) is type(y) and np.array_equal(np.asarray(x), np.asarray(y)) for x, y in leaves
    )


@each_tree
def test_state_is_flaxs(tree):
    """The state dict of a tree has the keys and leaves that Flax gives it."""
    state = ours.to_state_dict(tree(*OURS))
    assert same(state, reference.to_state_dict(tree(*THEIRS)))


@each_tree
def test_restoring_gives_the_tree_back(tree):
    """A tree restored from its own state is equal to it, static fields included."""
    target = tree(*OURS)
    assert same(ours.from_state_dict(target, ours.to_state_dict(target)), target)


def test_leaves_come_from_the_state():
    """Restoring takes leaves from the state, and what is static from the target."""
    point, node, _ = OURS
    restored = ours.from_state_dict(
        node(point(0, "target"), ({1: 0},)),
        ours.to_state_dict(node(point(5, "saved"), ({1: 6},))),
    )
    assert restored == node(point(5, "target"), ({1: 6},))


@pytest.mark.parametrize("state", [{"a": 3}, np.ones(2), None, "text"])
def test_none_takes_anything(state):
    """A target that is None takes the state as it is."""
    assert ours.from_state_dict(None, state) is state


def test_old_layout_of_named_tuples():
    """Named tuples of old checkpoints, names and values apart, are read as Flax reads them."""
    old = {
        "name": "Pair",
        "fields": {"0": "first", "1": "second"},
        "values": {"0": 3, "1": {"0": 4}},
    }
    target = Pair(0, [0])
    assert ours.from_state_dict(target, old) == reference.from_state_dict(target, old)
    assert ours.from_state_dict(target, old) == Pair(3, [4])
    with pytest.raises(StateDictMismatchError):
        ours.from_state_dict(target, {**old, "values": 1})


def test_boxes_are_saved_by_value():
    """A box is saved as its value and keeps its axis names from the target."""
    box = Partitioned(np.ones(2), ("x",))
    assert set(ours.to_state_dict(box)) == {"value"}
    restored = ours.from_state_dict(box, {"value": np.zeros(2)})
    assert restored.names == ("x",)
    assert restored.value.sum() == 0


def test_empty_node_has_no_state():
    """The node that stands for an empty dict in a flattened one survives."""
    assert ours.to_state_dict(empty_node) == {}
    assert ours.from_state_dict({"a": empty_node}, {"a": {}}) == {"a": empty_node}


def test_variables_of_a_model():
    """The variables of a Linen model are restored from the state of another initialisation."""
    model = nn.Dense(2)
    first, second = (model.init(jax.random.key(seed), jnp.ones((1, 3))) for seed in range(2))
    assert same(ours.from_state_dict(first, ours.to_state_dict(second)), second)


# --- what does not match ------------------------------------------------------------------------

# A target and a state that lacks something; Flax refuses each of them too.
MISMATCHES = {
    "missing": ({"a": 1, "b": 2}, {"a": 1}, ["./b: missing"]),
    "nested": ({"x": {"a": 1, "b": 2}}, {"x": {"a": 1}}, ["./x/b: missing"]),
    "short list": ([1, 2], {"0": 1}, ["./1: missing"]),
    "long list": ([1], {"0": 1, "1": 2}, ["./1: unknown"]),
    "long tuple": ({"t": (1,)}, {"t": {"0": 1, "1": 2}}, ["./t/1: unknown"]),
    "other keys": ([1], {"a": 1}, ["./0: missing", "./a: unknown"]),
    "named tuple": (Pair(1, 2), {"first": 1, "third": 2}, ["./second: missing", "./third: unk"]),
    "struct": (OURS[0](1), {"q": 1, "name": "a"}, ["./x: missing", "./q: unk", "./name: unk"]),
    "no dict": ({"a": {"b": 1}}, {"a": np.ones(2)}, ["./a: the target is a dict", "shape (2,)"]),
    "list for dict": ({"a": [1]}, {"a": [1]}, ["./a: the target is a list", "[1] (list)"]),
    "none": ([1], None, [".: the target is a list, the state is None"]),
    "empty inside": ({"a": {}}, {}, ["./a: missing"]),
}


@pytest.mark.parametrize(("target", "state", "told"), MISMATCHES.values(), ids=MISMATCHES)
def test_mismatch_is_told_with_its_path(target, state, told):
    """What is missing, unknown or of another kind is an error, here as in Flax, with the path."""
    with pytest.raises(StateDictMismatchError) as caught:
        ours.from_state_dict(target, state)
    assert all(part in str(caught.value) for part in told)
    assert "to_state_dict(target)" in str(caught.value)
    if not dataclasses.is_dataclass(target):
        with pytest.raises((ValueError, TypeError, AttributeError, KeyError)):
            reference.from_state_dict(target, state)


def test_all_mismatches_are_told_at_once():
    """One error lists what is missing and unknown everywhere, and the likely misspelling."""
    point, node, _ = OURS
    target = {"params": {"kernel": 1, "bias": 2}, "opt": node(point(1), [0, 0])}
    state = {"params": {"kernal": 1}, "opt": {"point": {"y": 1}, "rest": {"0": 1}}, "extra": 1}
    with pytest.raises(StateDictMismatchError) as caught:
        ours.from_state_dict(target, state)
    assert [misfit.split(":")[0] for misfit in caught.value.misfits] == [
        "./params/kernel",
        "./params/bias",
        "./opt/point/x",
        "./opt/point/y",
        "./opt/rest/1",
        "./extra",
        "./params/kernal",
    ]
    assert "Is 'kernal' a misspelling of it?" in caught.value.misfits[0]
    assert "in 7 places" in str(caught.value)


@pytest.mark.parametrize(
    ("target", "state", "told"),
    [
        ({"x": {"a": 1}}, {"x": {"a": 1, "b": 2}}, "./x/b: unknown to the target, a dict"),
        (FrozenDict(a=1), {"a": 1, "b": 2}, "./b: unknown to the target, a FrozenDict"),
        ({"a": np.ones(2)}, {"a": np.ones((3, 4))}, "./a: the target has shape (2,)"),
        ([np.ones(2)], {"0": {"b": 1}}, "./0: the target has shape (2,)"),
    ],
)
def test_what_flax_drops_or_takes_is_warned_about(target, state, told):
    """A key that would be lost, and another shape, are warned about; the result stands."""
    with pytest.warns(LinnetWarning) as caught:
        restored = ours.from_state_dict(target, state)
    assert len(caught) == 1
    assert told in str(caught[0].message)
    assert caught[0].filename == __file__
    expected = reference.from_state_dict(
        target.unfreeze() if isinstance(target, FrozenDict) else target, state
    )
    assert str(getattr(restored, "unfreeze", lambda: restored)()) == str(expected)


def test_number_fits_an_array_of_no_axes():
    """A Python number in the place of a zero-dimensional array is no difference."""
    assert ours.from_state_dict({"count": jnp.zeros(())}, {"count": 3}) == {"count": 3}


def test_keys_that_collide_as_strings():
    """A dict whose keys collide once they are strings is refused, as in Flax."""
    for library in (ours, reference):
        with pytest.raises(ValueError, match="1"):
            library.to_state_dict({1: "a", "1": "b"})


# --- classes that users register ----------------------------------------------------------------


@pytest.fixture
def counter():
    """A class registered with both libraries, whose state is one child."""

    class Counter:
        def __init__(self, child):
            self.child = child
            self.path = ""

    class Derived(Counter):
        pass

    for library in (ours, reference):

        def restore(target, state, library=library):
            made = Counter(library.from_state_dict(target.child, state["child"], name="child"))
            made.path = library.current_path()
            return made

        library.register_serialization_state(
            Counter, lambda target, m=library: {"child": m.to_state_dict(target.child)}, restore
        )
    return Counter, Derived


@pytest.mark.parametrize("library", [ours, reference], ids=["ours", "flax"])
def test_registered_class(library, counter):
    """A registered class is saved and restored in place; a subclass of it is a leaf."""
    cls, derived = counter
    state = library.to_state_dict({"x": [1, cls((2,))]})
    assert state == {"x": {"0": 1, "1": {"child": {"0": 2}}}}
    restored = library.from_state_dict({"x": [0, cls((0,))]}, state)
    assert restored["x"][1].child == (2,)
    assert restored["x"][1].path == "./x/1"
    assert library.current_path() == ""
    assert library.is_serializable(cls)
    assert not library.is_serializable(derived)
    leaf = derived(1)
    assert library.to_state_dict(leaf) is leaf


@pytest.mark.parametrize("library", [ours, reference], ids=["ours", "flax"])
def test_registering_twice(library, counter):
    """A class is registered once, unless the second time says to override."""
    cls, _ = counter
    with pytest.raises(ValueError, match="already"):
        library.register_serialization_state(cls, lambda _: {}, lambda x, _: x)
    with pytest.raises(ValueError, match="already"):
        library.register_serialization_state(dict, lambda _: {}, lambda x, _: x)
    library.register_serialization_state(cls, lambda _: {}, lambda x, _: x, override=True)
    assert library.to_state_dict(cls(1)) == {}


def test_mismatches_inside_registered_classes_are_collected(counter):
    """What does not match below a registered class is listed along with the rest."""
    cls, _ = counter
    with pytest.raises(StateDictMismatchError) as caught:
        ours.from_state_dict({"x": cls({"a": 1}), "y": 1}, {"x": {"child": {}}})
    assert [misfit.split(":")[0] for misfit in caught.value.misfits] == ["./y", "./x/child/a"]
    with pytest.warns(LinnetWarning, match="./x/child/b: unknown"):
        ours.from_state_dict({"x": cls({})}, {"x": {"child": {"b": 1}}})


def test_error_of_a_registered_function_names_the_path(counter):
    """An exception of a registered function carries the path, once, and leaves no path behind."""
    cls, _ = counter
    with pytest.raises(KeyError) as caught:
        ours.from_state_dict({"x": [cls(1)]}, {"x": {"0": {}}})
    assert caught.value.__notes__ == ["while restoring ./x/0, a Counter"]
    assert ours.current_path() == ""


def test_registered_function_must_return_string_keys(counter):
    """A state with keys that are no strings is refused, and the class named."""
    cls, _ = counter
    ours.register_serialization_state(cls, lambda _: {3: 1}, lambda x, _: x, override=True)
    with pytest.raises(SerializationError, match=r"Counter returned \{3: 1\}"):
        ours.to_state_dict(cls(1))


@pytest.mark.parametrize(
    "value",
    [None, 1, "s", b"s", np.ones(1), {}, [], (), Pair(1, 2), dict, optax.EmptyState()],
    ids=repr,
)
def test_is_serializable(value):
    """The same classes and instances have functions of their own as in Flax."""
    assert ours.is_serializable(value) == reference.is_serializable(value)


def test_structs_are_serializable():
    """Structs are serializable as soon as they are made, classes and instances."""
    point, node, _ = OURS
    assert all(map(ours.is_serializable, [point, node, point(1), FrozenDict(), empty_node]))


@pytest.mark.parametrize("convert", [ours.to_bytes, ours.to_state_dict])
@pytest.mark.parametrize("empty", [list, dict])
def test_what_holds_itself(convert, empty):
    """Has no state; the error says what to look for."""
    endless = empty()
    endless.append(endless) if empty is list else endless.update(a=endless)
    with pytest.raises(SerializationError, match=f"given a {empty.__name__} that holds itself"):
        convert(endless)
