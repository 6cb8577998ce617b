"""Training on a mesh of eight devices: each module system, kind of axes and stage of a run.

The same program runs under Flax. Where Flax fails, the numbers and the layout are those that it
reaches on a mesh with automatic axes.
"""

import types
from typing import Any

import flax.linen
import flax.nnx
import flax.serialization
import flax.training.train_state
import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import AxisType, NamedSharding

import linnet.linen
import linnet.nnx
import linnet.training.train_state
import linnet.tree.serialization
from differential.compare import Raised, compare
from differential.programs import outcome
from linnet.linen.modules import shapes

X = jnp.linspace(-1.0, 1.0, 8).reshape(2, 4)

FLAX: Any = types.SimpleNamespace(
    __name__="flax",
    nn=flax.linen,
    nnx=flax.nnx,
    bytes=flax.serialization,
    train_state=flax.training.train_state,
)
LINNET: Any = types.SimpleNamespace(
    __name__="linnet",
    nn=linnet.linen,
    nnx=linnet.nnx,
    bytes=linnet.tree.serialization,
    train_state=linnet.training.train_state,
)


def mesh_of(kind):
    """Two by four devices, with axes of one kind."""
    return jax.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType[kind],) * 2)


def lies(tree):
    """Write down how each array lies: for each of its axes that of the mesh, and on how many."""
    found = []
    for leaf in jax.tree.leaves(tree):
        spec = [*leaf.sharding.spec] if isinstance(leaf.sharding, NamedSharding) else ["alone"]
        spec += [None] * (leaf.ndim - len(spec))  # a spec that is shorter says the same
        found.append((spec, len(leaf.devices())))
    return found


def loss_of(outputs):
    """Compute something that has a gradient everywhere."""
    return jnp.mean((outputs - 1.0) ** 2)


# --- Linen ---------------------------------------------------------------------------------------


def linen_model(nn):
    """A layer whose features are split among all devices."""
    return nn.Dense(
        8,
        kernel_init=nn.with_partitioning(nn.initializers.lecun_normal(), (None, ("a", "b"))),
        bias_init=nn.with_partitioning(nn.initializers.zeros, (("a", "b"),)),
    )


def linen_state(library, **settings):
    """Make what is trained, laid out."""
    model = linen_model(library.nn)

    def make():
        params = model.init(jax.random.key(0), X)["params"]
        return library.train_state.TrainState.create(
            apply_fn=model.apply, params=params, tx=optax.adam(0.1)
        )

    shapes = jax.eval_shape(make)
    shardings = library.nn.get_sharding(shapes, jax.sharding.get_mesh())
    return jax.jit(make, out_shardings=shardings)()


def linen_step(library, state):
    """Take three compiled steps."""

    @jax.jit
    def step(state):
        def loss(params):
            return loss_of(state.apply_fn({"params": params}, X))

        return state.apply_gradients(grads=jax.grad(loss)(state.params))

    for _ in range(3):
        state = step(state)
    return state


def linen_run(library, stage):
    """Run to a stage; return the parameters and moments with what is said of them."""
    state = linen_state(library)
    if stage != "init":
        state = linen_step(library, state)
    if stage == "checkpoint":
        fresh = linen_state(library)
        read = library.bytes.from_bytes(fresh, library.bytes.to_bytes(state))
        where = jax.tree.map(lambda leaf: leaf.sharding, fresh)
        state = linen_step(library, jax.device_put(read, where))
    kept = library.nn.unbox((state.params, state.opt_state[0].mu))
    eager = library.nn.unbox(linen_model(library.nn).init(jax.random.key(0), X))
    return *kept, lies(kept), lies(eager), str(library.nn.get_partition_spec(state.params))


# --- NNX -----------------------------------------------------------------------------------------


def nnx_state(library):
    """Make what is trained, laid out."""
    nnx = library.nnx

    @nnx.jit
    def make():
        init = nnx.with_partitioning(nnx.initializers.lecun_normal(), (None, ("a", "b")))
        shown = {"out_sharding": (("a", "b"),)}
        rngs = nnx.Rngs(0)
        model = nnx.Linear(4, 8, kernel_init=init, bias_metadata=shown, rngs=rngs)
        return model, nnx.Optimizer(model, optax.adam(0.1), wrt=nnx.Param)

    return make()


def nnx_step(library, model, optimizer):
    """Take three compiled steps."""
    nnx = library.nnx

    @nnx.jit
    def step(model, optimizer):
        optimizer.update(model, nnx.grad(lambda m: loss_of(m(X)))(model))

    for _ in range(3):
        step(model, optimizer)


def nnx_run(library, stage):
    """Run to a stage; return the parameters and moments with what is said of them."""
    nnx = library.nnx
    model, optimizer = nnx_state(library)
    if stage != "init":
        nnx_step(library, model, optimizer)
    if stage == "checkpoint":
        written = [
            library.bytes.to_bytes(nnx.to_pure_dict(nnx.state(each))) for each in (model, optimizer)
        ]
        model, optimizer = nnx_state(library)
        for node, data in zip((model, optimizer), written, strict=True):
            state = nnx.state(node)
            pure = nnx.to_pure_dict(state)
            read = library.bytes.from_bytes(pure, data)
            where = jax.tree.map(lambda leaf: leaf.sharding, pure)
            nnx.replace_by_pure_dict(state, jax.device_put(read, where))
            nnx.update(node, state)
        nnx_step(library, model, optimizer)
    kept = [
        {k: each[k].get_value() for k in ("bias", "kernel")} for each in held(nnx, optimizer, model)
    ]
    spec = nnx.get_partition_spec(nnx.state(model))
    shown = [str(spec[name].get_value()) for name in ("bias", "kernel")]
    return *kept, lies(kept), lies(nnx.state(model)), shown


def held(nnx, optimizer, model):
    """Return the state of a model, and the moments of its parameters."""
    return nnx.state(model), optimizer.opt_state[0].mu


RUNS = {"linen": linen_run, "nnx": nnx_run}


def run_on(kind, run, stage):
    """Make a program of a run on a mesh."""

    def program(library):
        with jax.set_mesh(mesh_of(kind)):
            return run(library, stage)

    return program


@pytest.mark.parametrize("stage", ["init", "step", "checkpoint"])
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("system", RUNS)
def test_training_on_a_mesh(system, kind, stage):
    """Parameters and moments have Flax's numbers and lie where Flax lays them, at every stage.

    Flax's Linen fails on explicit axes: there its boxes only assert a layout. Linnet gives the
    numbers and the layout that Flax reaches on automatic ones.
    """
    theirs = outcome(run_on(kind, RUNS[system], stage), FLAX)
    ours = outcome(run_on(kind, RUNS[system], stage), LINNET)
    if (system, kind) == ("linen", "Explicit"):
        assert isinstance(theirs, Raised)
        theirs = outcome(run_on("Auto", RUNS[system], stage), FLAX)
    assert not isinstance(theirs, Raised), theirs
    compare(ours, theirs, tolerance=1e-5)
    assert all(count == 8 for _, count in ours[2])


def test_one_mesh_after_another():
    """What is remembered of shapes under one mesh serves under the next, and without any."""
    shapes._some_key.cache_clear()
    model = linnet.linen.Dense(8, kernel_init=lambda *args: jax.random.normal(*args))
    for kind in ("Explicit", "Auto", "Explicit"):
        with jax.set_mesh(mesh_of(kind)):
            variables = model.init(jax.random.key(0), X)
            assert model.apply(variables, X).sharding.mesh.axis_types[0] == AxisType[kind]
    assert len(model.apply(model.init(jax.random.key(0), X), X).devices()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
@pytest.mark.parametrize("system", RUNS)
def test_orbax_restores_the_layout(system, kind, tmp_path):
    """What orbax wrote of a sharded state comes back as it lay, from an abstract state."""
    ocp = pytest.importorskip("orbax.checkpoint")
    with jax.set_mesh(mesh_of(kind)), ocp.StandardCheckpointer() as checkpointer:
        if system == "linen":
            state = linnet.linen.unbox(linen_state(LINNET).params)
        else:
            state = linnet.nnx.to_pure_dict(linnet.nnx.state(nnx_state(LINNET)[0]))
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
        )
        read = checkpointer.restore(tmp_path / "state", abstract)
    compare(read, state, tolerance=0.0)
    assert lies(read) == lies(state)
