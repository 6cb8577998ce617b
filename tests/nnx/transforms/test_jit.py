"""nnx.jit: compiled functions of objects, their updates, their cache, their errors."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from differential.nnx import assert_same
from differential.nnx_models import layer, model, values
from linnet import nnx
from linnet.base import errors
from linnet.nnx.graph.layout import layout_of

X = jnp.ones((1, 2))


def _counting(nnx, m):
    """Call a compiled model three times: results, and what became of it."""
    step = nnx.jit(lambda m, x: m(x))
    return [step(m, X) for _ in range(3)], values(nnx.state(m))


def _changes_structure(nnx):
    """Add, remove and replace attributes, append, tie, and set static ones."""
    m = model(nnx)

    @nnx.jit
    def change(m):
        m.new = layer(nnx)
        m.layers.append(m.new)
        m.name = "changed"
        m.scale = m.scale * 3
        m.first.bias = nnx.Param(jnp.full(2, 5.0))
        del m.count
        m.tied = m.layers[0].kernel

    change(m)
    return (
        *(values(nnx.state(m)), m.name, hasattr(m, "count"), m.layers[2] is m.new),
        *(m.tied is m.layers[0].kernel, len(m.layers)),
    )


def _returns(nnx):
    """Return objects that were given, parts of them, and new ones."""
    m = model(nnx)
    out = nnx.jit(lambda m: (m, m.first, {"new": layer(nnx), "v": nnx.Param(jnp.ones(1))}))(m)
    same = out[0] is m, out[1] is m.first
    return same, values(nnx.state(out[2]["new"])), out[2]["v"][...], type(out[2]["v"]).__name__


def _swaps(nnx):
    """Exchange two layers that are built alike."""
    m = model(nnx)
    m.layers[0].bias[...] = jnp.ones(2)
    first, second = m.layers

    @nnx.jit
    def swap(m):
        m.layers[0], m.layers[1] = m.layers[1], m.layers[0]

    swap(m)
    return m.layers[0] is second, m.layers[1] is first, values(nnx.state(m))


def _shared_between_arguments(nnx):
    """One variable in two arguments is one variable inside."""
    m = model(nnx)

    @nnx.jit
    def step(m, first):
        first.bias[...] += 1
        return m.first.bias[...]

    return step(m, m.first), m.first.bias[...]


def _nested_arguments(nnx):
    m = model(nnx)
    step = nnx.jit(lambda d, *, scale: d["models"][0](d["x"]) * scale)
    return step({"models": [m], "x": X}, scale=2.0), values(nnx.state(m))


def _static(nnx):
    m = model(nnx)
    by_number = nnx.jit(lambda m, n, x: m(x) * n, static_argnums=1)
    by_name = nnx.jit(lambda m, x, n: m(x) * n, static_argnames="n")
    swapped = by_number(m, n=2, x=X), by_name(m, X, 3)
    return by_number(m, 2, X), by_number(m, 3, X), by_name(m, X, n=2), swapped, m.count[...]


def _methods(nnx):
    class Counter(nnx.Module):
        def __init__(self):
            self.count = nnx.Variable(jnp.zeros(()))

        @nnx.jit
        def __call__(self, x):
            self.count[...] += x
            return 2 * x

        @nnx.jit(static_argnums=1)
        def many(self, n):
            self.count[...] += n

    c = Counter()
    c.many(3)
    return c(2.0), c.count[...]


PROGRAMS = {
    "counting": lambda nnx: _counting(nnx, model(nnx)),
    "changes structure": _changes_structure,
    "returns": _returns,
    "swaps": _swaps,
    "shared between arguments": _shared_between_arguments,
    "nested arguments": _nested_arguments,
    "static": _static,
    "methods": _methods,
    "variables": lambda nnx: _variable_argument(nnx),
    "states": lambda nnx: values(
        nnx.jit(lambda s: jax.tree.map(lambda x: x + 1, s))(nnx.state(model(nnx)))
    ),
    "graphdefs": lambda nnx: nnx.jit(lambda g, s: nnx.merge(g, s)(X))(*nnx.split(model(nnx))),
    "callables": lambda nnx: nnx.jit(layer(nnx))(X),
    "donated": lambda nnx: _donated(nnx),
    "eval_shape": lambda nnx: nnx.jit(lambda m, x: m(x)).eval_shape(model(nnx), X).shape,
    "lowered": lambda nnx: _lowered(nnx),
    "jit_partial": lambda nnx: nnx.jit_partial(lambda m, x: m(x), layer(nnx), graph_updates=False)(
        X
    ),
    "cached_partial": lambda nnx: _cached_partial(nnx),
    "bound method": lambda nnx: nnx.jit(layer(nnx).__call__),
    "nested jit": lambda nnx: _nested_jit(nnx),
    "inside jax.jit": lambda nnx: _inside_jax_jit(nnx),
}


def _variable_argument(nnx):
    v = nnx.Param(jnp.ones(2))

    @nnx.jit
    def double(v):
        v[...] = v[...] * 2
        return v.sum()

    return double(v), v[...]


def _donated(nnx):
    m = model(nnx)
    step = nnx.jit(lambda m, x: m(x), donate_argnums=0)
    return [step(m, X) for _ in range(2)], values(nnx.state(m))


def _lowered(nnx):
    m = model(nnx)
    step = nnx.jit(lambda m, x: m(x))
    compiled = step.lower(m, X).compile()
    return compiled(m, X), m.count[...]


def _cached_partial(nnx):
    m = layer(nnx)

    @nnx.jit
    def step(m, x):
        m.bias[...] += 1
        return m(x)

    bound = nnx.cached_partial(step, m)
    return [bound(X) for _ in range(2)], m.bias[...]


def _nested_jit(nnx):
    m = model(nnx)
    inner = nnx.jit(lambda m, x: m(x))
    outer = nnx.jit(lambda m, x: inner(m, inner(m, x)))
    return outer(m, X), m.count[...]


def _inside_jax_jit(nnx):
    graphdef, state = nnx.split(model(nnx))

    @jax.jit
    def step(state, x):
        m = nnx.merge(graphdef, state)
        y = nnx.jit(lambda m, x: m(x))(m, x)
        return y, nnx.state(m)

    y, new = step(state, X)
    return y, values(new)


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_flax(name):
    """Results, updates, identities and errors are Flax's."""
    assert_same(PROGRAMS[name])


# --- the cache ----------------------------------------------------------------------------------


def traced():
    """A compiled function with a count of its traces."""
    traces = []

    @nnx.jit
    def step(m, x):
        traces.append(1)
        return m(x)

    return step, traces


def test_one_trace_for_one_structure():
    """Values, and models built alike, do not trace anew; another structure does."""
    step, traces = traced()
    m = model(nnx)
    for _ in range(3):
        step(m, X)
    m.first.kernel[...] = jnp.zeros((2, 2))
    m.scale = jnp.zeros(2)
    step(m, X)
    step(model(nnx), X)
    step(nnx.clone(m), X)
    assert len(traces) == 1
    m.name = "other"
    step(m, X)
    assert len(traces) == 2
    m.name = "model"
    step(m, X)
    assert len(traces) == 2


CHANGES = {
    "a layer replaced": lambda m: setattr(m, "first", layer(nnx)),
    "a list appended": lambda m: m.layers.append(layer(nnx)),
    "metadata": lambda m: m.first.kernel.set_metadata(unit="m"),
    "a variable swapped": lambda m: setattr(m.first, "bias", nnx.Param(jnp.ones(2))),
    "attributes tied": lambda m: setattr(m.layers[1], "kernel", m.first.kernel),
    "an attribute deleted": lambda m: delattr(m, "shared") or setattr(m, "shared", m.layers[0]),
    "a static attribute": lambda m: setattr(m.layers[0], "size", 9),
    "a plain list": lambda m: m.extra.append(layer(nnx)),
    "a plain dictionary": lambda m: m.table.update(b=layer(nnx)),
    "an item replaced": lambda m: m.layers.__setitem__(0, layer(nnx)),
    "popped": lambda m: (
        nnx.pop(m, lambda path, v: path == ("first", "bias"))
        and setattr(m.first, "bias", nnx.Param(jnp.full(2, 3.0)))
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_after_the_first_call_is_seen(name):
    """Whatever changes in a model is seen by the next call, as by an uncached run."""
    step, _ = traced()
    m = model(nnx)
    m.extra, m.table = [], {"a": layer(nnx)}
    step(m, X)
    CHANGES[name](m)
    expected = nnx.clone(m)(X)
    np.testing.assert_allclose(step(m, X), expected, rtol=1e-6)
    assert nnx.graphdef(m) == nnx.graphdef(nnx.clone(m))


def test_keyword_arguments():
    """Arrays and pytrees as keyword arguments, objects too; each is traced once."""
    traces = []

    @nnx.jit
    def step(m, x, *, more, scale=1.0):
        traces.append(1)
        return m(x) * more["a"] * scale

    m = model(nnx)
    expected = nnx.clone(m)(X) * 2
    for _ in range(2):
        np.testing.assert_allclose(step(m, x=X, more={"a": 2.0}), expected, rtol=1e-6)
        np.testing.assert_allclose(
            step(m=m, x=X, more={"a": 2.0}, scale=0.5), expected / 2, rtol=1e-6
        )
    assert len(traces) == 2
    assert m.count[...] == 4


def test_a_model_forgets_the_programs_that_are_gone():
    """What a model remembers of compiled functions goes when they do."""
    m = model(nnx)

    def noted():
        return [note for note in layout_of(m).notes if type(note) is int]

    for scale in range(6):

        @nnx.jit
        def step(m, x, scale=scale):
            m.count[...] += scale
            return m(x)

        step(m, X)
        del step
        jax.clear_caches()
        gc.collect()
    assert len(noted()) <= 2


def test_equal_outcomes_are_told_apart():
    """A program that sets one variable is not taken for one of the same number that is gone."""
    m = nnx.Dict(a=nnx.Variable(jnp.array(0)), b=nnx.Variable(jnp.array(0)))
    for _ in range(3):
        for name in "ab":

            @nnx.jit
            def step(m, name=name):
                m[name][...] += 1

            step(m)
            step(m)
            del step
            gc.collect()
    assert (m.a[...], m.b[...]) == (6, 6)


def test_partials_can_be_lowered():
    """A function with its model bound is lowered and compiled for the other arguments."""

    def program(nnx):
        m = model(nnx)
        f = nnx.jit_partial(lambda m, x: m(x), m, graph_updates=False)
        compiled = f.lower(X).compile()
        shape = f.eval_shape(X)
        return compiled(X), compiled(2 * X), f.trace(X).lower().compile()(X), f(X), shape.shape

    assert_same(program)
    m = model(nnx)
    f = nnx.jit_partial(lambda m, x: m(x), m)
    f.lower(X).compile()(X)
    assert (f.__name__, m.count[...]) == ("<lambda>", 1)


def test_the_cache_keeps_no_model_alive():
    """A compiled function, and a model it was called with, let other models go."""
    step = nnx.jit(lambda a, b: a(X) + b(X))
    kept, gone = layer(nnx), layer(nnx)
    step(kept, gone)
    variable = weakref.ref(gone.kernel)
    del gone
    gc.collect()
    assert variable() is None


def test_updates_of_one_variable_hand_out_no_others():
    """Values that a call does not change stay the very same arrays."""
    m = model(nnx)
    kernel = m.first.kernel[...]
    nnx.jit(lambda m, x: m(x))(m, X)
    assert m.first.kernel[...] is kernel


def test_identities_survive():
    """The lists, objects and variables of the caller are changed, not replaced."""
    m = model(nnx)
    m.extra = [layer(nnx)]
    extra, inner = m.extra, m.extra[0]

    @nnx.jit
    def grow(m):
        m.extra.append(layer(nnx))
        m.extra[0].bias[...] += 1

    grow(m)
    assert m.extra is extra
    assert m.extra[0] is inner
    assert len(extra) == 2
    np.testing.assert_array_equal(inner.bias[...], jnp.ones(2))


# --- shardings ----------------------------------------------------------------------------------


def test_shardings():
    """The variables of an object are laid out by one sharding, or by filters."""
    mesh = jax.make_mesh(
        (2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2]
    )
    split, whole = (NamedSharding(mesh, PartitionSpec(*spec)) for spec in (("x",), ()))
    m = layer(nnx)
    by_filter = nnx.StateSharding({nnx.PathContains("kernel"): split, ...: whole})

    @nnx.jit(in_shardings=(by_filter, None), out_shardings=whole)
    def step(m, x):
        m.kernel[...] = m.kernel[...] * 2
        return m(x)

    assert step(m, X).sharding.is_equivalent_to(whole, 2)
    assert m.kernel[...].sharding.is_equivalent_to(split, 2)
    np.testing.assert_allclose(m.kernel[...], 2 * layer(nnx).kernel[...])
    one = nnx.jit(lambda m: m(X), in_shardings=(split,))
    assert one(layer(nnx)).shape == (1, 2)


def test_a_model_is_left_where_it_was_laid():
    """What `in_shardings` says of a model is done to it once, and holds after the call."""
    mesh = jax.make_mesh(
        (2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2]
    )
    split, whole = (NamedSharding(mesh, PartitionSpec(*spec)) for spec in (("x",), ()))
    by_filter = nnx.StateSharding({nnx.PathContains("kernel"): split, ...: whole})
    step = nnx.jit(lambda m, n: m(X) + n(X), in_shardings=(by_filter, None))
    m, n = layer(nnx), layer(nnx)
    elsewhere = n.kernel.get_value()
    step(m, n)
    kernel = m.kernel.get_value()
    assert (kernel.sharding, m.bias.get_value().sharding) == (split, whole)
    assert n.kernel.get_value() is elsewhere
    step(m, n)
    assert m.kernel.get_value() is kernel
    m.kernel[...] = elsewhere
    step(m, n)
    assert m.kernel.get_value().sharding == split
    listed = nnx.jit(lambda models: models[0](X), in_shardings=(split,))
    held = nnx.Dict(m=layer(nnx, unit="m"))
    held.m.bias[...] = jnp.ones(2)
    listed([held.m])
    assert held.m.kernel.get_value().sharding == split
    assert step.lower(layer(nnx), n).compile()(m, n).shape == (1, 2)


def test_the_model_of_a_program_is_laid_out_as_on_flax():
    """Every variable lies where Flax leaves it."""

    def program(nnx):
        mesh = jax.make_mesh(
            (2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2]
        )
        split, whole = (NamedSharding(mesh, PartitionSpec(*spec)) for spec in (("x",), ()))
        m = layer(nnx)
        how = nnx.StateSharding({nnx.PathContains("kernel"): split, ...: whole})
        nnx.jit(lambda m: None, in_shardings=(how,))(m)
        return [str(v.get_value().sharding.spec) for _, v in nnx.to_flat_state(nnx.state(m))]

    assert_same(program)


# --- errors -------------------------------------------------------------------------------------


def test_bound_methods_are_refused_with_the_two_ways_out():
    """A method of an object would make its variables constants; the message shows both cures."""
    with pytest.raises(
        errors.BoundMethodError, match=r"nnx\.jit\(Layer\.__call__\)\(obj"
    ) as caught:
        nnx.jit(layer(nnx).__call__)
    assert "@nnx.jit" in str(caught.value)


def test_an_update_under_plain_jit_is_told():
    """A model updated in a copy that jax.jit made, and not returned, warns with the path."""

    @jax.jit
    def step(model, x):
        return model(x)

    with pytest.warns(errors.LostUpdateWarning, match=r"model\.count") as caught:
        step(model(nnx), X)
    text = str(caught[0].message)
    assert "nnx.jit" in text
    assert "return the module" in text


def test_an_update_under_plain_grad_is_told():
    """The same under jax.grad."""
    with pytest.warns(errors.LostUpdateWarning, match=r"m\.count"):
        jax.grad(lambda m: m(X).sum())(model(nnx))


def test_a_returned_copy_does_not_warn():
    """Who returns the model, or its state, has lost nothing."""
    whole = jax.jit(lambda m, x: (m(x), m))
    part = jax.jit(lambda m, x: (m(x), nnx.state(m)))
    for step in (whole, part):
        step(model(nnx), X)
    assert whole(model(nnx), X)[1].count[...] == 1


def test_objects_of_another_level_are_refused():
    """Changing the structure of an object outside names it."""
    m = model(nnx)

    @jax.jit
    def step(x):
        m.extra = x
        return x

    with pytest.raises(errors.TraceContextError, match="'extra' of m"):
        step(1.0)


def test_exceptions_name_the_module_and_its_inputs():
    """An exception inside a compiled model carries a note with the path and abstract inputs."""
    m = model(nnx)
    m.layers[1] = layer(nnx, 3)
    with pytest.raises(TypeError) as caught:
        nnx.jit(lambda m, x: m(x))(m, X)
    notes = [note for note in caught.value.__notes__ if "layers[1]" in note]
    assert notes
    assert "Layer" in notes[0]
    assert "float32[1,2]" in notes[0]
