"""nnx.vmap, nnx.scan and nnx.eval_shape, beside Flax's."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.nnx import assert_same
from differential.nnx_models import layer, model, values
from linnet import nnx
from linnet.base import errors

X = jnp.array([[1.0, -2.0]])


def stack(nnx, n=3, **metadata):
    """Layers made at once, by vmap over split streams."""

    @nnx.split_rngs(splits=n)
    @nnx.vmap(in_axes=0, out_axes=0)
    def make(rngs):
        return nnx.Linear(2, 2, rngs=rngs)

    return make(nnx.Rngs(0))


def _made(nnx):
    rngs = nnx.Rngs(0)
    layers = nnx.split_rngs(splits=4)(nnx.vmap(lambda rngs: nnx.Linear(2, 3, rngs=rngs)))(rngs)
    return values(nnx.state(layers)), rngs.default.count[...]


def _applied(nnx, in_axes, *args, **kwargs):
    return nnx.vmap(lambda m, x: m(x), in_axes=in_axes, **kwargs)(*args)


def _new_inside(nnx):
    m = stack(nnx)

    @nnx.vmap(in_axes=(0, None))
    def apply(m, x):
        m.seen = nnx.BatchStat(x.sum())
        return m(x)

    return apply(m, X), m.seen[...]


def _by_filter(nnx):
    class Counted(nnx.Module):
        def __init__(self, rngs):
            self.inner = nnx.Linear(2, 2, rngs=rngs)
            self.count = nnx.BatchStat(jnp.zeros(()))

        def __call__(self, x):
            self.count[...] += 1
            return self.inner(x)

    axes = nnx.StateAxes({nnx.BatchStat: None, ...: 0})

    @nnx.split_rngs(splits=3)
    @nnx.vmap(out_axes=axes)
    def make(rngs):
        return Counted(rngs)

    m = make(nnx.Rngs(0))
    y = nnx.vmap(lambda m, x: m(x), in_axes=(axes, None))(m, X)
    return y, values(nnx.state(m))


def _metadata(nnx):
    seen = []

    def make(rngs):
        made = nnx.Linear(
            2, 3, rngs=rngs, kernel_metadata={"out_sharding": ("a", "b"), "eager_sharding": False}
        )
        seen.append(made.kernel.out_sharding)
        return made

    naming = {nnx.PARTITION_NAME: "layers"}
    m = nnx.split_rngs(splits=3)(nnx.vmap(make, transform_metadata=naming))(nnx.Rngs(0))

    def look(m, x):
        seen.append(m.kernel.out_sharding)
        return m(x)

    nnx.vmap(look, in_axes=(0, None), transform_metadata=naming)(m, jnp.ones((1, 2)))
    return seen, m.kernel.out_sharding, m.bias.has_metadata("out_sharding")


def _dropouts(nnx):
    d = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    x = jnp.ones((3, 8))
    same = nnx.vmap(lambda d, x: d(x), in_axes=(None, 0))(d, x)
    differing = nnx.split_rngs(splits=3)(nnx.vmap(lambda d, x: d(x)))(d, x)
    return same, differing, d.rngs.count[...], d.rngs.key[...]


VMAP = {
    "made": _made,
    "applied": lambda nnx: _applied(nnx, (0, None), stack(nnx), X),
    "applied to each": lambda nnx: _applied(nnx, 0, stack(nnx), jnp.ones((3, 1, 2))),
    "shared model": lambda nnx: _applied(nnx, (None, 0), model(nnx), jnp.ones((3, 1, 2))),
    "out_axes": lambda nnx: _applied(nnx, (0, None), stack(nnx), X, out_axes=1),
    "new inside": _new_inside,
    "by filter": _by_filter,
    "metadata": _metadata,
    "dropouts": _dropouts,
    "axis name": lambda nnx: nnx.vmap(
        lambda m, x: jax.lax.pmean(m(x), "batch"), in_axes=(None, 0), axis_name="batch"
    )(layer(nnx), jnp.arange(6.0).reshape(3, 2)),
    "axis size": lambda nnx: nnx.vmap(lambda: jnp.ones(2), axis_size=3)(),
    "results": lambda nnx: values(
        nnx.vmap(lambda k: {"v": nnx.Param(k), "w": k})(jnp.arange(3.0))["v"]
    ),
    "two axes": lambda nnx: nnx.vmap(lambda a, b: a(X) + b(X), in_axes=(0, None))(
        *[stack(nnx)] * 2
    ),
    "wrong rank": lambda nnx: nnx.vmap(lambda m: m(X))(model(nnx)),
    "decorator": lambda nnx: nnx.vmap(in_axes=(None, 0))(lambda m, x: m(x))(
        layer(nnx), jnp.ones((3, 2))
    ),
    "from outside": lambda nnx: _outside(nnx, lambda v: nnx.vmap(lambda x: v)),
    "a part, along another axis": lambda nnx: _returned(
        nnx, 0, 1, lambda m: m.v, nnx.Dict(v=nnx.Param(jnp.ones((2, 2))))
    ),
    "in a new object, along another axis": lambda nnx: _returned(
        nnx, 0, 1, lambda v: nnx.Dict(v=v)
    ),
    "in a new object": lambda nnx: values(
        nnx.state(_returned(nnx, 1, 1, lambda v: nnx.Dict(v=v))[0])
    ),
    "a state, along another axis": lambda nnx: nnx.vmap(lambda m: nnx.state(m), out_axes=1)(
        nnx.Dict(v=nnx.Param(jnp.ones((2, 2))))
    ),
    **{
        f"{into} {out}": lambda nnx, into=into, out=out: _returned(nnx, into, out)[1:]
        for into in (0, 1, None)
        for out in (0, 1, None)
    },
    **{
        f"names {name}": lambda nnx, names=names: _named(nnx, names)
        for name, names in {
            "two": {"partition_name": "layers", "nick": "n"},
            "none": {"nick": "n"},
            "no name": {"partition_name": None, "nick": None},
        }.items()
    },
    "names along another axis": lambda nnx: _named(
        nnx, {"partition_name": "layers", "nick": "n"}, 1
    ),
    "another name": lambda nnx: nnx.vmap(lambda v: 0, transform_metadata={"partition_name": "z"})(
        nnx.Param(jnp.ones((2, 2)), out_sharding=("a", "b"), eager_sharding=False)
    ),
}


def _outside(nnx, make):
    return make(nnx.Param(jnp.ones(3)))(jnp.arange(3.0))


def _returned(nnx, into, out, f=lambda v: v, v=None):
    v = nnx.Param(jnp.ones((2, 2))) if v is None else v
    made = nnx.vmap(lambda v, x: (f(v), x), in_axes=(into, 0), out_axes=(out, 0))(v, jnp.ones(2))
    return made[0], made[0] is v


def _named(nnx, names, axis=0):
    metadata = {
        "out_sharding": ("a", "b"),
        "nick": ("x", "y"),
        "listed": ["x", "y"],
        "eager_sharding": False,
    }
    how = {"transform_metadata": names}
    make = nnx.vmap(
        lambda _: nnx.Param(jnp.ones((2, 2)), **metadata), out_axes=axis, axis_size=3, **how
    )
    v, seen = make(jnp.arange(3)), []

    def told(v):
        seen.append((v.out_sharding, v.nick, v.listed))
        return 0

    nnx.vmap(told, in_axes=axis, **how)(v)
    told(v)
    return seen


@pytest.mark.parametrize("name", VMAP)
def test_vmap_as_on_flax(name):
    """What is made, computed, updated and raised is Flax's."""
    assert_same(VMAP[name], drawn=name == "made")


def _layers_in_turn(nnx):
    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def forward(m, x):
        return nnx.tanh(m(x))

    m = stack(nnx)
    grads = nnx.grad(lambda m: forward(m, X).sum())(m)
    return forward(m, X), values(grads)


def _carried_model(nnx):
    m = layer(nnx)

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def forward(m, x):
        m.bias[...] += 1
        return m, m(x)

    out, ys = forward(m, jnp.ones((3, 1, 2)))
    return out is m, m.bias[...], ys


def _carry_by_filter(nnx):
    m = model(nnx)
    axes = nnx.StateAxes({nnx.BatchStat: nnx.Carry, ...: None})

    @nnx.scan(in_axes=(axes, nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def forward(m, total, x):
        y = m(x)
        return total + y.sum(), y

    total, ys = forward(m, jnp.zeros(()), jnp.ones((3, 1, 2)))
    return total, ys, m.count[...]


def _carried_tree(nnx):
    m = model(nnx)

    @nnx.scan
    def forward(carry, x):
        carry["n"] = carry["n"] + x
        return carry, carry["m"](jnp.ones((1, 2)) * x)

    carry, ys = forward({"m": m, "n": 0.0}, jnp.arange(3.0))
    return carry["n"], carry["m"] is m, m.count[...], ys


def _created_inside(nnx):
    m = stack(nnx)

    @nnx.scan(in_axes=(0, nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    def forward(m, c, x):
        m.seen = nnx.BatchStat(c)
        return c + 1.0, m(x)

    c, ys = forward(m, jnp.zeros(()), jnp.ones((3, 1, 2)))
    return c, ys, m.seen[...]


def _dropout_steps(nnx):
    d = nnx.Dropout(0.5, rngs=nnx.Rngs(0))

    @nnx.scan(in_axes=(nnx.StateAxes({...: nnx.Carry}), 0), out_axes=0)
    def carried(d, x):
        return d(x)

    @nnx.scan(in_axes=(None, 0), out_axes=0)
    def same(d, x):
        return d(x)

    x = jnp.ones((3, 8))
    return same(d, x), d.rngs.count[...]


def _method(nnx):
    class Stack(nnx.Module):
        def __init__(self):
            self.inner = stack(nnx)

        @nnx.scan(in_axes=(0, nnx.Carry), out_axes=(nnx.Carry, 0))
        def __call__(self, x):
            y = self.inner(x)
            return y, y.sum()

    return Stack()(X)


def _updated(nnx, **how):
    m = nnx.Dict(n=nnx.BatchStat(jnp.array(0)), w=nnx.Param(jnp.ones(2)), rngs=nnx.Rngs(0))

    def step(m, carry, x):
        m.n[...] += 1
        drawn = jax.random.uniform(m.rngs.default())
        return carry + m.w[...] * x, drawn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.UncarriedUpdateWarning)
        result = nnx.scan(step, in_axes=(None, nnx.Carry, 0), **how)(m, jnp.zeros(2), jnp.ones(4))
    return result, m.n[...], m.rngs.default.count[...]


def _counted(nnx, **how):
    n = nnx.BatchStat(jnp.array(0))

    def step(tree, x):
        tree["n"][...] += 1
        return x + tree["n"][...]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.UncarriedUpdateWarning)
        result = nnx.scan(step, in_axes=(None, 0), out_axes=0, **how)({"n": n}, jnp.zeros(4, int))
    return result, n[...]


SCAN = {
    "layers in turn": _layers_in_turn,
    "carried model": _carried_model,
    "carry by filter": _carry_by_filter,
    "carried tree": _carried_tree,
    "created inside": _created_inside,
    "dropout steps": _dropout_steps,
    "method": _method,
    "defaults": lambda nnx: nnx.scan(lambda c, x: (c + x, c * x))(0.0, jnp.arange(3.0)),
    "length": lambda nnx: nnx.scan(
        lambda c: c + 1, in_axes=nnx.Carry, out_axes=nnx.Carry, length=3
    )(0),
    "no carry": lambda nnx: nnx.scan(lambda x: x + 1, in_axes=0, out_axes=0)(jnp.arange(3.0)),
    "reverse": lambda nnx: nnx.scan(lambda c, x: (c + x, c), reverse=True, unroll=2)(
        0.0, jnp.arange(4.0)
    ),
    "other axes": lambda nnx: nnx.scan(
        lambda c, x: (c + x.sum(), x), in_axes=(nnx.Carry, 1), out_axes=(nnx.Carry, 1)
    )(0.0, jnp.arange(6.0).reshape(2, 3)),
    "constant": lambda nnx: nnx.scan(
        lambda c, x, k: (c + x * k, c), in_axes=(nnx.Carry, 0, None), out_axes=(nnx.Carry, 0)
    )(0.0, jnp.arange(3.0), 2.0),
    "from outside": lambda nnx: _outside(
        nnx, lambda v: nnx.scan(lambda x: v, in_axes=0, out_axes=0)
    ),
    "along another axis": lambda nnx: nnx.scan(
        lambda v, c, x: (c, v), in_axes=(0, nnx.Carry, 0), out_axes=(nnx.Carry, 1)
    )(nnx.Param(jnp.ones((2, 2))), 0.0, jnp.ones(2)),
    "the carry as an output": lambda nnx: nnx.scan(lambda v, x: (v, v))(
        nnx.Param(jnp.ones(2)), jnp.ones(2)
    ),
    "a carry that does not come out": lambda nnx: nnx.scan(lambda c, x: (c,), out_axes=(0,))(
        0.0, jnp.arange(3.0)
    ),
    "a new variable for a carry": lambda nnx: nnx.scan(
        lambda c, x: (nnx.BatchStat(c[...] + 1), x), graph_updates=False
    )(nnx.BatchStat(jnp.array(0)), jnp.arange(3)),
    "updates of shared variables": lambda nnx: _updated(nnx),
    "updates of shared variables, values only": lambda nnx: _updated(nnx, graph_updates=False),
    "updates of shared variables, trees": lambda nnx: _updated(nnx, graph=False),
    "updates of a variable, values only": lambda nnx: _counted(nnx, graph_updates=False),
    "updates of a variable": lambda nnx: _counted(nnx),
    "two carries": lambda nnx: nnx.scan(lambda a, b: (a, b), in_axes=(nnx.Carry, nnx.Carry))(0, 1),
}


@pytest.mark.parametrize("name", SCAN)
def test_scan_as_on_flax(name):
    """What is computed, carried, stacked and raised is Flax's."""
    assert_same(SCAN[name])


def _abstract(nnx):
    made = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    return made.kernel.get_value().shape, str(made.kernel.get_value().dtype), type(made).__name__


def _abstract_model(nnx):
    m = model(nnx)
    other = nnx.eval_shape(lambda m, x: (m(x), m)[1], m, X)
    return (
        other is m,
        m.count[...],
        other.first.kernel.get_value().shape,
        other.first is other.shared,
    )


EVAL_SHAPE = {
    "made": _abstract,
    "model": _abstract_model,
    "arrays": lambda nnx: nnx.eval_shape(lambda m, x: m(x), layer(nnx), X).shape,
    "structs": lambda nnx: (
        nnx.eval_shape(
            lambda m, x: m(x), layer(nnx), jax.ShapeDtypeStruct((5, 2), jnp.float32)
        ).shape
    ),
}


@pytest.mark.parametrize("name", EVAL_SHAPE)
def test_eval_shape_as_on_flax(name):
    """Shapes come out, nothing is computed, and the arguments stay as they are."""
    assert_same(EVAL_SHAPE[name])


def test_keyword_arguments_are_mapped():
    """Vmap maps keyword arguments along axis 0; a scan hands them to all steps."""
    x = jnp.arange(6.0).reshape(3, 2)
    mapped = nnx.vmap(lambda m, x: m(x), in_axes=(None,))(layer(nnx), x=x)
    np.testing.assert_allclose(mapped, layer(nnx)(x), rtol=1e-6)
    total, _ = nnx.scan(lambda c, x, k: (c + k * x, x))(0.0, jnp.arange(3.0), k=2.0)
    assert total == 6.0


# --- errors -------------------------------------------------------------------------------------


def test_a_mapped_value_in_an_unmapped_variable_is_named():
    """Vmap with a shared model that is set to what differs between instances names the variable."""
    set_bias = nnx.vmap(lambda m, x: m.bias.set_value(x), in_axes=(None, 0))
    with pytest.raises(errors.MappedUpdateError, match="/argument 0/bias") as caught:
        set_bias(layer(nnx), jnp.ones((3, 2)))
    assert "StateAxes" in str(caught.value)


def test_conflicting_axes_name_both_paths():
    """One variable along two axes is an error that names both places."""
    m = stack(nnx)
    with pytest.raises(errors.ConflictingPlacementError) as caught:
        nnx.vmap(lambda a, b: a(X), in_axes=(0, None))(m, m)
    assert "/argument 0/bias with 0 and /argument 1/bias with None" in str(caught.value)


def test_a_lost_update_in_a_scan_warns():
    """A model that is the same in all steps and updated in them loses the update, and says so."""
    step = nnx.scan(lambda m, x: m(x), in_axes=(None, 0), out_axes=0)
    with pytest.warns(errors.UncarriedUpdateWarning, match="/argument 0/count") as caught:
        step(model(nnx), jnp.ones((3, 1, 2)))
    assert "nnx.Carry" in str(caught[0].message)


def test_streams_that_are_broadcast_do_not_warn():
    """Reading the same keys in all steps is what broadcasting a stream is for."""
    d = nnx.Dropout(0.5, rngs=nnx.Rngs(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nnx.scan(lambda d, x: d(x), in_axes=(None, 0), out_axes=0)(d, jnp.ones((3, 4)))


def test_filters_that_leave_something_out_name_it():
    """A StateAxes that matches not all variables names one that it does not."""
    axes = nnx.StateAxes({nnx.BatchStat: 0})
    with pytest.raises(errors.UnplacedVariableError, match="/argument 0/bias"):
        nnx.vmap(lambda m: m(X), in_axes=(axes,))(stack(nnx))


def test_number_of_axes():
    """in_axes for another number of arguments is told with both numbers."""
    with pytest.raises(ValueError, match="told 3 axes"):
        nnx.vmap(lambda m, x: m(x), in_axes=(0, None, 0))(stack(nnx), X)


def test_axes_that_are_none():
    """What cannot be an axis is told."""
    with pytest.raises(TypeError, match="'first' was given as an axis"):
        nnx.vmap(lambda m: m(X), in_axes="first")(stack(nnx))


def test_carries_that_change():
    """A step that carries on something else than it was given says what changed."""
    grow = nnx.scan(lambda c, x: (jnp.concatenate([c, c]), x))
    with pytest.raises(errors.CarryStructureError, match=r"float32\[2\], became float32\[4\]"):
        grow(jnp.ones(2), jnp.ones(3))


def test_carry_out_but_not_in():
    """A carry that comes out has to go in."""
    with pytest.raises(ValueError, match="has to start somewhere"):
        nnx.scan(lambda x: x, in_axes=0, out_axes=nnx.Carry)


def test_results_of_the_wrong_number():
    """A step that does not return a carry and an output is told."""
    with pytest.raises(ValueError, match="return 2 values"):
        nnx.scan(lambda c, x: c)(0.0, jnp.ones(3))
