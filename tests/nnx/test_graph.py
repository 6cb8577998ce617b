"""Models as structure and state: split, merge, update and their kin, beside Flax's."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.nnx import assert_same
from differential.nnx_models import kinds, layer, model, values
from linnet import nnx
from linnet.base import errors
from linnet.nnx.graph.layout import layout_of

# name → a program; the functions of NNX on a model with a shared layer and an array attribute
PROGRAMS = {
    "state": lambda nnx: values(nnx.state(model(nnx))),
    "kinds": lambda nnx: kinds(nnx.state(model(nnx))),
    "state filtered": lambda nnx: values(nnx.state(model(nnx), nnx.BatchStat)),
    "states filtered": lambda nnx: [
        values(s) for s in nnx.state(model(nnx), nnx.Param, nnx.BatchStat)
    ],
    "variables": lambda nnx: values(nnx.variables(model(nnx))),
    "variables filtered": lambda nnx: values(nnx.variables(model(nnx), nnx.BatchStat)),
    "split": lambda nnx: values(nnx.split(model(nnx))[1]),
    "split filters": lambda nnx: [values(s) for s in nnx.split(model(nnx), nnx.Param, ...)[1:]],
    "split path": lambda nnx: [
        values(s) for s in nnx.split(model(nnx), nnx.PathContains("kernel"), ...)[1:]
    ],
    "split combined": lambda nnx: [
        values(s)
        for s in nnx.split(
            model(nnx), nnx.All(nnx.Param, nnx.Not(nnx.PathContains("bias"))), nnx.Any("x", ...)
        )[1:]
    ],
    "split predicate": lambda nnx: [
        values(s) for s in nnx.split(model(nnx), lambda path, v: "layers" in path, ...)[1:]
    ],
    "split not all": lambda nnx: nnx.split(model(nnx), nnx.Param),
    "split everything first": lambda nnx: nnx.split(model(nnx), ..., nnx.Param),
    "merge": lambda nnx: values(nnx.state(nnx.merge(*nnx.split(model(nnx))))),
    "merge two": lambda nnx: values(nnx.state(nnx.merge(*nnx.split(model(nnx), nnx.Param, ...)))),
    "merge values": lambda nnx: _merged_values(nnx),
    "merge lacking": lambda nnx: nnx.merge(nnx.graphdef(model(nnx)), nnx.State({})),
    "merge calls": lambda nnx: nnx.merge(*nnx.split(model(nnx)))(jnp.ones((1, 2))),
    "call": lambda nnx: nnx.call(nnx.split(model(nnx)))(jnp.ones((1, 2)))[0],
    "apply": lambda nnx: _applied(nnx),
    "clone": lambda nnx: values(nnx.state(nnx.clone(model(nnx)))),
    "flatten": lambda nnx: _paths(nnx.flatten(model(nnx))[1]),
    "flatten values": lambda nnx: nnx.flatten(model(nnx), with_paths=False)[1],
    "unflatten": lambda nnx: values(nnx.state(nnx.unflatten(*nnx.flatten(model(nnx))))),
    "unpack": lambda nnx: values(nnx.state(nnx.merge(nnx.unpack(model(nnx))))),
    "unpack filters": lambda nnx: values(
        nnx.state(nnx.merge(*nnx.unpack(model(nnx), nnx.Param, ...)))
    ),
    "update": lambda nnx: _updated(nnx, {"first": {"bias": jnp.ones(2)}, "scale": jnp.zeros(2)}),
    "update state": lambda nnx: _updated(
        nnx, nnx.map_state(lambda p, x: x.replace(x[...] + 1), nnx.state(model(nnx), nnx.Param))
    ),
    "update several": lambda nnx: _updated(
        nnx, {"count": jnp.ones(())}, nnx.State({"first": {"bias": nnx.Param(jnp.ones(2))}})
    ),
    "update int keys": lambda nnx: _updated(nnx, {"layers": {1: {"bias": jnp.ones(2)}}}),
    "pop": lambda nnx: _popped(nnx, nnx.BatchStat),
    "pop several": lambda nnx: _popped(nnx, nnx.BatchStat, nnx.Param),
    "pop nothing": lambda nnx: nnx.pop(model(nnx)),
    "duplicates": lambda nnx: nnx.find_duplicates(model(nnx)),
    "duplicate variables": lambda nnx: nnx.find_duplicates(model(nnx), only=nnx.Variable),
    "modules": lambda nnx: [(p, type(m).__name__) for p, m in nnx.iter_modules(model(nnx))],
    "children": lambda nnx: [p for p, _ in nnx.iter_children(model(nnx))],
    "module children": lambda nnx: [p for p, _ in nnx.iter_module_children(model(nnx))],
    "map": lambda nnx: values(
        nnx.state(
            nnx.map(lambda p, v: v.replace(v[...] + 1) if hasattr(v, "replace") else v, model(nnx))
        )
    ),
    "map paths": lambda nnx: _mapped_paths(nnx),
    "tree map": lambda nnx: values(nnx.state(jax.tree.map(lambda x: x + 1, model(nnx)))),
    "tree leaves": lambda nnx: jax.tree.leaves(model(nnx)),
    "tree paths": lambda nnx: [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(model(nnx))
    ],
    "state paths": lambda nnx: [
        jax.tree_util.keystr(path)
        for path, _ in jax.tree_util.tree_leaves_with_path(nnx.state(model(nnx)))
    ],
    "list of models": lambda nnx: values(nnx.state([model(nnx), {"a": nnx.Param(1.0)}])),
    "a variable": lambda nnx: nnx.split(nnx.Param(jnp.ones(2)))[1][...],
    "set_metadata": lambda nnx: _with_metadata(nnx),
    "view": lambda nnx: _view(nnx),
    "view unknown": lambda nnx: nnx.view(model(nnx), nonsense=True),
    "with_attributes": lambda nnx: (
        nnx.with_attributes(model(nnx), name="other").name,
        nnx.with_attributes(model(nnx), size=5, only=nnx.PathContains("first")).first.size,
    ),
    "with_attributes unknown": lambda nnx: nnx.with_attributes(model(nnx), nonsense=1),
    "set_attributes": lambda nnx: _set_attributes(nnx),
    "set_attributes unknown": lambda nnx: model(nnx).set_attributes(nonsense=1),
    "as_pure": lambda nnx: values(nnx.as_pure(nnx.state(model(nnx)))),
    "as_abstract": lambda nnx: jax.tree.map(lambda x: (x.shape, str(x.dtype)), _abstract(nnx)),
    "recursive_map": lambda nnx: values(
        nnx.state(
            nnx.recursive_map(lambda p, x: x + 1 if isinstance(x, jax.Array) else x, model(nnx))
        )
    ),
}


def _paths(flat):
    return [path for path, _ in flat]


def _merged_values(nnx):
    graphdef, state = nnx.split(model(nnx))
    pure = nnx.to_pure_dict(state)
    merged = nnx.merge(graphdef, nnx.State(jax.tree.map(lambda x: x * 2, pure)))
    return values(nnx.state(merged)), type(merged.first.kernel).__name__


def _applied(nnx):
    graphdef, state = nnx.split(model(nnx))
    y, (_, new) = graphdef.apply(state).first(jnp.ones((1, 2)))
    return y, values(new)


def _updated(nnx, *states):
    m = model(nnx)
    kernel = m.first.kernel
    nnx.update(m, *states)
    assert m.first.kernel is kernel
    return values(nnx.state(m))


def _popped(nnx, *filters):
    m = model(nnx)
    popped = nnx.pop(m, *filters)
    popped = popped if isinstance(popped, tuple) else (popped,)
    return [values(p) for p in popped], values(nnx.state(m)), hasattr(m, "count")


def _mapped_paths(nnx):
    seen = []
    nnx.map(lambda path, v: seen.append(path) or v, model(nnx))
    return seen


def _with_metadata(nnx):
    m = model(nnx)
    nnx.set_metadata(m, unit="m")
    nnx.set_metadata(m, only=nnx.BatchStat, frozen=True)
    return m.first.kernel.unit, m.count.frozen, m.first.kernel.has_metadata("frozen")


def _view(nnx):
    m = nnx.List([nnx.Dropout(0.5, rngs=nnx.Rngs(0)), nnx.BatchNorm(2, rngs=nnx.Rngs(0))])
    seen = nnx.view(m, deterministic=True)
    part = nnx.view(m, only=nnx.BatchNorm, use_running_average=True)
    shared = seen[1].mean is m[1].mean
    return seen[0].deterministic, m[0].deterministic, part[1].use_running_average, shared


def _set_attributes(nnx):
    m = model(nnx)
    m.set_attributes(size=7)
    m.set_attributes(lambda path, x: "layers" in path, size=8)
    m.set_attributes(nonsense=1, raise_if_not_found=False)
    return m.first.size, m.layers[0].size


def _abstract(nnx):
    return nnx.to_pure_dict(nnx.state(nnx.as_abstract(model(nnx)), nnx.Param))


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_flax(name):
    """Every function does on a model what it does on Flax; of an error the class is the same."""
    assert_same(PROGRAMS[name])


def test_a_state_shares_the_variables_of_the_model():
    """Split and state copy nothing; clone copies the variables and shares the arrays."""

    def program(nnx):
        m = model(nnx)
        graphdef, state = nnx.split(m)
        merged, cloned = nnx.merge(graphdef, state), nnx.clone(m)
        shallow, separate = nnx.clone(m, variables=False), nnx.merge(graphdef, state, copy=True)
        same = state["first"]["kernel"] is m.first.kernel
        return (
            *(same, merged.first.kernel is m.first.kernel, merged.first is m.first),
            *(cloned.first.kernel is m.first.kernel, shallow.first.kernel is m.first.kernel),
            *(separate.first.kernel is m.first.kernel, cloned.first is cloned.shared),
            cloned.first.kernel[...] is m.first.kernel[...],
        )

    assert_same(program)


def test_cycles_are_preserved():
    """A path that leads back to where it came from does so in a clone, too."""

    def program(nnx):
        class Loop(nnx.Module):
            def __init__(self):
                self.me = self
                self.w = nnx.Param(jnp.ones(1))

        made = nnx.clone(Loop())
        return made.me is made, values(nnx.state(made))

    assert_same(program)


def test_structures_compare():
    """Models built alike have equal structures, and here the same one."""
    one, two = model(nnx), model(nnx)
    assert nnx.graphdef(one) == nnx.graphdef(two)
    two.name = "other"
    assert nnx.graphdef(one) != nnx.graphdef(two)
    two.name = "model"
    two.layers.append(layer(nnx))
    assert nnx.graphdef(one) != nnx.graphdef(two)


def test_static_values_are_told_apart_by_type():
    """1, 1.0 and True are equal to Python and different structures to a program."""

    class Holder(nnx.Module):
        def __init__(self, value):
            self.value = value

    found = [
        nnx.graphdef(Holder(value)) for value in (1, 1.0, True, [1], (1,), [True], float("nan"))
    ]
    assert len(set(found)) == len(found)
    assert nnx.graphdef(Holder(float("nan"))) == found[-1]


def test_structures_are_pickled_and_copied():
    """What is pickled comes back as the same structure; what is copied is the same."""
    graphdef, state = nnx.split(model(nnx))
    again, values_again = pickle.loads(pickle.dumps((graphdef, state)))
    assert again == graphdef
    assert copy.deepcopy(graphdef) is graphdef
    assert values_again == state


def test_models_are_pickled_and_copied():
    """A model that is pickled or copied deeply has the same state, and shares nothing."""
    m = model(nnx)
    for other in (pickle.loads(pickle.dumps(m)), copy.deepcopy(m)):
        assert nnx.state(other) == nnx.state(m)
        assert other.first is other.shared
        assert other.first.kernel is not m.first.kernel
        assert nnx.graphdef(other) == nnx.graphdef(m)


def test_layouts_are_remembered():
    """A model is walked once until it changes."""
    m = model(nnx)
    first = layout_of(m)
    m.count[...] += 1
    m.scale = jnp.zeros(2)
    model(nnx).name = "another model"
    assert layout_of(m) is first
    m.layers[0].size = 5
    assert layout_of(m) is not first


def test_a_model_does_not_keep_itself_alive():
    """The remembered layout makes no cycle: without other references a model dies at once."""
    import weakref

    m = nnx.List([layer(nnx)])
    nnx.split(m)
    gone = weakref.ref(m)
    del m
    assert gone() is None


def test_clones_do_not_share_lists():
    """Static lists and dictionaries are copied along with a model."""

    class Sized(nnx.Module):
        def __init__(self):
            self.sizes = [1, 2]

    m = Sized()
    made = nnx.clone(m)
    made.sizes.append(3)
    assert m.sizes == [1, 2]
    assert nnx.clone(Sized()).sizes == [1, 2]


# --- errors -------------------------------------------------------------------------------------


def test_update_lists_everything_that_is_wrong_and_changes_nothing():
    """Unknown paths and wrong shapes are one error, with near names."""
    m = model(nnx)
    before = values(nnx.clone(nnx.state(m)))
    bad = {
        "first": {"kernal": jnp.ones(2), "bias": jnp.ones(3)},
        "scale": jnp.zeros(2),
        "q": {"a": 1},
    }
    with pytest.raises(errors.StateMismatchError) as caught:
        nnx.update(m, bad)
    text = str(caught.value)
    for part in ("/first/kernal", "'/first/kernel'", "/first/bias", "(2,)", "(3,)", "/q/a"):
        assert part in text
    assert "nothing was changed" in text
    jax.tree.map(np.testing.assert_array_equal, values(nnx.state(m)), before)


def test_merge_names_what_is_missing_and_what_is_too_much():
    """A state that does not belong to a structure is told by paths."""
    graphdef, state = nnx.split(model(nnx))
    flat = dict(nnx.to_flat_state(state))
    flat[("extra",)] = flat.pop(("scale",))
    with pytest.raises(ValueError, match="missing: /scale") as caught:
        nnx.merge(graphdef, nnx.from_flat_state(flat))
    assert "/extra" in str(caught.value)
    with pytest.raises(TypeError, match=r"nnx\.merge"):
        nnx.merge(state, graphdef)


def test_unmatched_filters_name_what_is_left():
    """Split with filters that leave something out names it and says to add `...`."""
    with pytest.raises(ValueError, match=r"/count \(BatchStat\)") as caught:
        nnx.split(model(nnx), nnx.Param)
    assert "`...`" in str(caught.value)


ROOTS = {
    "variable": lambda nnx: nnx.Param(jnp.array(1.0)),
    "array": lambda nnx: jnp.ones(1),
    "numpy": lambda nnx: np.ones(1),
    "int": lambda nnx: 42,
    "str": lambda nnx: "s",
    "none": lambda nnx: None,
    "list": lambda nnx: [],
    "numbers": lambda nnx: [1, 2],
    "dict": lambda nnx: {"a": 1, "b": jnp.ones(1)},
    "tuple": lambda nnx: (nnx.Param(jnp.ones(1)), 2),
}
ROOT_USES = {
    "split": lambda nnx, x: nnx.split(x)[1],
    "split by filters": lambda nnx, x: nnx.split(x, nnx.BatchStat, nnx.Param, ...)[1:],
    "split too narrowly": lambda nnx, x: nnx.split(x, nnx.BatchStat)[1:],
    "merge": lambda nnx, x: nnx.merge(*nnx.split(x)),
    "merge parts": lambda nnx, x: nnx.merge(*nnx.split(x, nnx.Param, ...)),
    "merge flat": lambda nnx, x: nnx.merge(*nnx.graphlib.flatten(x)),
    "clone": lambda nnx, x: nnx.clone(x),
}


def _plain(tree):
    """Write states as dictionaries and variables as their types and values."""
    if hasattr(tree, "get_raw_value"):
        return type(tree).__name__, tree.get_raw_value()
    if hasattr(tree, "raw_mapping"):
        return {key: _plain(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_plain(each) for each in tree]
    return {k: _plain(v) for k, v in tree.items()} if isinstance(tree, dict) else tree


@pytest.mark.parametrize("use", ROOT_USES)
@pytest.mark.parametrize("root", ROOTS)
def test_models_that_are_a_leaf_or_a_container(root, use):
    """The state of one leaf is the leaf, a number too; containers have one as objects do."""
    assert_same(lambda nnx: _plain(ROOT_USES[use](nnx, ROOTS[root](nnx))))


def test_pop_takes_arrays_out_of_containers():
    """What a filter matches is removed from objects and dictionaries, arrays too."""

    def program(nnx):
        nested = {"a": {"b": jnp.array(1), "c": nnx.Param(jnp.array(2)), "n": 3}}
        popped = nnx.pop(nested, lambda path, x: True)
        m = nnx.Dict(x=nnx.Intermediate(jnp.ones(1)), y=jnp.ones(2), n=3)
        return nnx.to_pure_dict(popped), nested, _plain(nnx.pop(m, ...)), sorted(m)

    assert_same(program)


@pytest.mark.parametrize("plain", [True, False])
def test_pop_takes_items_out_of_lists(plain):
    """What is left moves up, and nothing else is lost; Flax refuses it."""
    items = [nnx.Intermediate(1.0), nnx.Param(2.0), nnx.Intermediate(3.0), nnx.Param(4.0)]
    m = nnx.Dict(l=items if plain else nnx.List(items), k=nnx.Intermediate(5.0))
    popped = nnx.pop(m, nnx.Intermediate)
    assert nnx.to_pure_dict(popped) == {"k": 5.0, "l": {0: 1.0, 2: 3.0}}
    assert [type(v) for v in m.l] == [nnx.Param, nnx.Param]
    assert [v[...] for v in m.l] == [2.0, 4.0]
    assert jax.tree.leaves(nnx.state(m)) == [2.0, 4.0]


def test_pop_from_a_tuple_changes_nothing():
    """The error says where, and what came before it in the model is still there."""

    def program(nnx):
        m = {"a": nnx.Intermediate(1.0), "b": (nnx.Intermediate(2.0),)}
        return nnx.pop(m, nnx.Intermediate)

    assert_same(program)
    m = nnx.Dict(a=nnx.Intermediate(1.0), b=(nnx.Intermediate(2.0),))
    with pytest.raises(ValueError, match="/b/0, which stands in a tuple"):
        nnx.pop(m, nnx.Intermediate)
    assert len(jax.tree.leaves(nnx.state(m))) == 2


def test_update_reaches_numbers_in_containers():
    """What is static in a dictionary, a list or a module gets what the state has for it."""

    def program(nnx):
        nested = {"a": {"b": 1, "c": nnx.Param(jnp.array(2))}}
        nnx.update(nested, {"a": {"b": 4, "c": jnp.array(9)}})
        items = [1, nnx.Param(jnp.array(2))]
        nnx.update(items, {0: 4, 1: jnp.array(9)})
        m = nnx.Dict(n=3, p=nnx.Param(jnp.array(2)))
        nnx.update(m, {"n": 7})
        return _plain(nested), _plain(items), m.n

    assert_same(program)
    assert_same(lambda nnx: nnx.update((1, nnx.Param(2.0)), {0: 4}))
    with pytest.raises(ValueError, match="/0, which stands in a tuple"):
        nnx.update((1, nnx.Param(2.0)), {0: 4})


def test_merge_says_what_is_no_state():
    """A number in the place of a state is told, with what to pass."""
    with pytest.raises(TypeError, match=r"given a int as its state. Pass the states"):
        nnx.merge(nnx.graphdef(nnx.Dict(a=nnx.Param(1.0))), 3)


def test_aliases_of_types_take_parameters():
    """Annotations such as ``nnx.PureState[Model]`` can be written."""
    for name in ("PureState", "GraphDef", "Optimizer", "Variable", "Param", "List", "Dict"):
        assert getattr(nnx, name)[nnx.Linear] is not None


@pytest.mark.parametrize("use", [nnx.state, nnx.split, nnx.clone, nnx.jit(lambda m: None)])
@pytest.mark.parametrize("sort", ["list", "dict"])
def test_a_list_that_holds_itself(use, sort):
    """Is told with its place, when it is assigned and when it becomes so later."""
    m = layer(nnx)
    m.more = [nnx.Param(jnp.ones(1))] if sort == "list" else {"a": nnx.Param(jnp.ones(1))}
    use(m)
    m.more.append(m.more) if sort == "list" else m.more.update(b=m.more)
    with pytest.raises(ValueError, match=rf"The {sort} at /more/(1|b) is one that it stands in"):
        use(m)


def test_a_list_in_two_places():
    """Is no mistake: it does not stand in itself."""

    def program(nnx):
        shared = [nnx.Param(jnp.ones(1))]
        return nnx.to_pure_dict(nnx.state(nnx.Dict(a=nnx.data([shared, shared]))))

    assert_same(program)
