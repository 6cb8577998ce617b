"""Models come and go beside objects that stay: nothing that is remembered keeps them alive."""

import gc
import types
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from differential.nnx_models import Layer
from linnet import nnx
from linnet.base import errors
from linnet.nnx.transforms import dispatch

X = jnp.ones((1, 2))


class Model(Layer):
    """A layer with every sort of attribute, and a way back to itself."""

    def __init__(self):
        super().__init__()
        self.count = nnx.BatchStat(jnp.zeros(()))
        self.array = jnp.ones(2)
        self.plain = [nnx.Param(jnp.ones(2))]
        self.inner = nnx.Dict(owner=self)

    def __call__(self, x):
        self.count[...] += 1
        return super().__call__(x) * self.array


class Counting(Layer):
    """A layer that counts its calls."""

    def __init__(self):
        super().__init__()
        self.count = nnx.BatchStat(jnp.zeros(()))

    def __call__(self, x):
        self.count[...] += 1
        return super().__call__(x)


class Compiled(Model):
    """A model with a compiled method."""

    @nnx.jit
    def __call__(self, x):
        return super().__call__(x)


def loss(model, x):
    """The sum of what a model returns."""
    return model(x).sum()


def both(one, other):
    """Run two models."""
    return loss(one, X) + loss(other, X)


TEACHER = Model()
METRICS = nnx.MultiMetric(loss=nnx.metrics.Average("loss"))
RNGS = nnx.Rngs(0, dropout=1)
TX = optax.adam(1e-3)

jit_one, jit_two = nnx.jit(loss), nnx.jit(both)
jit_metrics = nnx.jit(lambda model, metrics: metrics.update(loss=loss(model, X)))
jit_rngs = nnx.jit(lambda rngs, model: loss(model, X) + rngs.dropout.uniform(()))
jit_list = nnx.jit(lambda models: both(*models))
jit_step = nnx.jit(lambda m, optimizer: optimizer.update(m, nnx.grad(loss)(m, X)))
merged = jax.jit(lambda graphdef, state: X @ nnx.merge(graphdef, state).kernel, static_argnums=0)


def trained(m):
    """Train it with an optimizer of its own, by a step that stays."""
    optimizer = nnx.Optimizer(m, TX, wrt=nnx.Param)
    jit_step(m, optimizer)
    return optimizer


def scanned(m):
    """Call it in a loop."""
    axes = {"in_axes": (None, nnx.Carry, 0), "out_axes": (nnx.Carry, 0)}
    return nnx.scan(lambda m, carry, x: (carry, x @ m.kernel[...]), **axes)(m, 0.0, X)


def differentiated(m):
    """Take gradients beside the teacher, before and after it."""
    nnx.grad(both)(m, TEACHER)
    return nnx.value_and_grad(both)(TEACHER, m)


def taken_apart(m):
    """Split, merge, update and copy it, and use the parts."""
    graphdef, state = nnx.split(m)
    merged(graphdef, state)
    nnx.update(nnx.clone(m), state)
    return nnx.split((m, TEACHER)), nnx.split((TEACHER, m))


def failing(m):
    """Have compiled functions fail after they have written."""

    def fail(model):
        model.count[...] += 1
        raise ZeroDivisionError

    for transform in (nnx.jit, nnx.grad):
        with pytest.raises(ZeroDivisionError):
            transform(fail)(m)


def grown(m):
    """Change its structure inside."""

    def grow(model, teacher):
        model.more = nnx.Param(teacher.kernel[...])

    return nnx.jit(grow)(m, TEACHER)


USES = {
    "a compiled function": lambda m: jit_one(m, X),
    "before a teacher": lambda m: [jit_two(m, TEACHER) for _ in range(2)],
    "after a teacher": lambda m: [jit_two(TEACHER, m) for _ in range(2)],
    "twice": lambda m: jit_two(m, m),
    "metrics": lambda m: jit_metrics(m, METRICS),
    "streams": lambda m: jit_rngs(RNGS, m),
    "lists": lambda m: (jit_list([m, TEACHER]), jit_list([TEACHER, m])),
    "an optimizer": trained,
    "scan": scanned,
    "grad": differentiated,
    "vmap": lambda m: nnx.vmap(lambda m, x: x @ m.kernel[...], in_axes=(None, 0))(m, X),
    "remat": lambda m: nnx.remat(loss)(m, X),
    "split": taken_apart,
    "a closure": lambda m: nnx.jit(lambda x: x @ m.kernel[...])(X),
    "a compiled method": lambda m: Compiled()(X),
    "a partial": lambda m: nnx.cached_partial(jit_two, m)(TEACHER),
    "errors": failing,
    "growth": grown,
    "__dict__": lambda m: (vars(m), jit_two(TEACHER, m)),
}


@pytest.mark.parametrize("use", USES)
def test_models_are_let_go(use):
    """Models that were used beside long-lived objects leave no array and no object."""
    USES[use](Model())
    gc.collect()
    before, finalizers = len(jax.live_arrays()), len(weakref.finalize._registry)
    gone = []
    for _ in range(8):
        m = Model()
        USES[use](m)
        gone += [weakref.ref(m), weakref.ref(m.kernel), weakref.ref(m.plain[0])]
    del m
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)
    assert len(jax.live_arrays()) <= before
    assert len(weakref.finalize._registry) == finalizers


def test_many_models_beside_a_teacher():
    """Two hundred leave as little as one."""
    jit_two(TEACHER, Model())
    gc.collect()
    before = len(jax.live_arrays())
    for _ in range(200):
        jit_two(TEACHER, Model())
    gc.collect()
    assert len(jax.live_arrays()) == before
    assert len(TEACHER._layout.shares) == 0


def test_what_is_shared_between_arguments_is_written_once():
    """Whichever of them holds what both reach, every update comes out."""
    one, two = Model(), Model()
    one.kernel[...] = jnp.ones((2, 2))
    two.kernel, two.inner.other = one.kernel, one.count
    write = nnx.jit(lambda a, b: (b.kernel.set_value(a.array[0] + b.kernel + 1), a(X), b(X)))
    for pair in ((one, two), (two, one), (one, one)):
        before = one.kernel[...]
        counts = one.count[...] + two.count[...]
        write(*pair)
        np.testing.assert_array_equal(one.kernel[...], before + 2)
        assert one.count[...] + two.count[...] == counts + 2
        assert two.kernel is one.kernel


def test_structure_changed_while_a_call_of_two_runs():
    """What a call set out to write is written, though a model outside changed meanwhile."""
    one, two = Model(), Model()

    def step(a, b):
        vars(two)  # from here on its attributes are compared
        nnx.split(two)
        a(X), b(X)

    for _ in range(2):
        nnx.jit(step)(one, two)
    assert float(one.count[...]) == float(two.count[...]) == 2


def test_classes_of_users_are_not_remembered():
    """A class may become a pytree after it was first passed, and may be let go."""

    class Box:
        def __init__(self, model):
            self.model = model

    function = nnx.jit(lambda box: loss(box.model, X) if isinstance(box, Box) else 0.0)
    box = Box(Counting())
    with pytest.raises((TypeError, errors.LinnetError)):
        function(box)
    jax.tree_util.register_pytree_node(Box, lambda b: ((b.model,), None), lambda _, c: Box(*c))
    assert function(box) == loss(box.model, X)
    assert box.model.count[...] == 2

    class Leaf:
        pass

    assert dispatch._role(Leaf()) is False
    gone = weakref.ref(Leaf)
    del Leaf
    gc.collect()
    assert gone() is None


def test_the_names_of_notebooks_are_not_told():
    """A message names the variable that the user wrote, not where a notebook keeps its results."""
    notebook = types.ModuleType("notebook")
    vars(notebook).update(jax=jax, nnx=nnx, jnp=jnp)
    lines = "m = nnx.Dict(a=nnx.Param(jnp.ones(2)))\n_oh = Out = {3: m}\n_ = __ = _3 = m\n"
    lines += "try:\n    jax.jit(lambda x: m.a.set_value(x))(jnp.ones(2))\n"
    lines += "except Exception as error:\n    told = str(error)\n"
    exec(lines, vars(notebook))
    assert "the value of m.a (Param)" in notebook.told
