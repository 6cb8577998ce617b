"""Objects: attributes that are data or static, containers, and what modules offer."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.nnx import assert_same
from differential.nnx_models import layer, model, values
from linnet import nnx
from linnet.base import errors


def holder(nnx, **attributes):
    """An object with attributes."""

    class Holder(nnx.Module):
        pass

    made = Holder()
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def _leaves(node):
    return [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(node)]


def _reset(nnx, *assignments):
    made = holder(nnx)
    for value in assignments:
        made.x = value
    return _leaves(made)


def _declared(nnx):
    class Declared(nnx.Pytree):
        x: jax.Array = nnx.data()
        y: int = nnx.static()

    made = Declared()
    made.x, made.y = 1, 2
    return _leaves(made)


def _dataclass(nnx):
    @nnx.dataclass
    class Point(nnx.Pytree):
        x: jax.Array
        name: str = nnx.static(default="p")
        table: dict = nnx.data(default_factory=dict)

    made = Point(jnp.ones(1))
    return _leaves(made), made.name, made.table


PROGRAMS = {
    "arrays are data": lambda nnx: _leaves(holder(nnx, a=jnp.ones(1), b=np.ones(1), c=1, d="x")),
    "keys are data": lambda nnx: len(jax.tree.leaves(holder(nnx, a=jax.random.key(0)))),
    "numpy scalars are static": lambda nnx: _leaves(holder(nnx, a=np.float32(1))),
    "is_data": lambda nnx: [
        nnx.is_data(x)
        for x in (np.ones(2), np.float32(1), 1.0, None, nnx.Param(1), holder(nnx), [1], {"a": 1})
    ],
    "has_data": lambda nnx: len(nnx.has_data([1, jnp.ones(1), {"a": nnx.Param(1)}])),
    "data stays data": lambda nnx: _reset(nnx, jnp.ones(1), 3),
    "explicit data": lambda nnx: _reset(nnx, nnx.data(3)),
    "explicit data again": lambda nnx: _reset(nnx, nnx.data(3), 4),
    "explicit static": lambda nnx: _reset(nnx, nnx.static(3)),
    "explicit list": lambda nnx: _leaves(holder(nnx, a=nnx.data([jnp.ones(1), {"b": 2}]))),
    "static with data": lambda nnx: _reset(nnx, nnx.static(jnp.ones(1))),
    "static, then data": lambda nnx: _reset(nnx, nnx.static(1), jnp.ones(1)),
    "declared": _declared,
    "dataclass": _dataclass,
    "check_pytree": lambda nnx: nnx.check_pytree(holder(nnx, a=jnp.ones(1))),
    "check_pytree of something else": lambda nnx: nnx.check_pytree(3),
    "registered": lambda nnx: _registered(nnx),
    "pytree=False": lambda nnx: _opaque(nnx),
    "list": lambda nnx: _list(nnx),
    "long list": lambda nnx: [
        path
        for path, _ in nnx.to_flat_state(nnx.state(nnx.List([nnx.Param(i) for i in range(12)])))
    ],
    "list errors": lambda nnx: nnx.List([1])[5],
    "dict": lambda nnx: _dict(nnx),
    "dict errors": lambda nnx: nnx.Dict(a=1)["b"],
    "sequential": lambda nnx: nnx.Sequential(layer(nnx), jnp.sin, layer(nnx))(jnp.ones((1, 2))),
    "sequential of tuples": lambda nnx: nnx.Sequential(
        lambda x: (x, 1), lambda a, b: {"q": a + b}, lambda q: 2 * q
    )(3),
    "sequential, empty": lambda nnx: nnx.Sequential()(3),
    "sequential of no function": lambda nnx: nnx.Sequential(nnx.Param(1.0))(3),
    "train and eval": lambda nnx: _train_and_eval(nnx),
    "missing attribute": lambda nnx: holder(nnx).nothing,
    "sow": lambda nnx: _sow(nnx),
    "sow of another kind": lambda nnx: holder(nnx, h=nnx.Param(1.0)).sow(
        nnx.Intermediate, "h", 1.0
    ),
    "sow over a number": lambda nnx: holder(nnx, h=3).sow(nnx.Intermediate, "h", 1.0),
    "sow reduced": lambda nnx: _sow_reduced(nnx),
    "sow by name": lambda nnx: _sow_by_name(nnx),
    "perturb": lambda nnx: _perturb(nnx),
    "capture": lambda nnx: _capture(nnx, nnx.Intermediate),
    "capture two": lambda nnx: _capture(nnx, nnx.Intermediate, nnx.Perturbation),
    "capture a function": lambda nnx: nnx.to_pure_dict(
        nnx.capture(lambda m, x: m(x), nnx.Intermediate)(sower(nnx), jnp.ones(1))[1]
    ),
    "capture as a decorator": lambda nnx: nnx.to_pure_dict(
        nnx.capture(nnx.Intermediate)(lambda m, x: m(x))(sower(nnx), jnp.ones(1))[1]
    ),
    "capture outputs": lambda nnx: nnx.to_pure_dict(
        nnx.capture(sower(nnx), nnx.Intermediate, method_outputs=nnx.Intermediate)(jnp.ones(1))[1]
    ),
    "capture from a start": lambda nnx: _capture_from(nnx),
}


def _registered(nnx):
    class Thing:
        pass

    nnx.register_data_type(Thing)
    return len(jax.tree.leaves(holder(nnx, a=Thing())))


def _opaque(nnx):
    class Opaque(nnx.Module, pytree=False):
        def __init__(self):
            self.v = nnx.Param(2.0)

    made = Opaque()
    return jax.tree.leaves(made)[0] is made, values(nnx.state(made))


def _list(nnx):
    it = nnx.List([nnx.Param(1.0), nnx.Param(2.0), nnx.Param(3.0)])
    it.append(nnx.Param(4.0))
    it.insert(0, nnx.Param(0.0))
    popped = it.pop(2)
    it.extend([nnx.Param(5.0), nnx.Param(6.0)])
    it[1] = nnx.Param(9.0)
    del it[-1]
    return (
        popped.get_value(),
        len(it),
        values(nnx.state(it)),
        [type(x).__name__ for x in it],
        it[1:2][0].get_value(),
    )


def _dict(nnx):
    it = nnx.Dict({"a": nnx.Param(1.0)}, b=3)
    it["c"] = nnx.Param(2.0)
    it.d = nnx.Param(4.0)
    del it["b"]
    return list(it), len(it), "a" in it, it["d"] is it.d, values(nnx.state(it)), it.get("zz", 5)


def _train_and_eval(nnx):
    m = nnx.List([nnx.Dropout(0.5, rngs=nnx.Rngs(0)), nnx.BatchNorm(2, rngs=nnx.Rngs(0))])
    m.eval()
    first = m[0].deterministic, m[1].use_running_average
    m.train(rate=0.25)
    return first, m[0].deterministic, m[1].use_running_average, m[0].rate


def _sow(nnx):
    m = holder(nnx)
    kept = [m.sow(nnx.Intermediate, "h", x) for x in (1.0, 2.0)]
    return kept, m.h.get_value(), type(m.h).__name__


def _sow_reduced(nnx):
    m = holder(nnx)
    for x in (1.0, 2.0):
        m.sow(nnx.Intermediate, "h", x, init_fn=lambda: 0.0, reduce_fn=lambda a, b: a + b)
    return m.h.get_value()


def _sow_by_name(nnx):
    m = holder(nnx)
    m.sow("intermediates", "a", 1.0)
    m.sow("of_my_own", "b", 1.0)
    return type(m.a).__name__, type(m.b).__name__


def _perturb(nnx):
    m = holder(nnx)
    first = m.perturb("p", jnp.ones(2))
    m.p[...] = jnp.full(2, 3.0)
    return first, m.perturb("p", jnp.ones(2)), type(m.p).__name__


def sower(nnx):
    """A model with a part that sows and perturbs."""

    class Part(nnx.Module):
        def __call__(self, x):
            self.sow(nnx.Intermediate, "h", x)
            return self.perturb("p", x)

    class Whole(nnx.Module):
        def __init__(self):
            self.one, self.two = Part(), Part()

        def __call__(self, x):
            return self.two(self.one(2 * x))

    return Whole()


def _capture(nnx, *types):
    m = sower(nnx)
    out, *states = nnx.capture(m, *types)(jnp.ones(1))
    return out, [nnx.to_pure_dict(s) for s in states], values(nnx.state(m))


def _capture_from(nnx):
    m = sower(nnx)
    x = jnp.ones(1)
    _, start = nnx.capture(m, nnx.Perturbation)(x)
    start = jax.tree.map(lambda x: x + 5.0, start)
    out, after = nnx.capture(m, nnx.Perturbation, init=start)(x)
    return out, nnx.to_pure_dict(after), nnx.to_pure_dict(start)


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_flax(name):
    """Attributes, containers, modes, and captured values are as on Flax."""
    assert_same(PROGRAMS[name])


# --- what Linnet adds ---------------------------------------------------------------------------


def test_plain_containers_are_attributes():
    """Plain lists, tuples and dictionaries of modules or arrays just work, and are watched."""
    m = holder(nnx, items=[], pair=(layer(nnx), jnp.ones(1)), table={"a": layer(nnx)}, sizes=[1, 2])
    m.items.append(layer(nnx))
    assert type(m.items) is list
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(m))]
    assert ("items", 0, "bias") in paths
    assert ("pair", 0, "kernel") in paths
    assert ("pair", 1) in paths
    assert ("table", "a", "bias") in paths
    nnx.update(m, {"pair": {1: jnp.zeros(1)}, "items": {0: {"bias": jnp.ones(2)}}})
    assert m.pair[1] == 0.0
    assert type(m.pair) is tuple
    assert type(jax.tree.map(lambda x: x, m).items) is list
    assert nnx.clone(m).sizes == [1, 2]


def test_deep_containers():
    """Containers inside containers hold modules, too, also inside pytrees of other kinds."""
    from linnet.tree import struct

    @struct.dataclass
    class Pair:
        one: object
        two: object

    m = holder(nnx, deep=[{"a": (layer(nnx),)}], pair=Pair(layer(nnx), jnp.ones(1)))
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(m))]
    assert ("deep", 0, "a", 0, "bias") in paths
    assert ("pair", "one", "bias") in paths
    nnx.update(m, {"pair": {"two": jnp.zeros(1)}})
    assert m.pair.two == 0.0

    @nnx.jit
    def change(m):
        m.deep[0]["a"][0].bias[...] += 1
        m.pair.one.bias[...] += 1

    change(m)
    assert m.pair.one.bias[...].tolist() == m.deep[0]["a"][0].bias[...].tolist() == [1.0, 1.0]


def test_a_static_attribute_may_become_data():
    """What was static without having been said to be is data once it holds an array."""
    m = holder(nnx, x=1)
    m.x = jnp.ones(1)
    assert _leaves(m) == [[1.0]]


def test_replacing_a_variable_warns():
    """Setting an attribute that holds a variable to an array says what to write."""
    m = layer(nnx)
    with pytest.warns(errors.VariableReplacedWarning, match=r"self\.bias\[\.\.\.\] = x"):
        m.bias = m.bias + 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m.kernel = nnx.Param(jnp.ones(1))
        m.bias = jnp.zeros(2)


def test_unknown_attributes_are_suggested():
    """set_attributes, view and with_attributes name what is near."""
    m = model(nnx)
    with pytest.raises(ValueError, match="Did you mean 'size'"):
        m.set_attributes(sizes=3)
    drop = nnx.List([nnx.Dropout(0.5, rngs=nnx.Rngs(0))])
    with pytest.raises(ValueError, match="Did you mean 'deterministic'"):
        nnx.view(drop, determinstic=True)


def test_capture_without_anything_to_capture():
    """Capture is told what to capture, and on which module."""
    with pytest.raises(TypeError, match=r"nnx\.capture\(model, nnx\.Intermediate\)"):
        nnx.capture(layer(nnx))
    with pytest.raises(ValueError, match="Pass the module as an argument"):
        nnx.capture(lambda x: x, nnx.Intermediate)(1.0)


def test_the_gradient_of_a_perturbation():
    """The gradient by what is captured is that by the values that were perturbed."""
    m = sower(nnx)
    x = jnp.ones(1)
    _, start = nnx.capture(m, nnx.Perturbation)(x)

    def loss(start):
        return (nnx.capture(m, nnx.Perturbation, init=start)(x)[0] ** 2).sum()

    grads = nnx.to_pure_dict(jax.grad(loss)(start))
    assert grads == {"one": {"p": 4.0}, "two": {"p": 4.0}}


def test_abstract_models_have_the_structure_of_models():
    """A model of shapes has the treedef of the model, also where arrays are attributes."""
    m = model(nnx)
    abstract = nnx.eval_shape(lambda m: m, m)
    assert jax.tree.structure(abstract) == jax.tree.structure(m)
    assert nnx.graphdef(abstract) == nnx.graphdef(m)
    assert nnx.graphdef(jax.tree.map(lambda x: x, m)) == nnx.graphdef(jax.tree.map(jnp.sin, m))


def test_names_of_the_package_are_suggested():
    """A mistyped name of the package is told with a near one."""
    with pytest.raises(AttributeError, match="Did you mean 'Linear'"):
        nnx.Liner  # noqa: B018


def test_texts():
    """Models and states are written with types, shapes and sizes."""
    text = repr(model(nnx))
    for part in ("Model( # ", "BatchStat: 1 (4 B)", "kernel=Param( # 4 (16 B)", "float32[2,2]"):
        assert part in text
    assert "shared=Layer(...)" in text
    assert "Array([0., 0.]" in repr(nnx.state(layer(nnx)))
    assert "kernel=Param()" in repr(nnx.graphdef(layer(nnx)))


def test_tables():
    """Tabulate lists modules, inputs, outputs, variables by kind, and totals."""
    text = nnx.tabulate(
        model(nnx), jnp.ones((1, 2)), compute_flops=True, console_kwargs={"width": 150}
    )
    for part in (
        "Model Summary",
        "layers/0",
        "kernel: float32[2,2]",
        "flops",
        "Total",
        "18 (72 B)",
    ):
        assert part in text


# treescope looks at every name of numpy, those that numpy 2.5 is about to drop, too
@pytest.mark.filterwarnings("ignore:The chararray class:DeprecationWarning")
def test_trees_for_notebooks():
    """Treescope renders models, variables and states."""
    import treescope

    for value in (model(nnx), nnx.Param(jnp.ones(2), unit="m"), nnx.state(model(nnx))):
        assert "Param" in treescope.render_to_text(value)
        assert treescope.render_to_html(value)


def test_display_prints_outside_notebooks(capsys):
    """Outside a notebook display prints."""
    nnx.display(nnx.Param(jnp.ones(2)))
    assert "Param( # 2 (8 B)" in capsys.readouterr().out


def test_arguments_need_an_init():
    """A class without ``__init__`` takes no arguments, and a mistyped one is told."""

    def program(nnx):
        class Model(nnx.Module):
            def __int__(self, features):  # noqa: PLE0302
                self.features = features

        assert isinstance(Model(), nnx.Module)
        return Model(3)

    assert_same(program)

    class Model(nnx.Module):
        def __int__(self):
            return 1

    with pytest.raises(TypeError, match=r"Model\(\) takes no arguments") as caught:
        Model(width=3)
    assert any("has no __init__" in note for note in caught.value.__notes__)
    assert any("'__int__'" in note for note in caught.value.__notes__)


def test_slots_are_refused():
    """An attribute in a slot would be no part of the model."""

    def program(nnx):
        class Model(nnx.Module):
            __slots__ = ("w",)

    assert_same(program)
    with pytest.raises(TypeError, match="Leave __slots__ out"):
        program(nnx)


def test_items_of_lists_can_be_marked():
    """``nnx.data`` makes a leaf of an item, ``nnx.static`` does not."""

    def program(nnx):
        items = nnx.List([nnx.data(1), nnx.static("a"), nnx.data(2), 3])
        found = [jax.tree.leaves(items)]
        items.append(nnx.data(5))
        items[0] = nnx.data(7)
        return [*found, jax.tree.leaves(items), jax.tree.leaves(nnx.clone(items)), list(items)]

    assert_same(program)


def test_marks_of_items_move_with_them():
    """What was said of an item stays true of it; Flax says it of the place in the list."""
    items = nnx.List([nnx.data(1), 2])
    items.insert(0, 9)
    assert jax.tree.leaves(items) == [1]
    del items[0]
    assert jax.tree.leaves(nnx.clone(items)) == [1]
    with pytest.raises(ValueError, match="marked as static"):
        nnx.List([nnx.static(jnp.ones(1))])


EQUALITIES = {
    "dictionaries": lambda nnx: nnx.Dict(a=1) == nnx.Dict(a=1),
    "other values": lambda nnx: nnx.Dict(a=1) == nnx.Dict(a=2),
    "a plain one": lambda nnx: nnx.Dict(a=1) == {"a": 1},
    "nested": lambda nnx: nnx.Dict(a=nnx.Dict(b=1)) == {"a": {"b": 1}},
    "lists": lambda nnx: nnx.List([1]) == nnx.List([1]),
    "modules": lambda nnx: nnx.Linear(1, 1, rngs=nnx.Rngs(0)) == nnx.Linear(1, 1, rngs=nnx.Rngs(0)),
}


@pytest.mark.parametrize("what", EQUALITIES)
def test_containers_are_equal_by_what_they_hold(what):
    """Other objects are equal to themselves only."""
    assert_same(EQUALITIES[what])


def test_lists_are_equal_by_their_items():
    """In Flax all lists of NNX are equal."""
    assert nnx.List([1]) == [1]
    assert nnx.List([1]) != nnx.List([1, 2])
    assert nnx.List([1]) != nnx.List([2])


def test_registered_pytrees_are_taken_apart():
    """A type registered as data is one leaf only if JAX takes it for one."""

    def program(nnx):
        @nnx.register_data_type
        @jax.tree_util.register_dataclass
        @dataclasses.dataclass
        class Pair:
            a: object
            b: object

        class Model(nnx.Module):
            def __init__(self):
                self.pair = Pair(nnx.Param(jnp.ones(2)), nnx.Param(jnp.ones(1)))

        state = nnx.state(Model(), nnx.Param)
        return [(path, type(leaf).__name__) for path, leaf in nnx.to_flat_state(state)]

    assert_same(program)
