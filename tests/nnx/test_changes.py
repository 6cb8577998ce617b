"""Models changed at random between calls: what is remembered about them is never out of date.

A machine of hypothesis applies random changes to a model, in random order, and between them calls
it compiled, splits and clones it. Each result is compared with an uncached one: a compiled call
with a call of a fresh copy outside of any cache, a structure with the structure of such a copy.
"""

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from differential.nnx_models import Layer
from linnet import nnx
from linnet.nnx.graph.graphdef import walk

X = jnp.ones((1, 2))
NAMES = st.sampled_from(["a", "b", "c"])
SMALL = st.integers(0, 2)


class OtherLayer(Layer):
    """A layer that computes something else of the same attributes."""

    def __call__(self, x):
        return super().__call__(x) + self.size


class Holder(nnx.Module):
    """A model of every sort of attribute."""

    def __init__(self):
        self.a, self.b, self.c = Layer(), Layer(), Layer()
        self.items = nnx.List([Layer()])
        self.plain = [Layer()]
        self.table = {"x": Layer()}
        self.sizes = [1]
        self.nested = {"deep": [([1],)]}
        self.ordered = OrderedDict(p=nnx.Param(jnp.ones(2)))
        self.state = nnx.State({"p": nnx.Param(jnp.ones(2))})
        self.scale = jnp.ones(2)
        self.calls = nnx.BatchStat(jnp.zeros(()))
        self.mode = 0

    def layers(self):
        """All layers, in order."""
        return [self.a, self.b, self.c, *self.items, *self.plain, *self.table.values()]

    def __call__(self, x):
        self.calls[...] += 1
        for number, each in enumerate(self.layers()):
            x = each(x) * self.scale / (1 + number)
        x = x + self.mode + sum(self.sizes) + sum(self.nested["deep"][0][0])
        return x * self.ordered["p"] + self.state["p"][...] + hasattr(self, "extra")


compiled = nnx.jit(lambda model, x: model(x))


@nnx.jit
def compiled_change(model):
    """Change a model inside a compiled function."""
    model.items.append(Layer())
    model.a.bias[...] += 1
    model.mode = 7 - model.mode


class Changes(RuleBasedStateMachine):
    """Random changes, and what must hold between them."""

    def __init__(self):
        super().__init__()
        self.model = Holder()
        self.held = None

    @rule(name=NAMES)
    def replace_layer(self, name):
        """A layer is replaced by a new one."""
        setattr(self.model, name, Layer())

    @rule(name=NAMES, other=NAMES)
    def share_layer(self, name, other):
        """Two attributes become one layer."""
        setattr(self.model, name, getattr(self.model, other))

    @rule(name=NAMES, other=NAMES)
    def tie(self, name, other):
        """Two layers share a variable."""
        getattr(self.model, name).kernel = getattr(self.model, other).kernel

    @rule(name=NAMES, value=SMALL)
    def swap_variable(self, name, value):
        """A variable is replaced by another."""
        getattr(self.model, name).bias = nnx.Param(jnp.full(2, float(value)))

    @rule(name=NAMES, value=SMALL)
    def set_value(self, name, value):
        """A variable gets a value, which is no structural change."""
        getattr(self.model, name).bias[...] = jnp.full(2, float(value))

    @rule(name=NAMES, value=SMALL)
    def set_metadata(self, name, value):
        """Metadata changes."""
        getattr(self.model, name).kernel.set_metadata(unit=value)

    @rule()
    def grow(self):
        """Containers grow."""
        self.model.items.append(Layer())
        self.model.plain.append(Layer())

    @rule(key=NAMES)
    def enter(self, key):
        """A dictionary gets an entry."""
        self.model.table[key] = Layer()

    @rule()
    def shrink(self):
        """Containers shrink."""
        if len(self.model.items) > 1:
            self.model.items.pop()
        if len(self.model.plain) > 1:
            del self.model.plain[0]

    @rule(value=SMALL)
    def set_static(self, value):
        """Static attributes change, one in place."""
        self.model.mode = value
        self.model.sizes.append(value)
        del self.model.sizes[:-2]

    @rule(value=SMALL)
    def set_array(self, value):
        """An array attribute gets another array."""
        self.model.scale = jnp.full(2, 1.0 + value)

    @rule(name=NAMES, value=SMALL)
    def set_past_setattr(self, name, value):
        """Attributes are set past ``__setattr__``, by each way that Python has."""
        object.__setattr__(self.model, "mode", value)
        object.__setattr__(getattr(self.model, name), "size", value)

    @rule(name=NAMES, other=NAMES)
    def set_in_dictionary(self, name, other):
        """The dictionary of the attributes is changed."""
        attributes = vars(self.model)
        attributes[name], attributes[other] = attributes[other], attributes[name]
        self.held = attributes

    @rule(value=SMALL)
    def set_in_held_dictionary(self, value):
        """A dictionary of attributes that somebody kept is changed."""
        if self.held is not None:
            self.held["mode"] = value

    @rule(value=SMALL)
    def change_nested_statics(self, value):
        """A list inside of static containers is changed, and one in metadata."""
        self.model.nested["deep"][0][0].append(value)
        del self.model.nested["deep"][0][0][:-2]
        self.model.a.kernel.set_metadata(tags=[value])
        self.model.a.kernel.tags.append(1)

    @rule(value=SMALL)
    def change_pytrees(self, value):
        """Mutable pytrees that are neither lists nor dictionaries of Python's are changed."""
        self.model.ordered["p"] = nnx.Param(jnp.full(2, float(value)))
        self.model.state["p"] = nnx.Param(jnp.full(2, float(value)))

    @rule(name=NAMES, kind=st.sampled_from((nnx.Param, nnx.BatchStat)))
    def change_class(self, name, kind):
        """A variable, and a layer, become of another class."""
        getattr(self.model, name).bias.__class__ = kind
        getattr(self.model, name).__class__ = Layer if kind is nnx.Param else OtherLayer

    @rule()
    def delete(self):
        """An attribute comes and goes."""
        if hasattr(self.model, "extra"):
            del self.model.extra
        else:
            self.model.extra = nnx.Param(jnp.ones(2))

    @rule(value=SMALL)
    def use_a_model_of_the_same_structure(self, value):
        """A second model of one structure is changed; this one does not notice."""
        twin = nnx.clone(self.model)
        before = str(nnx.graphdef(self.model)), jax.tree.leaves(nnx.state(self.model))
        twin.sizes.append(value)
        twin.nested["deep"][0][0].append(value)
        twin.ordered["q"] = nnx.Param(jnp.ones(2))
        compiled_change(twin)
        after = str(nnx.graphdef(self.model)), jax.tree.leaves(nnx.state(self.model))
        assert before[0] == after[0]
        assert all(one is other for one, other in zip(before[1], after[1], strict=True))

    @rule()
    def call_in_threads(self):
        """Several threads call compiled functions with models of this structure at once."""
        models = [nnx.clone(self.model) for _ in range(4)]
        expected = nnx.clone(self.model)(X)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda m: compiled(m, X), models))
            list(pool.map(compiled_change, models))
        for result, model in zip(results, models, strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-5)
            assert nnx.graphdef(model) == walk(model)[0]

    @rule()
    def change_inside(self):
        """A compiled function changes the model."""
        expected = nnx.clone(self.model)
        expected.items.append(Layer())
        expected.a.bias[...] += 1
        expected.mode = 7 - expected.mode
        compiled_change(self.model)
        assert nnx.graphdef(self.model) == walk(expected)[0]

    @rule()
    def copy(self):
        """The model is replaced by a clone, or by what split and merge make of it."""
        self.model = nnx.clone(nnx.merge(*nnx.split(self.model)))

    @rule()
    def call(self):
        """A compiled call computes and counts what an uncached one does."""
        fresh = nnx.clone(self.model)
        expected = fresh(X)
        np.testing.assert_allclose(compiled(self.model, X), expected, rtol=1e-5)
        assert self.model.calls[...] == fresh.calls[...]

    @invariant()
    def remembered_structure_is_true(self):
        """What split and graphdef remember is what a walk finds now."""
        structure, seen = walk(self.model)
        assert nnx.graphdef(self.model) == structure
        leaves = nnx.flatten(self.model)[1].leaves
        found = seen.leaves()
        assert all(one is other for one, other in zip(leaves, found, strict=True))


TestChanges = pytest.mark.slow(Changes.TestCase)
TestChanges.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
