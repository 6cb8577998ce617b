"""Static values and containers in models: whose they are, and what a change of them does."""

import collections
import copy
import dataclasses
import enum
import functools
import pickle
import threading
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.nnx import LIBRARIES, assert_same
from linnet import nnx
from linnet.base.static_keys import fresh, static_key
from linnet.nnx.graph.layout import layout_of


class Token:
    """Compares by name, and can be changed."""

    def __init__(self, name):
        self.name, self.seen = name, []

    def __eq__(self, other):
        return isinstance(other, Token) and other.name == self.name

    def __hash__(self):
        return hash(self.name)


def holder(nnx, **attributes):
    """Make a module with these attributes."""

    class Holder(nnx.Module):
        def __init__(self):
            for name, value in attributes.items():
                setattr(self, name, value)
            self.w = nnx.Param(jnp.ones(()))

    return Holder


COPYING = {
    "clone": lambda nnx, m: nnx.clone(m),
    "split and merge": lambda nnx, m: nnx.merge(*nnx.split(m)),
    "a pytree": lambda nnx, m: jax.tree.map(lambda x: x, m),
    "a jitted function": lambda nnx, m: nnx.jit(lambda m: m)(nnx.clone(m)),
}


@pytest.mark.parametrize("how", ["clone", "split and merge"])
def test_a_copy_has_the_static_objects_of_its_own_model(how):
    """Not those of an unrelated model that has equal ones."""

    def program(nnx):
        cls = holder(nnx, token=None)
        first, mine = cls(), cls()
        first.token, mine.token = Token("a"), Token("a")
        nnx.split(first)
        made = COPYING[how](nnx, mine)
        return made.token is mine.token, made.token is first.token

    assert_same(program)


EMPTY = {
    "data list": lambda nnx: nnx.data([]),
    "list in a data dictionary": lambda nnx: nnx.data({"w": nnx.Param(jnp.ones(())), "log": []}),
}


@pytest.mark.parametrize("how", ["clone", "split and merge"])
@pytest.mark.parametrize("what", EMPTY)
def test_models_share_no_lists(what, how):
    """What is appended to the list of a copy is in no other model."""

    def list_of(model):
        return model.kept if isinstance(model.kept, list) else model.kept["log"]

    def program(nnx):
        class Holder(nnx.Module):
            def __init__(self):
                self.kept = EMPTY[what](nnx)

        first, mine = Holder(), Holder()
        nnx.split(first)
        made = COPYING[how](nnx, mine)
        list_of(made).append("x")
        again = COPYING[how](nnx, mine)
        return [list_of(m) for m in (first, mine, made, again)]

    assert_same(program)


MUTABLE = {
    "list": lambda: [1],
    "nested lists": lambda: [[1], 2],
    "list in a tuple": lambda: ([1],),
    "dictionary of lists": lambda: {"a": [1]},
    "deque": lambda: collections.deque([1]),
    "ordered dictionary": lambda: collections.OrderedDict(a=[1]),
}


def innermost(value):
    """Return the innermost container."""
    while True:
        items = list(value.values() if isinstance(value, dict) else value)
        inner = [item for item in items if isinstance(item, list | dict | set | tuple)]
        if not inner:
            return value
        value = inner[0]


@pytest.mark.parametrize("how", COPYING)
@pytest.mark.parametrize("what", MUTABLE)
def test_static_containers_are_copied_at_every_depth(what, how):
    """And unrelated models of one structure share none either."""
    cls = holder(nnx, kept=None)
    first, mine = cls(), cls()
    first.kept, mine.kept = MUTABLE[what](), MUTABLE[what]()
    nnx.split(first)
    made = COPYING[how](nnx, mine)
    assert made.kept == mine.kept
    assert type(made.kept) is type(mine.kept)
    innermost(made.kept).append(9)
    assert first.kept == mine.kept == MUTABLE[what]()


def test_what_static_lists_hold_is_kept_as_it_is():
    """The objects in a list are the model's own in every copy, also those that cannot be copied."""

    def program(nnx):
        class Holder(nnx.Module):
            def __init__(self):
                self.items = [object(), np, threading.Lock()]
                self.first = self.items[0]

        mine = Holder()
        copies = [nnx.clone(mine), nnx.merge(*nnx.split(mine))]
        return [[each.items[0] is mine.items[0], each.items[0] is each.first] for each in copies]

    assert_same(program)


def test_a_call_leaves_static_objects_alone_and_does_not_trace_again():
    """A list of plain objects is that of the caller after a call, and the structure is the same."""

    def program(nnx):
        cls = holder(nnx, items=[Token("a"), object()])
        model, traces = cls(), []
        mine = model.items[0]

        @nnx.jit
        def f(m):
            traces.append(1)
            return m.w[...]

        for _ in range(3):
            f(model)
        return len(traces), model.items[0] is mine

    assert_same(program)


@pytest.mark.parametrize("what", MUTABLE)
def test_a_change_inside_a_static_container_is_seen(what):
    """At every depth, by compiled functions, by structures, by copies."""
    cls = holder(nnx, kept=None)
    model = cls()
    model.kept = MUTABLE[what]()
    count = nnx.jit(lambda m: jnp.asarray(len(str(m.kept))))
    for value in (2, 3):
        before = nnx.graphdef(model)
        assert count(model) == len(str(model.kept))
        innermost(model.kept).append(value)
        assert count(model) == len(str(model.kept))
        assert nnx.graphdef(model) != before
        assert nnx.clone(model).kept == model.kept


def test_a_change_in_metadata_is_seen():
    """A list or set in the metadata of a variable may be changed in place."""
    model = nnx.Dict(w=nnx.Param(jnp.ones(()), tags=[1], others={1}))
    count = nnx.jit(lambda m: jnp.asarray(sum(m.w.tags) + sum(m.w.others)))
    assert count(model) == 2
    model.w.tags.append(10)
    assert count(model) == 12
    model.w.others.add(100)
    assert count(model) == 112


def test_a_structure_does_not_change_with_its_model():
    """A GraphDef is what the model was when it was split."""
    model = holder(nnx, log=[1])()
    graphdef, state = nnx.split(model)
    model.log.append(2)
    assert nnx.merge(graphdef, state).log == [1]
    assert graphdef != nnx.graphdef(model)


def test_static_lists_changed_inside_are_the_callers_own():
    """A list that a compiled function extends is the same list afterwards."""
    model = holder(nnx, log=[1])()
    mine = model.log

    @nnx.jit
    def f(m):
        m.log.append(2)

    f(model)
    assert mine is model.log
    assert mine == [1, 2]


@jax.tree_util.register_pytree_node_class
class Box(dict):
    """A dictionary of a class of its own."""

    def tree_flatten(self):
        return (self["a"],), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(a=children[0])


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Pair:
    """A dataclass that can be changed."""

    a: object

    def __getitem__(self, key):
        return getattr(self, key)

    def __setitem__(self, key, value):
        setattr(self, key, value)


class Slotted:
    """A pytree that has no dictionary."""

    __slots__ = ("a",)

    def __init__(self, a):
        self.a = a

    def __getitem__(self, key):
        return getattr(self, key)

    def __setitem__(self, key, value):
        setattr(self, key, value)


jax.tree_util.register_pytree_with_keys(
    Slotted,
    lambda x: (((jax.tree_util.GetAttrKey("a"), x.a),), None),
    lambda _, children: Slotted(*children),
)


def by_default(a):
    """Make a dictionary with a default."""
    made = collections.defaultdict(int)
    made["a"] = a
    return made


PYTREES = {
    "state": lambda nnx, p: nnx.state(nnx.Dict(a=p)),
    "ordered": lambda nnx, p: collections.OrderedDict(a=p),
    "default": lambda nnx, p: by_default(p),
    "own dictionary": lambda nnx, p: Box(a=p),
    "dataclass": lambda nnx, p: Pair(p),
    "slots": lambda nnx, p: Slotted(p),
}


@pytest.mark.parametrize("what", PYTREES)
def test_a_change_of_a_pytree_is_seen(what):
    """Whatever JAX takes for a pytree may be changed in place."""

    def program(nnx):
        class Holder(nnx.Module):
            def __init__(self):
                self.kept = nnx.data(PYTREES[what](nnx, nnx.Param(jnp.array(1.0))))

        model = Holder()
        read = nnx.jit(lambda m: m.kept["a"][...])
        results = [read(model)]
        model.kept["a"] = nnx.Param(jnp.array(7.0))
        results += [read(model), jax.tree.leaves(nnx.state(model))]
        return [*results, nnx.clone(model).kept["a"][...]]

    assert_same(program)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("what", PYTREES)
def test_arrays_in_pytrees_are_set_and_changed(what, nested):
    """A compiled function sets an array in one; what the user changes in it later is seen."""

    def program(nnx):
        class Holder(nnx.Module):
            def __init__(self):
                kept = PYTREES[what](nnx, jnp.array(1.0))
                self.kept = nnx.data((kept,)) if nested else nnx.data(kept)

        def inner(m):
            return m.kept[0] if nested else m.kept

        model = Holder()
        read = nnx.jit(lambda m: inner(m)["a"] * 1)

        @nnx.jit
        def rise(m):
            inner(m)["a"] = inner(m)["a"] + 1

        results = [read(model)]
        for value in (5.0, 7.0):
            rise(model)
            results.append(read(model))
            inner(model)["a"] = jnp.array(value)
            results.append(read(model))
            inner(model)["a"] = nnx.Param(jnp.array(value + 1))
            results += [read(model), jax.tree.leaves(nnx.state(model))]
            inner(model)["a"] = jnp.array(value)
        return results

    assert_same(program)


class Plain(nnx.Module):
    """Stands in the programs below."""


BYPASSES = {
    "object.__setattr__": lambda m: object.__setattr__(m, "n", 5),
    "vars": lambda m: vars(m).update(n=5),
    "__dict__": lambda m: m.__dict__.__setitem__("n", 5),
    "__dict__ replaced": lambda m: setattr(m, "__dict__", {**m.__dict__, "n": 5}),
    "deleted": lambda m: m.__dict__.pop("other"),
    "object.__delattr__": lambda m: object.__delattr__(m, "other"),
    "class": lambda m: setattr(m, "__class__", type("Sub", (type(m),), {"size": 9})),
    "class of a variable": lambda m: setattr(m.w, "__class__", type(m).Kind),
    "variable": lambda m: object.__setattr__(m, "w", type(m.w)(jnp.array(1.0), scale=3)),
    "cached property": lambda m: m.cached,
}


@pytest.mark.parametrize("how", BYPASSES)
def test_changes_past_setattr_are_seen(how):
    """By every way that Python has, once and again."""
    # Flax loses its bookkeeping with the dictionary
    libraries = LIBRARIES[1:] if how == "__dict__ replaced" else LIBRARIES

    def program(nnx):
        class Model(nnx.Module):
            Kind = nnx.BatchStat
            size = 1

            def __init__(self):
                self.n, self.other, self.array = 1, 2, jnp.ones(())
                self.w = nnx.Param(jnp.array(1.0), scale=1)

            @functools.cached_property
            def cached(self):
                return 3

        def tell(m):
            kind = 100 * (type(m.w) is nnx.BatchStat)
            return m.n + 10 * ("other" in vars(m)) + m.size + m.w.scale + kind + len(vars(m))

        model = Model()
        compiled = nnx.jit(lambda m: jnp.asarray(tell(m)))
        known = compiled(model) - tell(model)
        BYPASSES[how](model)
        changed = compiled(model) - tell(model)
        vars(model)["n"] = 7
        return known, changed, compiled(model) - tell(model)

    for library in libraries:
        assert [int(x) for x in program(library)] == [0, 0, 0]


def test_asking_for_the_attributes_costs_a_comparison_only():
    """A model whose ``__dict__`` somebody holds is not walked again unless it changed."""
    model = Plain()
    model.n, model.array = 1, jnp.ones(())
    vars(model)
    layout = layout_of(model)
    assert layout_of(model) is layout
    model.array = jnp.zeros(())  # another array is no change
    assert layout_of(model) is layout
    vars(model)["n"] = 2
    assert layout_of(model) is not layout


def test_a_module_in_the_place_of_another_is_a_change():
    """Also if its attributes make it look like an array."""

    def program(nnx):
        class Table(nnx.Module):
            def __init__(self, value):
                self.shape, self.dtype = (3, 4), jnp.float32
                self.w = nnx.Param(jnp.full((), value))

        class Model(nnx.Module):
            def __init__(self):
                self.table = Table(1.0)

        model = Model()
        read = nnx.jit(lambda m: m.table.w[...])
        first = read(model)
        model.table = Table(5.0)
        return first, read(model), nnx.clone(model).table.w[...]

    assert_same(program)


def test_a_scalar_of_numpy_becomes_an_array():
    """A static number with a shape, replaced by an array, is a change."""
    model = Plain()
    model.s = np.float32(2.0)
    read = nnx.jit(lambda m: m.s * 1.0)
    assert read(model) == 2.0
    model.s = jnp.array(3.0)
    assert read(model) == 3.0


def test_structures_are_pickled():
    """Those of layers with functions among their static attributes, too."""

    def program(nnx):
        rngs = nnx.Rngs(0)
        layers = [
            nnx.Linear(2, 3, rngs=rngs),
            nnx.Conv(2, 3, (3,), rngs=rngs),
            nnx.BatchNorm(2, rngs=rngs),
            nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs),
            nnx.Dict(a=[1, nnx.Param(jnp.ones(1))], b=(len, {"c": None})),
        ]
        found = map(nnx.graphdef, layers)
        return [pickle.loads(pickle.dumps(graphdef)) == graphdef for graphdef in found]

    assert program(nnx) == [True] * 5
    graphdef = nnx.graphdef(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    assert copy.deepcopy(graphdef) is graphdef


def chained(nnx, depth):
    """Compile, copy and compare a chain of modules."""

    class Link(nnx.Module):
        def __init__(self, inner):
            self.inner, self.w = inner, nnx.Param(jnp.ones(()))

    model = None
    for _ in range(depth):
        model = Link(model)
    read = nnx.jit(lambda m: m.w[...])
    same = nnx.graphdef(nnx.clone(model)) == nnx.graphdef(model)
    return read(model), read(nnx.merge(*nnx.split(model))), same


def test_deep_models():
    """A chain as deep as Flax takes with any Python, and one as deep as it takes with some."""
    assert_same(lambda nnx: chained(nnx, 100))
    assert chained(nnx, 480) == (1.0, 1.0, True)


class Kind(enum.Enum):
    """An enumeration."""

    A = 1
    B = 2


class NT(NamedTuple):
    """A tuple with names."""

    x: object
    y: object


VALUES = {
    "int": 3,
    "float": 2.0,
    "bool": True,
    "str": "s",
    "none": None,
    "tuple": (1, 2),
    "named tuple": NT(1, 2),
    "list": [1, 2],
    "dict": {"a": 1},
    "set": {1, 2},
    "enum": Kind.A,
    "numpy scalar": np.float32(1),
    "numpy array": np.ones(2),
    "numpy 0d": np.array(1.0),
    "jax scalar": jnp.array(1.0),
    "key": jax.random.key(0),
    "dtype": jnp.float32,
    "numpy dtype": np.dtype("float32"),
    "function": jnp.sin,
    "dataclass": Pair(1),
    "object": Token("a"),
    "shape": jax.ShapeDtypeStruct((2,), jnp.float32),
    "tuple of arrays": (jnp.ones(1), 1),
    "named tuple of arrays": NT(jnp.ones(1), 2),
    "list of arrays": [jnp.ones(1)],
    "dict of arrays": {"a": jnp.ones(1)},
}
HOLDS_ARRAYS = {name for name in VALUES if name.endswith("of arrays")}


# Flax refuses a container of arrays that is not marked; see test_containers_of_arrays
MARKED = [(w, m) for w in VALUES for m in ("not", "data", "static")]
MARKED = [(w, m) for w, m in MARKED if m != "not" or w not in HOLDS_ARRAYS]


@pytest.mark.parametrize(("what", "marked"), MARKED)
def test_what_is_data(what, marked):
    """What of a value is a leaf of the model, of its state, and traced in a compiled function."""

    def program(nnx):
        def mark(value):
            return {"not": lambda x: x, "data": nnx.data, "static": nnx.static}[marked](value)

        class Holder(nnx.Module):
            def __init__(self):
                self.v = mark(copy.copy(VALUES[what]))

        model = Holder()
        found = []

        def look(m):
            found.append([isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(m.v)])
            return 0

        state = [path for path, _ in nnx.to_flat_state(nnx.state(model))]
        for jit in (nnx.jit, jax.jit):
            try:
                jit(look)(model)
            except TypeError:
                found.append("no array")
        return len(jax.tree.leaves(model)), state, found

    if what == "shape" and marked == "data":
        assert program(nnx)[0] == 1  # Flax fails when it has traced it
    else:
        assert_same(program)


@pytest.mark.parametrize("what", sorted(HOLDS_ARRAYS))
def test_containers_of_arrays(what):
    """A container of arrays needs no mark; it is what Flax makes of it with one."""

    def program(nnx, value):
        class Holder(nnx.Module):
            def __init__(self):
                self.v = value

        model = Holder()
        return [p for p, _ in nnx.to_flat_state(nnx.state(model))], jax.tree.leaves(model)

    ours = program(nnx, VALUES[what])
    theirs = program(LIBRARIES[0], LIBRARIES[0].data(VALUES[what]))
    assert ours == theirs


def test_numbers_kept_in_tuples_stay_numbers():
    """In ``nnx.jit`` Python can decide by them, marked as data or not; ``jax.jit`` traces data."""

    def program(nnx):
        class Net(nnx.Module):
            def __init__(self, mark):
                self.windows = mark([(4, 0), (2, 0)])

        def run(m, x):
            return x * 2 if m.windows[0][0] > 0 else x

        return [nnx.jit(run)(Net(mark), jnp.ones(1)) for mark in (nnx.data, lambda x: x)]

    assert_same(program)


def test_static_keys_tell_what_programs_can():
    """Keys are equal for equal contents, whatever the container, and differ with types."""
    equal = [([1, {2}], [1, {2}]), (np.ones(2), np.ones(2)), (bytearray(b"a"), bytearray(b"a"))]
    other = [
        (1, True),
        (0.0, -0.0),
        ((1,), [1]),
        ({1}, frozenset({1})),
        (np.ones(2), np.zeros(2)),
        (np.ones(2), np.ones(2, "float32")),
        (np.ones((1, 2)), np.ones(2)),
    ]
    assert all(static_key(a) == static_key(b) for a, b in equal)
    assert not any(static_key(a) == static_key(b) for a, b in other)


def test_fresh_values_share_no_containers():
    """Containers are copied, also in tuples and in classes derived from them; the rest is kept."""
    inside = object()
    value = NT([inside], by_default({"b": [inside]}))
    made = fresh(value)
    assert type(made) is NT
    assert type(made.y) is collections.defaultdict
    assert made == value
    assert made.x is not value.x
    assert made.y["a"] is not value.y["a"]
    assert made.y["a"]["b"] is not value.y["a"]["b"]
    assert made.x[0] is inside


ROWS = {
    "a Python number: `int`, `float`, `bool`": [3, 2.0, True],
    "a string": ["s"],
    "`None`": [None],
    "a tuple of numbers": [(1, 2)],
    "a named tuple of numbers": [NT(1, 2)],
    "a list of numbers": [[1, 2]],
    "a dictionary of numbers": [{"a": 1}],
    "a set": [{1, 2}],
    "a member of an enumeration": [Kind.A],
    "a dataclass": [dataclasses.make_dataclass("Plain", ["x"])(1)],
    "a dataclass registered as a pytree": [Pair(1)],
    "any other object, a function, a dtype": [Token("a"), jnp.sin, jnp.float32],
    "a scalar of NumPy: `np.float32(1)`": [np.float32(1)],
    "an array of NumPy, also of no dimensions": [np.ones(2), np.array(1.0)],
    "an array of JAX, also of no dimensions": [jnp.ones(2), jnp.array(1.0)],
    "a random key": [jax.random.key(0)],
    "a tuple with arrays": [(jnp.ones(1), 1)],
    "a named tuple with arrays": [NT(jnp.ones(1), 2)],
    "a list of arrays": [[jnp.ones(1)]],
    "a dictionary of arrays": [{"a": jnp.ones(1)}],
}


def what_it_is(value, mark):
    """Say in a word of the page what a value is as an attribute."""
    seen = []

    def look(m):
        seen.append([isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(m.v)])
        return 0

    model = nnx.Dict()
    try:
        model.v = mark(copy.copy(value))
    except ValueError:
        return "refused"
    leaves, in_state = (len(jax.tree.leaves(tree)) for tree in (model, nnx.state(model)))
    if not leaves:
        return "static"
    try:
        nnx.jit(look)(model)
        jax.jit(look)(model)
    except TypeError:
        return "no array"
    if in_state == leaves and all(map(all, seen)):
        return "leaf"
    assert all(seen[1])
    assert sum(seen[0]) == in_state
    return "arrays" if in_state else "numbers"


def test_the_page_says_what_is_data():
    """Each cell of the table in `docs/data.md` is what happens."""
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    rows = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("| ")][1:]
    said = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    marks = (lambda x: x, nnx.data, nnx.static)
    for name, values in ROWS.items():
        for value in values:
            assert [what_it_is(value, mark) for mark in marks] == said[name], (name, value)
    assert said.keys() == ROWS.keys()
