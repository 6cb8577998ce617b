"""Everything that programs keep is copied and pickled, also after it was used, and by a worker."""

import copy
import functools
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import linnet.linen as nn
from differential import linen
from linnet import nnx
from linnet.nnx.training.train_state import TrainState as NnxTrainState
from linnet.training.train_state import TrainState
from linnet.tree import struct
from linnet.tree.frozen_dict import freeze

KEY, X = jax.random.key(0), jnp.ones((2, 3))


def zeros_like(params):
    """The state of an optimizer that pickle finds by its name."""
    return jax.tree.map(jnp.zeros_like, params)


def no_update(grads, state, params=None):
    """An update that changes nothing."""
    return grads, state


def doubled(variable, value):
    """A hook."""
    return 2 * value


TX = optax.GradientTransformation(zeros_like, no_update)


@struct.dataclass
class Point:
    """A struct."""

    x: jax.Array
    name: str = struct.field(pytree_node=False, default="p")


@nnx.dataclass
class Place(nnx.Pytree):
    """A dataclass of NNX."""

    x: jax.Array = nnx.data()
    name: str = nnx.static(default="p")


class Listed(nn.Module):
    """Submodules in lists, made in setup."""

    def setup(self):
        self.parts = [nn.Dense(3), nn.Dense(2)]

    def __call__(self, x):
        return self.parts[1](self.parts[0](x))


class Lifted(nn.Module):
    """A compiled method and transformed classes."""

    @nn.jit
    @nn.compact
    def __call__(self, x):
        mapped = nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True})
        return nn.remat(nn.Dense)(2)(mapped(3)(x))


class Model(nnx.Module):
    """Variables, arrays, lists, streams and a layer in two places."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.layer = nnx.Linear(3, 3, rngs=rngs)
        self.norm, self.dropout = nnx.BatchNorm(3, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.items = nnx.List([self.layer, nnx.Param(jnp.ones(2), on_get_value=doubled)])
        self.plain, self.array = [nnx.Param(jnp.ones(1))], jnp.ones(2)

    @nnx.jit
    def __call__(self, x):
        return self.dropout(self.norm(self.layer(x)))


def bound():
    """A bound module that was called."""
    module = Listed().bind(Listed().init(KEY, X))
    module(X)
    return module


def used(model):
    """A model that was compiled and split, and whose attributes were taken."""
    model(X)
    nnx.split(model)
    vars(model)
    return model


def applied(module):
    """A module that was initialised and applied."""
    module.apply(module.init(KEY, X), X)
    return module


def partial_init():
    """A layer with initializers of several sorts."""
    scaled = functools.partial(nn.initializers.variance_scaling, mode="fan_in")
    made = scaled(1.0, distribution="normal")
    return nn.Dense(3, kernel_init=made, bias_init=nn.initializers.constant(jnp.ones(3)))


THINGS = {
    "model": Model,
    "used model": lambda: used(Model()),
    "graphdef": lambda: nnx.graphdef(Model()),
    "state": lambda: nnx.state(Model()),
    "part of a state": lambda: nnx.state(Model())["norm"],
    "flat state": lambda: nnx.to_flat_state(nnx.state(Model())),
    "streams": lambda: nnx.Rngs(0, params=1).fork(),
    "optimizer": lambda: nnx.Optimizer(Model(), TX, wrt=nnx.Param),
    "metrics": lambda: nnx.MultiMetric(a=nnx.metrics.Average("a"), b=nnx.metrics.Accuracy()),
    "variable": lambda: nnx.Param(jnp.ones(2), on_get_value=doubled, unit="m"),
    "dataclass": lambda: Place(jnp.ones(2)),
    "train state of NNX": lambda: NnxTrainState.create(
        nnx.graphdef(Model()), params=nnx.state(Model()), tx=TX
    ),
    "filters": lambda: [
        nnx.Any(nnx.Param, nnx.Not(nnx.PathContains("a"))),
        nnx.All(nnx.WithTag("t")),
    ],
    "axes": lambda: [nnx.StateAxes({nnx.Param: 0, ...: None}), nnx.DiffState(0, nnx.Param)],
    "struct": lambda: Point(jnp.ones(2)),
    "frozen": lambda: freeze({"a": {"b": jnp.ones(2)}}),
    "boxes": lambda: [
        nn.Partitioned(jnp.ones(2), names=("a",)),
        nn.LogicallyPartitioned(jnp.ones(2), names=("a",)),
    ],
    "train state": lambda: TrainState.create(
        apply_fn=Listed().apply, params=Listed().init(KEY, X)["params"], tx=TX
    ),
    "module": Listed,
    "used module": lambda: applied(Listed()),
    "lifted module": lambda: applied(Lifted()),
    "bound module": bound,
    "bound submodule": lambda: bound().parts[0],
    "unbound module": lambda: bound().unbind(),
    "initializers": partial_init,
    "arrays in initializers": lambda: nn.initializers.orthogonal(jnp.sqrt(2)),
}

WAYS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "cloudpickle": lambda value: cloudpickle.loads(cloudpickle.dumps(value)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def seen(value):
    """What is compared: how it looks, and its arrays."""
    if isinstance(value, nn.Module):
        value = value.clone(parent=None)
        return repr(value), value.init(KEY, X)
    leaves = [leaf for leaf in jax.tree.leaves(value) if isinstance(leaf, jax.Array | np.ndarray)]
    keys = jax.dtypes.prng_key
    data = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, keys) else x for x in leaves]
    return repr(jax.tree.structure(value)).partition("0x")[0], data


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", THINGS)
def test_copies_are_like_the_first(what, way):
    """Whatever it is, and whatever was done with it."""
    value = THINGS[what]()
    again = WAYS[way](value)
    assert type(again) is type(value)
    one, other = seen(again), seen(value)
    assert one[:-1] == other[:-1]
    jax.tree.map(np.testing.assert_array_equal, one[-1], other[-1])


def _look(values):
    return {name: seen(value) for name, value in values.items()}, values


def test_a_worker_gets_and_gives_back():
    """In a process of its own everything is what it was, and comes back as it went."""
    values = {name: make() for name, make in THINGS.items()}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there, back = pool.submit(_look, values).result(timeout=300)
    for name, value in values.items():
        for one in (there[name], seen(back[name])):
            jax.tree.map(np.testing.assert_array_equal, one[-1], seen(value)[-1])


def test_a_class_pickled_by_value_may_be_subclassed_and_transformed():
    """As cloudpickle does with the classes of notebooks and of local functions."""

    def program(nn):
        class Base(nn.Module):
            width: int
            bias: bool = True

            @nn.compact
            def __call__(self, x):
                return nn.Dense(self.width, use_bias=self.bias)(x)

        again = type(cloudpickle.loads(cloudpickle.dumps(Base(2))))

        class More(again):
            depth: int = 1

        if nn is linen.LINNET:  # where Flax takes the mark of a missing default for one
            with pytest.raises(TypeError, match="missing 1 required positional argument"):
                More()
        models = [nn.jit(again)(2), nn.remat(again)(2), More(2), More(2, False, depth=3)]
        return [jax.tree.map(jnp.shape, each.init(KEY, X)) for each in models]

    linen.assert_same(program)


def test_a_class_with_compiled_methods_is_pickled_by_value():
    """What was compiled of it stays behind."""

    class Compiled(nn.Module):
        @nn.jit
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x)

    module = Compiled()
    variables = module.init(KEY, X)
    expected = module.apply(variables, X)
    again = cloudpickle.loads(cloudpickle.dumps(module))
    np.testing.assert_array_equal(again.apply(variables, X), expected)
