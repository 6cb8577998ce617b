"""`nn.jit` and `nn.remat`."""

import gc
import weakref
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from tests.linen.transforms.probes import RNGS, X

import linnet.linen as nn
from differential.linen import assert_same
from linnet.base.config import config

LIFTS = {"jit": lambda nn: nn.jit, "remat": lambda nn: nn.remat}
each_lift = pytest.mark.parametrize("lift", LIFTS.values(), ids=LIFTS)


@each_lift
def test_training(lift):
    """Statistics, dropout, static arguments, gradients: all as in Flax, also under `jax.jit`."""

    def program(nn):
        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x, train):
                x = nn.BatchNorm(use_running_average=not train)(x)
                return nn.Dense(4)(nn.Dropout(0.5, deterministic=not train)(x))

        class Model(nn.Module):
            @nn.compact
            def __call__(self, x, train=True):
                return lift(nn)(Layer, static_argnums=(2,))()(x, train)

        model = Model()
        variables = model.init(RNGS, X)

        def loss(params, stats):
            variables = {"params": params, "batch_stats": stats}
            y, updates = model.apply(variables, X, mutable=["batch_stats"], rngs=RNGS)
            return (y**2).sum(), (y, updates)

        step = jax.value_and_grad(loss, has_aux=True)
        args = variables["params"], variables["batch_stats"]
        return variables, step(*args), jax.jit(step)(*args), model.apply(variables, X, False)

    assert_same(program)


@each_lift
def test_perturbations(lift):
    """`perturb` works inside."""

    def program(nn):
        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x):
                return self.perturb("hidden", nn.Dense(4)(x)) ** 2

        model = lift(nn)(Layer)()
        variables = model.init(RNGS, X)
        gradients = jax.grad(lambda variables: model.apply(variables, X).sum())(variables)
        return variables, gradients, model.apply({"params": variables["params"]}, X)

    assert_same(program)


@each_lift
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"variables": "params"},
        {"variables": ["params", "state"], "rngs": "params"},
        {"variables": True, "rngs": ["dropout"]},
        {"rngs": False},
    ],
    ids=str,
)
def test_filters(lift, filters):
    """What a filter leaves out does not exist inside: streams, collections, and what they hold."""

    def program(nn):
        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x):
                mutable = self.is_mutable_collection("state")
                if mutable:
                    self.variable("state", "count", lambda: jnp.zeros(()))
                has = self.has_rng("dropout"), mutable, self.is_initializing()
                return nn.Dense(2)(x), jnp.array(has)

        model = lift(nn)(Layer, **filters)()
        (_, has), variables = model.init_with_output(RNGS, X)
        return has, variables, model.apply(variables, X)

    assert_same(program, drawn=True)


@each_lift
def test_abstract_initialisation(lift):
    """`lazy_init`, `eval_shape` and `jit` of `init` give the parameters of `init`."""

    def program(nn):
        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(2)(nn.Dense(3)(x))

        model = lift(nn)(Layer)()
        lazy = model.lazy_init(RNGS, jax.ShapeDtypeStruct((3, 4), jnp.float32))
        shapes = jax.tree.map(lambda leaf: leaf.shape, jax.eval_shape(model.init, RNGS, X))
        return lazy, shapes, jax.jit(model.init)(RNGS, X)

    assert_same(program, drawn=True)


def test_arguments_by_name():
    """Keyword arguments, static ones too, and donated arguments."""

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x, scale, *, kind="plain"):
            assert isinstance(kind, str)
            return nn.Dense(4, use_bias=kind == "plain")(x) * scale

    model = nn.jit(Layer, static_argnames="kind", donate_argnums=1)()
    variables = model.init(RNGS, X + 0, scale=2.0, kind="plain")
    x = X + 0
    y = model.apply(variables, x, scale=2.0, kind="plain")
    assert x.is_deleted()
    assert jnp.array_equal(y, Layer().apply(variables, X, 2.0))


def test_a_second_call_does_not_trace_again():
    """Nor does a class transformed anew in each call, or another model of equal structure."""
    traced = []

    class Layer(nn.Module):
        features: int

        @nn.compact
        def __call__(self, x):
            traced.append(self.features)
            return nn.Dense(self.features)(x)

    class Model(nn.Module):
        features: int = 4

        @nn.compact
        def __call__(self, x):
            return nn.jit(Layer)(self.features, name="layer")(x)

    variables = Model().init(RNGS, X)
    for _ in range(3):
        Model().apply(variables, X)
    assert traced == [4, 4]  # once in `init`, once in `apply`
    Model().apply(variables, X, mutable=["intermediates"])
    assert len(traced) == 3
    Model(5).init(RNGS, X)
    assert len(traced) == 4


def test_what_surrounds_a_call_is_part_of_the_key():
    """Interceptors and flags that a trace depends on find another program, or make one."""
    model = nn.jit(nn.Dense)(2)
    variables = model.init(RNGS, X)
    y = model.apply(variables, X)

    def doubled(next_fun, args, kwargs, context):
        return 2 * next_fun(*args, **kwargs)

    with nn.intercept_methods(doubled):
        assert jnp.array_equal(model.apply(variables, X), 2 * y)
    assert jnp.array_equal(model.apply(variables, X), y)

    class Draw(nn.Module):
        @nn.jit
        def __call__(self):
            return jax.random.key_data(self.make_rng("dropout"))

    plain = Draw().apply({}, rngs=RNGS)
    with config.temp_flip_flag("fix_rng_separator", True):
        assert not jnp.array_equal(Draw().apply({}, rngs=RNGS), plain)


def test_fields_of_other_types_are_other_programs():
    """Values that compare equal but compute otherwise are told apart."""

    class Scale(nn.Module):
        factor: float

        @nn.jit
        def __call__(self, x):
            return x * self.factor

    x = jnp.arange(3)
    assert Scale(2).apply({}, x).dtype == jnp.int32
    assert Scale(2.0).apply({}, x).dtype == jnp.float32


def test_functions_are_let_go():
    """What was compiled for a function that is made anew in each call goes with it."""
    made = []

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            def function(module, x):
                return 2 * x

            made.append(weakref.ref(function))
            return nn.jit(function)(self, x)

    for _ in range(3):
        Model().apply({}, X)
    gc.collect()
    assert [reference() for reference in made] == [None] * 3


@pytest.mark.slow
def test_no_tracer_is_kept():
    """JAX finds no tracer that outlives its transformation."""

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.jit(nn.Dense)(4)(x), None

    shared = {"variable_broadcast": "params", "split_rngs": {"params": False}}
    model = nn.scan(nn.remat(Layer), **shared, length=2)()
    with jax.checking_leaks():
        variables = model.init(RNGS, X, None)
        jax.jit(jax.grad(lambda variables: model.apply(variables, X, None)[0].sum()))(variables)


def test_arrays_in_fields():
    """A field that cannot be hashed is compared by identity."""

    class Shift(nn.Module):
        by: jax.Array

        @nn.jit
        def __call__(self, x):
            return x + self.by

    assert Shift(jnp.ones(4)).apply({}, X).sum() == X.sum() + 12
    assert Shift(jnp.zeros(4)).apply({}, X).sum() == X.sum()


def test_a_policy_says_what_is_kept():
    """`policy` and `prevent_cse` reach `jax.checkpoint`."""

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x):
            return jnp.sin(nn.Dense(4)(x))

    keep = jax.checkpoint_policies.everything_saveable
    models = [nn.remat(Layer)(), nn.remat(Layer, policy=keep, prevent_cse=False)()]
    variables = models[0].init(RNGS, X)

    def products(model):
        gradient = jax.grad(lambda variables: model.apply(variables, X).sum())
        return str(jax.make_jaxpr(gradient)(variables)).count("dot_general")

    again, kept = map(products, models)
    assert again > kept


def test_a_function_of_a_module_with_static_arguments():
    """The module is argument 0."""

    class Model(nn.Module):
        @nn.compact
        def __call__(self, x):
            def scaled(module, x, double):
                return 2 * x if double else x

            lifted = partial(nn.jit, static_argnums=2)(scaled)
            return lifted(self, x, True), lifted(self, x, False)

    double, single = Model().apply({}, X)
    assert jnp.array_equal(double, 2 * single)
