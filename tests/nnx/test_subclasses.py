"""Classes of users that override what Python and NNX do with objects."""

import copy
import pickle

import cloudpickle
import jax
import jax.numpy as jnp
import optax
import pytest

from differential.nnx import assert_same
from linnet import nnx

X = jnp.ones((2, 3))


def pure(nnx, node):
    """The values of a model, as nested dictionaries."""
    return nnx.to_pure_dict(nnx.state(node))


# --- classes that override half of nnx.Module -------------------------------------------------


def plain_new(nnx):
    class Model(nnx.Module):
        def __new__(cls):
            return object.__new__(cls)

    return Model


def new_of_a_mixin(nnx):
    class Mixin:
        def __new__(cls, *args, **kwargs):
            return object.__new__(cls)

    class Model(Mixin, nnx.Module):
        pass

    return Model


def new_that_hands_on(nnx):
    class Base(plain_new(nnx)):
        def __new__(cls):
            return super().__new__(cls)

    class Model(Base):
        pass

    return Model


def own_setattr(nnx):
    class Model(nnx.Module):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name == "a":
                super().__setattr__("seen", 1)

    return Model


def own_getattr(nnx):
    class Model(nnx.Module):
        def __getattr__(self, name):
            return getattr(vars(self)["inner"], name)

    return Model


def equal_to_all(nnx):
    class Model(nnx.Module):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

    return Model


def never_true(nnx):
    class Model(nnx.Module):
        def __len__(self):
            return 0

        def __iter__(self):
            raise RuntimeError

    return Model


def property_over_a_variable(nnx):
    class Model(nnx.Module):
        @property
        def kernel(self):
            return self.a

        @kernel.setter
        def kernel(self, value):
            self.a = value

    return Model


def own_metaclass(nnx):
    class Meta(type(nnx.Module)):
        def __call__(cls, *args, **kwargs):
            made = super().__call__(*args, **kwargs)
            made.late = 1
            return made

    class Model(nnx.Module, metaclass=Meta):
        pass

    return Model


CLASSES = [
    *(plain_new, new_of_a_mixin, new_that_hands_on, own_setattr, own_getattr),
    *(equal_to_all, never_true, property_over_a_variable, own_metaclass),
]


@pytest.mark.parametrize("base", CLASSES, ids=lambda f: f.__name__)
def test_classes_that_override_half_of_module(base):
    """They are models like others: state, copies, compiled calls, changes between these."""

    def program(nnx):
        class Model(base(nnx)):
            def __init__(self):
                self.a = nnx.Param(jnp.ones(2))
                self.inner = nnx.Dict(b=nnx.Param(jnp.zeros(1)), size=3)
                self.name = "m"

        @nnx.jit
        def step(model):
            model.a[...] += 1
            return model.a[...] + model.inner.size

        model = Model()
        results = [step(model), step(model), pure(nnx, nnx.clone(model))]
        model.more = nnx.Param(jnp.ones(1))
        results += [step(model), pure(nnx, model), pure(nnx, copy.copy(model))]
        results.append(jax.tree.leaves(jax.tree.map(lambda x: 2 * x, model)))
        return results, cloudpickle.loads(cloudpickle.dumps(model)).more[...]

    assert_same(program)


def test_objects_made_past_new():
    """What a base class needs is there before ``__init__`` runs, and a singleton stays one."""

    class Only(nnx.Module):
        made = None

        def __new__(cls, size):
            if cls.made is None:
                cls.made = object.__new__(cls)
            return cls.made

        def __init__(self, size):
            self.a = nnx.Param(jnp.ones(size))

    assert Only(2) is Only(3)
    assert pure(nnx, Only(2))["a"].shape == (2,)


# --- pickling ---------------------------------------------------------------------------------


def getstate_of_super(nnx):
    class Model(nnx.Module):
        def __getstate__(self):
            state = dict(super().__getstate__())
            state.pop("cache", None)
            return state

    return Model


def getstate_of_dict(nnx):
    class Model(nnx.Module):
        def __getstate__(self):
            return {name: value for name, value in vars(self).items() if name != "cache"}

    return Model


def setstate_of_super(nnx):
    class Model(nnx.Module):
        def __setstate__(self, state):
            super().__setstate__(state)
            self.cache = None

    return Model


def reduce_to_a_call(nnx):
    class Model(nnx.Module):
        def __reduce__(self):
            return type(self), ()

    return Model


PICKLED = [getstate_of_super, getstate_of_dict, setstate_of_super, reduce_to_a_call]
WAYS = {"copy": copy.copy, "cloudpickle": lambda m: cloudpickle.loads(cloudpickle.dumps(m))}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("base", PICKLED, ids=lambda f: f.__name__)
def test_classes_that_say_how_they_are_pickled(base, way):
    """What they leave out is left out, and the rest is a model: its changes are seen."""

    def program(nnx):
        class Model(base(nnx)):
            def __init__(self):
                self.a = nnx.Param(jnp.ones(2))
                self.number = nnx.data(1)
                self.cache = lambda: 3

        @nnx.jit
        def total(model):
            return sum(leaf.sum() for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))

        model = Model()
        total(model)
        again = WAYS[way](model)
        results = [hasattr(again, "cache"), total(again), pure(nnx, again)["a"]]
        again.b = nnx.Param(jnp.ones(3))
        return [*results, total(again), total(model)]

    assert_same(program)


class Model(nnx.Module):
    """A model that pickle finds by its name."""

    def __init__(self):
        self.layer = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
        self.items = nnx.List([nnx.Param(jnp.ones(2)), 3])
        self.number, self.again = nnx.data(1), self.layer
        self.streams = nnx.Rngs(0, dropout=1)

    @nnx.jit
    def __call__(self, x):
        return self.layer(x) + self.items[1]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("use", ["fresh", "compiled", "taken"])
def test_used_models_are_pickled(use, protocol):
    """Whatever was done with them, and by any protocol; their changes are seen afterwards."""
    model = Model()
    if protocol < 2:
        del model.streams  # newer versions of jax pickle no keys by these
    if use == "compiled":
        model(X)
    elif use == "taken":
        vars(model)["late"] = nnx.Param(jnp.ones(1))
    again = pickle.loads(pickle.dumps(model, protocol))
    assert jax.tree.structure(again) == jax.tree.structure(model)
    assert again.again is again.layer
    assert (again(X) == model(X)).all()
    before = model(X)
    again.items[1] = model.items[1] = 4
    assert (again(X) == model(X)).all()
    assert (model(X) > before).all()
    vars(again)["layer"] = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    assert nnx.graphdef(again) != nnx.graphdef(model)
    assert again(X).shape == (2, 2)


# --- streams, optimizers, metrics, variables --------------------------------------------------


def test_subclasses_of_streams():
    """Forked and split ones are plain ``Rngs``, whatever the subclass takes; copies are its own."""

    def program(nnx):
        class Streams(nnx.Rngs):
            def __init__(self, seed):
                super().__init__(seed, dropout=1)
                self.seed = seed

            def special(self):
                return jax.random.key_data(self.dropout())

        class Stream(nnx.RngStream):
            pass

        rngs = Streams(0)
        made = [rngs.fork(), rngs.split(2), rngs.broadcast(2)]
        copies = [nnx.clone(rngs), copy.copy(rngs), rngs]
        stream = Stream(jax.random.key(0), tag="a")
        keys = [jax.random.key_data(each.dropout.key[...]) for each in made]
        types = [type(each).__name__ for each in (*made, stream.fork(), stream.split(2))]
        return keys, types, [each.special() for each in copies], [each.seed for each in copies]

    assert_same(program)


def test_subclasses_of_optimizers_and_metrics():
    """With state of their own, set before and after the base class's."""

    def program(nnx):
        class Optimizer(nnx.Optimizer):
            def __init__(self, model):
                self.calls = nnx.Variable(jnp.zeros(()))
                super().__init__(model, optax.sgd(0.1), wrt=nnx.Param)

            def update(self, model, grads):
                self.calls[...] += 1
                super().update(model, grads)

        class Average(nnx.metrics.Average):
            def __init__(self):
                super().__init__("loss")
                self.most = nnx.metrics.MetricState(jnp.zeros(()))

            def update(self, **values):
                super().update(**values)
                self.most[...] = jnp.maximum(self.most[...], values["loss"].max())

        ones = {"kernel_init": nnx.initializers.ones_init(), "rngs": nnx.Rngs(0)}
        model = nnx.Linear(3, 1, **ones)
        optimizer, metrics = Optimizer(model), nnx.MultiMetric(average=Average())

        @nnx.jit
        def step(model, optimizer, metrics):
            loss, grads = nnx.value_and_grad(lambda model: model(X).sum())(model)
            optimizer.update(model, grads)
            metrics.update(loss=loss)

        step(model, optimizer, metrics)
        step(model, optimizer, metrics)
        return optimizer.calls[...], model.bias[...], metrics.compute(), metrics.average.most[...]

    assert_same(program)


@pytest.mark.parametrize("what", ["get_value", "set_value", "value", "__eq__", "__getattr__"])
def test_subclasses_of_variables(what):
    """They read and write through what they override, eagerly, compiled and copied."""

    def program(nnx):
        class Variable(nnx.Variable):
            if what == "get_value":

                def get_value(self, **how):
                    return super().get_value(**how) * 10

            elif what == "set_value":

                def set_value(self, value, **how):
                    super().set_value(value + 1, **how)

            elif what == "value":

                @property
                def value(self):
                    return self.get_raw_value() * 3

                @value.setter
                def value(self, value):
                    self.set_raw_value(value)

            elif what == "__eq__":

                def __eq__(self, other):
                    return self is other

                def __hash__(self):
                    return id(self)

            else:

                def __getattr__(self, name):
                    return 3 if name == "other" else super().__getattr__(name)

        variable = Variable(jnp.ones(2), unit="m")

        @nnx.jit
        def step(holder):
            holder.v[...] = holder.v[...] + 1
            return holder.v[...], getattr(holder.v, "other", 0)

        holder = nnx.Dict(v=variable)
        results = [step(holder), step(holder), variable[...], variable.get_raw_value()]
        copies = [copy.copy(variable), variable.replace(jnp.zeros(2)), nnx.clone(holder).v]
        return results, [(type(each).__name__, each[...], each.unit) for each in copies]

    assert_same(program)
