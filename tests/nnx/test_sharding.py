"""Variables on a mesh: how what they hold is laid out, said, and kept so."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental.layout import Format, Layout
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P, SingleDeviceSharding

from differential.nnx import assert_same
from linnet import nnx

U = P.UNCONSTRAINED
TYPES = {
    "auto": (AxisType.Auto, AxisType.Auto),
    "explicit": (AxisType.Explicit, AxisType.Explicit),
    "mixed": (AxisType.Auto, AxisType.Explicit),
}
RULES = (("in", "a"), ("out", "b"))

each_mesh = pytest.mark.parametrize("types", ["auto", "explicit"])


def mesh_of(types, shape=(2, 4)):
    """Two by four devices, or as many as the shape says."""
    count = shape[0] * shape[1]
    return jax.make_mesh(shape, ("a", "b"), TYPES[types], devices=jax.devices()[:count])


def ones():
    """An array whose axes every mesh here divides."""
    return jnp.ones((4, 8))


def lies(value):
    """Write down how a value, or that of a variable, lies."""
    value = getattr(value, "get_value", lambda: value)()
    sharding = value.sharding
    return type(sharding).__name__, str(getattr(sharding, "spec", sharding))


# --- making variables ---------------------------------------------------------------------------

GIVEN = {
    "names": ("a", "b"),
    "one name": ("a",),
    "None first": (None, "b"),
    "only None": (None, None),
    "two axes of the mesh for one": (("a", "b"), None),
    "the same for the second": (None, ("a", "b")),
    "a spec": P("b", "a"),
    "an empty spec": P(),
    "nothing": None,
    "unconstrained": P(U, "b"),
    "an axis that the mesh has not": ("a", "zz"),
}


@pytest.mark.parametrize("how", ["current", "own", "compiled"])
@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("given", GIVEN)
def test_names_and_specs(given, types, how):
    """A variable is laid out by its names on the current mesh, or its own, in nnx.jit too."""
    mesh = mesh_of(types)
    own = {"mesh": mesh} if how == "own" else {}

    def program(nnx):
        def make():
            return nnx.Param(ones(), out_sharding=GIVEN[given], **own)

        with contextlib.nullcontext() if own else jax.set_mesh(mesh):
            made = (nnx.jit(make) if how == "compiled" else make)()
            return made.get_value(), lies(made), made.get_metadata("out_sharding")

    assert_same(program)


VALUES = {
    "numpy": lambda: np.ones((4, 8), np.float32),
    "a tree": lambda: {"x": ones(), "y": ones()},
    "keys": lambda: jax.random.split(jax.random.key(0), (4, 4)),
    "nothing": lambda: None,
}


@each_mesh
@pytest.mark.parametrize("value", VALUES)
def test_values_of_other_sorts(value, types):
    """Arrays of numpy, trees of arrays and random keys are laid out like arrays."""

    def program(nnx):
        with jax.set_mesh(mesh_of(types)):
            made = nnx.Variable(VALUES[value](), out_sharding=("a", "b")).get_value()
            return [lies(leaf) for leaf in jax.tree.leaves(made)]

    assert_same(program)


SHARDINGS = {
    "a sharding": lambda mesh: NamedSharding(mesh, P("a", None)),
    "a format": lambda mesh: Format(Layout((1, 0)), NamedSharding(mesh, P("a", None))),
}


@pytest.mark.parametrize("given", SHARDINGS)
def test_shardings_of_jax(given):
    """A sharding or a format says how a variable lies without a current mesh, as on Flax."""

    def program(nnx):
        def make():
            return nnx.Param(ones(), out_sharding=SHARDINGS[given](mesh_of("auto")))

        return [(lies(v), str(v.get_value().format.layout)) for v in (make(), nnx.jit(make)())]

    assert_same(program)


def test_shardings_of_jax_where_flax_fails():
    """They do on a mesh with explicit axes, and beside a current mesh; other shardings do too."""
    mesh = mesh_of("explicit")
    for given in SHARDINGS.values():
        assert nnx.Param(ones(), out_sharding=given(mesh)).sharding.spec[0] == "a"
        with jax.set_mesh(mesh):
            assert nnx.Param(ones(), out_sharding=given(mesh)).sharding.spec[0] == "a"
    third = SingleDeviceSharding(jax.devices()[3])
    assert nnx.Param(ones(), out_sharding=third).devices() == {jax.devices()[3]}


def test_layers():
    """Layers lay out what they make by their initializers, and by the metadata they are given."""

    def program(nnx):
        init = nnx.with_partitioning(nnx.initializers.lecun_normal(), (None, "b"))
        shown = {"out_sharding": ("a", "b")}
        with jax.set_mesh(mesh_of("explicit")):
            by_init = nnx.Linear(4, 8, kernel_init=init, rngs=nnx.Rngs(0))
            by_metadata = nnx.Linear(4, 8, kernel_metadata=shown, rngs=nnx.Rngs(0))
            compiled = nnx.jit(lambda: nnx.Linear(4, 8, kernel_init=init, rngs=nnx.Rngs(0)))()
            layers = by_init, by_metadata, compiled
            return [(lies(m.kernel), lies(m.bias), m.kernel.get_value()) for m in layers]

    assert_same(program, drawn=True)


def test_a_mesh_of_one_device():
    """A mesh may be a single device."""
    one = mesh_of("explicit", (1, 1))
    assert_same(lambda nnx: lies(nnx.Param(ones(), out_sharding=("a", "b"), mesh=one)))


# --- what cannot be ------------------------------------------------------------------------------


@each_mesh
def test_axes_that_do_not_divide(types):
    """The error is JAX's, as on Flax; a note says which variable it was, its shape and the mesh."""

    def program(nnx):
        with jax.set_mesh(mesh_of(types)):
            return nnx.Param(jnp.ones((3, 8)), out_sharding=("a", "b"))

    assert_same(program)
    with pytest.raises(ValueError, match="axis 0") as caught:
        program(nnx)
    note = caught.value.__notes__[-1]
    assert "A Param of shape (3, 8) was made with out_sharding=('a', 'b')" in note
    assert "{'a': 2, 'b': 4}" in note


@each_mesh
def test_one_axis_of_the_mesh_twice(types):
    """An axis of the mesh can split one axis of a value only."""

    def program(nnx):
        with jax.set_mesh(mesh_of(types)):
            return nnx.Param(ones(), out_sharding=("a", "a"))

    assert_same(program)


@each_mesh
@pytest.mark.parametrize("value", [2.0, jnp.ones(()), jnp.ones(4)], ids=["number", "0", "1"])
def test_more_names_than_axes(value, types):
    """They are refused with the shape; on explicit axes Flax fails an assertion."""
    with jax.set_mesh(mesh_of(types)), pytest.raises(ValueError, match="names 2 axes, more than"):
        nnx.Param(value, out_sharding=("a", "b"))


@pytest.mark.parametrize("given", ["model", 3])
def test_what_says_nothing(given):
    """A bare name is no answer for each axis; Flax ignores it on a mesh with automatic axes."""
    with jax.set_mesh(mesh_of("auto")), pytest.raises(ValueError, match="how each axis"):
        nnx.Param(ones(), out_sharding=given)


def test_no_mesh():
    """Names without a mesh are an error, unless the layout is put off."""
    assert_same(lambda nnx: nnx.Param(ones(), out_sharding=("a", None)))
    assert_same(lambda nnx: lies(nnx.Param(ones(), out_sharding=("a",), eager_sharding=False)))


# --- reading -------------------------------------------------------------------------------------


def test_sharding_is_that_of_the_array():
    """`sharding` of a variable is its array's; as a keyword it is an old name of `out_sharding`."""

    def program(nnx):
        with jax.set_mesh(mesh_of("auto")):
            given = nnx.Param(ones(), sharding=("a", "b"))
            plain = nnx.Param(ones())
        held = nnx.state(nnx.Dict(v=given))["v"]
        return (
            [str(v.sharding.spec) for v in (given, plain, held)],
            [v.sharding_names for v in (given, plain, held)],
            given.has_metadata("sharding"),
            nnx.Param(jax.ShapeDtypeStruct((2,), "float32")).sharding,
            [hasattr(nnx.Param(value), "sharding") for value in (3, {"x": ones()})],
        )

    assert_same(program)


SPECS = {
    "names": {"out_sharding": ("a", None)},
    "a spec": {"out_sharding": P(None, "b")},
    "nothing": {},
    "logical": {"out_sharding": ("in", "mlp"), "sharding_rules": (("mlp", "b"),)},
}


@pytest.mark.parametrize("given", SPECS)
def test_specs_of_states(given):
    """The specs and shardings of a state are read from the metadata, by the rules in force."""

    def program(nnx):
        v = nnx.Param(ones(), **SPECS[given], eager_sharding=False)
        with nnx.logical_axis_rules(RULES):
            specs = nnx.get_partition_spec(nnx.state(nnx.Dict(v=v)))
            named = nnx.get_named_sharding(nnx.state(nnx.Dict(v=v)), mesh_of("auto"))
        return str(specs["v"].get_value()), str(named["v"].get_value())

    assert_same(program)


def test_specs_of_shardings():
    """Where a sharding or format was given, the spec is its own; Flax fails on both."""
    for given in SHARDINGS.values():
        v = nnx.Param(ones(), out_sharding=given(mesh_of("auto")))
        assert nnx.get_partition_spec(v).get_value() == P("a", None)
        assert nnx.as_abstract(v).sharding == NamedSharding(mesh_of("auto"), P("a", None))


# --- rules ---------------------------------------------------------------------------------------

OWN_RULES = {
    "none": (),
    "one more": (("mlp", "b"),),
    "the same": (("in", "a"),),
    "another": (("in", "b"),),
    "whole": (("in", None),),
    "as a list": [["mlp", "b"]],
    "twice": (("mlp", "a"), ("mlp", "b")),
}


@pytest.mark.parametrize("names", [("in", "out"), ("in", "mlp"), ("mlp", None)], ids=str)
@pytest.mark.parametrize("own", OWN_RULES)
@pytest.mark.parametrize("current", [(), RULES, (("mlp", "b"),)], ids=["none", "two", "mlp"])
def test_rules_of_a_variable(current, own, names):
    """They come on top of those of the context, and may not contradict them."""

    def program(nnx):
        with jax.set_mesh(mesh_of("auto")), nnx.logical_axis_rules(current):
            return lies(nnx.Param(ones(), out_sharding=names, sharding_rules=OWN_RULES[own]))

    assert_same(program)


# --- optimizers ----------------------------------------------------------------------------------

MOMENTS = {
    "nothing": {},
    "the parameter": {"out_sharding": ("a", None)},
    "the moments": {"optimizer_sharding": ("a", "b")},
    "both": {"out_sharding": ("a", None), "optimizer_sharding": ("a", "b")},
    "moments as they are": {"out_sharding": ("a", None), "optimizer_sharding": None},
    "a spec": {"optimizer_sharding": P("b")},
    "rules": {"optimizer_sharding": ("in", "out"), "sharding_rules": RULES},
    "an axis that the mesh has not": {"optimizer_sharding": ("zz",)},
}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@each_mesh
@pytest.mark.parametrize("given", MOMENTS)
def test_optimizer_sharding(given, types, compiled):
    """The moments of a parameter lie as its `optimizer_sharding` says, and stay there."""

    def program(nnx):
        def make():
            model = nnx.Linear(4, 8, kernel_metadata=MOMENTS[given], rngs=nnx.Rngs(0))
            return model, nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

        def step(model, optimizer):
            grads = nnx.grad(lambda m: (m(jnp.ones((2, 4))) ** 2).sum())(model)
            optimizer.update(model, grads)

        with jax.set_mesh(mesh_of(types)):
            model, optimizer = (nnx.jit(make) if compiled else make)()
            moment = optimizer.opt_state[0].mu["kernel"]
            seen = lies(moment), moment.get_metadata("out_sharding", "none"), lies(model.kernel)
            (nnx.jit(step) if compiled else step)(model, optimizer)
            return *seen, lies(optimizer.opt_state[0].mu["kernel"]), lies(model.kernel)

    assert_same(program)


# --- the axis of a transformation ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["layers", None, "a"])
@pytest.mark.parametrize("given", [("a", "b"), ("a",), (None, "b"), P("a", "b")], ids=str)
@each_mesh
def test_axes_of_transformations(types, given, name):
    """A variable made in `nnx.vmap` names the axis it gets; in `nnx.scan` it is without it."""

    def program(nnx):
        told = {"transform_metadata": {nnx.PARTITION_NAME: name}}
        seen = []

        def make(_):
            return nnx.Dict(w=nnx.Param(ones(), out_sharding=given))

        def step(model, x):
            seen.append(model.w.get_metadata("out_sharding"))
            return x

        with jax.set_mesh(mesh_of(types)):
            model = nnx.vmap(make, **told)(jnp.arange(2))
            axes = (0, nnx.Carry)
            nnx.scan(step, in_axes=axes, out_axes=nnx.Carry, **told)(model, jnp.ones(()))
            spec = nnx.get_partition_spec(nnx.state(model))["w"].get_value()
        return model.w.get_metadata("out_sharding"), lies(model.w), seen, str(spec)

    assert_same(program)


# --- setting -------------------------------------------------------------------------------------


def _set_part(v):
    v[0] = jnp.zeros(8)


def _set_all(v):
    v[...] = 2 * ones()


CHANGES = {
    "all": _set_all,
    "a part": _set_part,
    "a number": lambda v: v.__setitem__(..., 3.0),
    "a row": lambda v: v.__setitem__(..., jnp.arange(8.0)),
    "numpy": lambda v: v.__setitem__(..., np.ones((4, 8))),
    "from itself": lambda v: v.__setitem__(..., v[...] * 2),
    "set_value": lambda v: v.set_value(2 * ones()),
    "value": lambda v: setattr(v, "value", 2 * ones()),
    "another shape": lambda v: v.__setitem__(..., jnp.ones((6, 8))),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("annotated", [False, True], ids=["placed", "annotated"])
@each_mesh
@pytest.mark.parametrize("change", CHANGES)
def test_setting_keeps_the_layout(change, types, annotated, compiled):
    """What is written into a variable lies as its array does; what replaces it brings its own."""
    mesh = mesh_of(types)

    def program(nnx):
        with jax.set_mesh(mesh):
            if annotated:
                v = nnx.Param(ones(), out_sharding=("a", "b"))
            else:
                v = nnx.Param(jax.device_put(ones(), NamedSharding(mesh, P("a", "b"))))
            (nnx.jit(CHANGES[change]) if compiled else CHANGES[change])(v)
            return v.get_value(), lies(v)

    assert_same(program)


# --- shapes --------------------------------------------------------------------------------------

MADE = {
    "annotated": lambda nnx, mesh: nnx.Param(ones(), out_sharding=("a", "b")),
    "plain": lambda nnx, mesh: nnx.Param(ones()),
    "its own mesh": lambda nnx, mesh: nnx.Param(ones(), out_sharding=("a", "b"), mesh=mesh),
    "put off": lambda nnx, mesh: nnx.Param(ones(), out_sharding=("a",), eager_sharding=False),
    "a layer": lambda nnx, mesh: nnx.Linear(4, 8, rngs=nnx.Rngs(0)).kernel,
    "an array": lambda nnx, mesh: ones(),
}


@pytest.mark.parametrize("current", [False, True], ids=["no mesh", "a mesh"])
@each_mesh
@pytest.mark.parametrize("made", MADE)
def test_shapes_say_how_values_would_lie(made, types, current):
    """`nnx.eval_shape` tells the sharding that a variable would have, as on Flax."""
    mesh = mesh_of(types)

    def program(nnx):
        with jax.set_mesh(mesh) if current else contextlib.nullcontext():
            value = nnx.eval_shape(lambda: MADE[made](nnx, mesh))
            value = value.get_value() if isinstance(value, nnx.Variable) else value
            return value.shape, str(value.sharding)

    assert_same(program)


@each_mesh
def test_shapes_of_arguments(types):
    """A variable that passes through `nnx.eval_shape` says it too."""

    def program(nnx):
        with jax.set_mesh(mesh_of(types)):
            v = nnx.Param(ones(), out_sharding=("a", "b"))
            return str(nnx.eval_shape(lambda v: v, v).get_value().sharding)

    assert_same(program)


@each_mesh
def test_abstract_models(types):
    """The abstract model says where a real one would lie, and can be filled with arrays there."""
    mesh = mesh_of(types)

    def program(nnx):
        def make():
            shown = {"out_sharding": ("a", "b")}
            return nnx.Linear(4, 8, kernel_metadata=shown, rngs=nnx.Rngs(0))

        graphdef, state = nnx.get_abstract_model(make, mesh)
        filled = jax.tree.map(lambda s: jax.device_put(jnp.ones(s.shape), s.sharding), state)
        model = nnx.merge(graphdef, filled)
        return [str(leaf.sharding) for leaf in jax.tree.leaves(state)], lies(model.kernel)

    assert_same(program)
