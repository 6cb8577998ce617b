"""`nn.scan`."""

import jax
import jax.numpy as jnp
import pytest
from tests.linen.transforms.probes import RNGS, SHARED, X, everything, step, twice

import linnet.linen as nn
from differential.linen import assert_same
from linnet.base import errors

STACKED = {
    "variable_axes": {"params": 0, "intermediates": 0},
    "split_rngs": {"params": True, "dropout": True},
}
TIED = {
    "variable_broadcast": "params",
    "split_rngs": {"params": False, "dropout": True},
}

OPTIONS = {
    "stacked": STACKED,
    "stacked along 1": {**STACKED, "variable_axes": {"params": 1, "intermediates": 0}},
    "unchecked": {**STACKED, "check_constancy_invariants": False},
    "tied": TIED,
    "tied, same keys": {**TIED, "split_rngs": {"params": False, "dropout": False}},
    "tied, split": {**TIED, "split_rngs": {"params": True, "dropout": False}},
    "reversed": {**STACKED, "reverse": True, "unroll": 2},
    "length": {**STACKED, "length": 3},
    "wrong length": {**STACKED, "length": 4},
    "split transpose": {**STACKED, "_split_transpose": True},
    "transformed": {**STACKED, "data_transform": lambda variables, keys: (variables, keys)},
}
CARRY = jnp.zeros(())


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_keys_and_variables(options):
    """Keys, their counts, variables and outputs are those of Flax, or its error is."""
    assert_same(
        lambda nn: everything(twice(nn, lambda nn: nn.scan(step(nn), **options)(), CARRY, X))
    )


def test_a_carry_of_a_python_number():
    """JAX traces the body once more for it, and so the counts rise."""
    assert_same(lambda nn: everything(nn.scan(step(nn), **STACKED)(), 0.0, X))


MAPPED = {**SHARED, "variable_axes": {"params": 0}, "in_axes": (None, 0), "out_axes": (None, 0)}
NESTED = {
    "scan of remat": lambda nn, c: nn.scan(nn.remat(c), **STACKED),
    "tied scan of remat": lambda nn, c: nn.scan(nn.remat(c), **TIED),
    "tied scan of jit": lambda nn, c: nn.scan(nn.jit(c), **TIED),
    "jit of scan": lambda nn, c: nn.jit(nn.scan(c, **STACKED)),
    "vmap of scan of remat": lambda nn, c: nn.vmap(nn.scan(nn.remat(c), **STACKED), **MAPPED),
    "scan of vmap": lambda nn, c: nn.scan(nn.vmap(c, **MAPPED), **STACKED),
}


@pytest.mark.parametrize("lift", NESTED.values(), ids=NESTED)
def test_nested(lift):
    """Scans nest in other transformations, and they in it."""
    assert_same(lambda nn: everything(twice(nn, lambda nn: lift(nn, step(nn))(), CARRY, X)))


def test_layers():
    """A stack of layers, recomputed in the gradient: parameters, statistics, dropout, boxes."""

    def program(nn):
        init = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "model"))

        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x, _):
                y = nn.BatchNorm(use_running_average=False)(x)
                y = nn.Dropout(0.5, deterministic=False)(nn.Dense(4, kernel_init=init)(y))
                return x + y, jnp.tanh(y)

        model = nn.scan(
            nn.remat(Layer, prevent_cse=False),
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True, "dropout": True},
            length=3,
            metadata_params={nn.PARTITION_NAME: "layers"},
        )()
        variables = model.init(RNGS, X, None)
        stats = variables["batch_stats"]

        def loss(params):
            variables = {"params": params, "batch_stats": stats}
            (y, _), updates = model.apply(variables, X, None, rngs=RNGS, mutable=["batch_stats"])
            return (y**2).sum(), updates

        return variables, jax.value_and_grad(loss, has_aux=True)(variables["params"])

    # a stack of normalisations amplifies rounding
    assert_same(program, tolerance=3e-5)


def test_a_recurrent_cell():
    """A cell with tied parameters, along axis 1 of its inputs."""

    def program(nn):
        class Cell(nn.Module):
            @nn.compact
            def __call__(self, carry, x):
                carry = nn.tanh(nn.Dense(3)(x) + nn.Dense(3, use_bias=False)(carry))
                return nn.Dropout(0.5, deterministic=False)(carry), carry

        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                cell = nn.scan(Cell, **TIED, in_axes=1, out_axes=1)(name="cell")
                return cell(jnp.zeros((x.shape[0], 3)), x)

        x = jnp.arange(24.0).reshape(2, 4, 3) / 10
        variables = Model().init(RNGS, x)

        def loss(variables):
            return Model().apply(variables, x, rngs=RNGS)[1].sum()

        return variables, jax.jit(jax.value_and_grad(loss))(variables)

    assert_same(program)


def test_functions_of_modules():
    """A method is scanned where it is defined, a function where it is used."""

    def program(nn):
        class Model(nn.Module):
            def setup(self):
                self.cell = nn.Dense(4)

            def __call__(self, x):
                def body(module, carry, x):
                    return module.cell(carry) + x, carry

                tied = {"variable_broadcast": "params", "split_rngs": {"params": False}}
                return nn.scan(body, **tied)(self, x[0], x)

        variables = Model().init(RNGS, X)
        return variables, Model().apply(variables, X)

    assert_same(program)


def state(nn, added):
    """Make a body with a variable of its own."""

    class State(nn.Module):
        @nn.compact
        def __call__(self, carry, x):
            total = self.variable("state", "total", lambda: jnp.zeros(()))
            total.value = total.value + added(x)
            return carry, total.value

    return State


@pytest.mark.parametrize("depends", [True, False])
@pytest.mark.parametrize("call", ["init", "apply"])
@pytest.mark.parametrize(
    "options",
    [
        {"variable_carry": "state"},
        {"variable_broadcast": "state"},
        {"variable_broadcast": "state", "check_constancy_invariants": False},
        {"variable_axes": {"state": 0}},
    ],
    ids=str,
)
def test_state(options, call, depends):
    """Variables that are carried, shared or stacked end as in Flax, or fail as there."""

    def program(nn):
        model = nn.scan(state(nn, jnp.sum if depends else lambda x: 1.0), **options)()
        if call == "init":
            return model.init_with_output(RNGS, 0.0, X)
        total = jnp.ones(3 if "variable_axes" in options else ())
        return model.apply({"state": {"total": total}}, 0.0, X, mutable=["state"])

    assert_same(program)


BODIES = {
    "outputs of axes": (lambda c, x, y: (c + x, {"a": y, "b": x}), (X[0], X, {"q": X[:, :2]})),
    "no output": (lambda c, x: (c + x, None), (X[0], X)),
    "no input": (lambda c: (c + 1, c), (X[0],)),
    "shared input": (lambda c, x: (c + x.sum(), x), (0.0, X)),
    "shared output": (lambda c, x: (c + 1, (jnp.arange(2.0), x)), (0.0, X)),
    "varying shared output": (lambda c, x: (c + 1, (c * jnp.arange(2.0), x)), (0.0, X)),
    "other carry": (lambda c, x: ((c, c), x), (0.0, X)),
    "other shape": (lambda c, x: (c + x, x), (0.0, X)),
    "other dtype": (lambda c, x: (c + x, x), (jnp.zeros(4, int), X)),
    "weak carry": (lambda c, x: (c + x[0], x), (0.0, X)),
    "no pair": (lambda c, x: c, (0.0, X)),
}
AXES = {
    "outputs of axes": lambda nn: {"in_axes": (0, {"q": 0}), "out_axes": {"a": 1, "b": 0}},
    "no input": lambda nn: {"length": 3},
    "shared input": lambda nn: {"in_axes": nn.broadcast, "length": 2},
    "shared output": lambda nn: {"in_axes": -1, "out_axes": (nn.broadcast, 1)},
    "varying shared output": lambda nn: {"out_axes": (nn.broadcast, 0)},
}


@pytest.mark.parametrize("name", BODIES)
def test_inputs_and_outputs(name):
    """Axes, broadcast values and carries of all kinds, right and wrong."""
    function, args = BODIES[name]

    def program(nn):
        class Body(nn.Module):
            @nn.compact
            def __call__(self, carry, *xs):
                return function(carry, *xs)

        return nn.scan(Body, **AXES.get(name, lambda nn: {})(nn))().apply({}, *args)

    assert_same(program)


def test_abstract_initialisation():
    """`lazy_init` gives the parameters of `init`, stacked and tied."""

    def program(nn):
        class Body(nn.Module):
            @nn.compact
            def __call__(self, carry, x):
                return nn.Dense(4)(carry), x

        shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((3, 4), (5, 2))]
        stacked = nn.scan(Body, variable_axes={"params": 0}, split_rngs={"params": True})()
        tied = nn.scan(nn.remat(Body), variable_broadcast="params", split_rngs={"params": False})()
        return stacked.lazy_init(RNGS, *shapes), tied.lazy_init(RNGS, *shapes)

    assert_same(program, drawn=True)


def body(function):
    """Make a scanned module of a function."""

    class Body(nn.Module):
        @nn.compact
        def __call__(self, carry, x):
            return function(self, carry, x)

    return Body


def test_a_carry_that_changes():
    """Everything that changed is named, variables by their path."""

    def changing(module, carry, x):
        module.variable("state", "v", lambda: 0.0)
        return {"h": carry["h"][None], "n": 1}, x

    model = nn.scan(body(changing), variable_carry="state")()
    with pytest.raises(errors.CarryStructureError) as caught:
        model.init(RNGS, {"h": X[0]}, X)
    for part in ["/state/v is new", "['n'] is new", "['h'] was float32[4], became float32[1,4]"]:
        assert part in str(caught.value)


def test_what_depends_on_the_step():
    """A shared value that does not is named, with the ways out."""
    dense = body(lambda module, carry, x: (carry, nn.Dense(3, name="d")(x)))
    with pytest.raises(errors.LoopDependenceError, match="'/params/d/kernel'"):
        nn.scan(dense, variable_broadcast="params", split_rngs={"params": True})().init(RNGS, 0, X)
    with pytest.raises(errors.LoopDependenceError, match="'output'"):
        nn.scan(dense, {"params": 0}, split_rngs={"params": True}, out_axes=nn.broadcast)().init(
            RNGS, 0, X
        )
    with pytest.raises(ValueError, match="Leave out check_constancy_invariants=False"):
        nn.scan(
            body(lambda module, carry, x: (carry, 1.0)),
            out_axes=nn.broadcast,
            check_constancy_invariants=False,
        )().apply({}, 0, X)


def test_other_mistakes():
    """Results that are no pair, missing carries, lengths that differ."""
    model = nn.scan(body(lambda module, carry, x: carry))()
    with pytest.raises(errors.ScanResultError, match=r"returned float32\[4\].*`return carry, y`"):
        model.apply({}, X[0], X)
    with pytest.raises(errors.ScanArgumentError, match=r"scanned\(carry, xs\)"):
        model.apply({})
    with pytest.raises(errors.AxisSizeError, match=r"3 in xs\[0\]; 4 in length"):
        nn.scan(body(lambda module, carry, x: (carry, x)), length=4)().apply({}, 0.0, X)
    with pytest.raises(errors.AxisSizeError, match=r"`length=\.\.\.`"):
        nn.scan(body(lambda module, carry, x: (carry, x)))().apply({}, 0.0, None)
