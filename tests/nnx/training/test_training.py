"""Optimizers, averages of parameters, metrics and training states, beside Flax's."""

import warnings

import flax.nnx
import jax
import jax.numpy as jnp
import optax
import pytest

from differential.nnx import assert_same
from differential.nnx_models import kinds, layer, model, values
from linnet import nnx
from linnet.base import errors

X = jnp.array([[1.0, -2.0], [0.5, 3.0]])


def metrics_of(nnx):
    """The namespace of metrics."""
    return flax.nnx.metrics if nnx is flax.nnx else nnx.metrics


def loss(m):
    """The mean square of the output."""
    return (m(X) ** 2).mean()


def trained(nnx, tx, wrt=None, steps=3, compiled=True, **kwargs):
    """Train a model for a few steps; return losses, parameters, and the optimizer's state."""
    m = model(nnx)
    optimizer = nnx.Optimizer(m, tx, wrt=wrt or nnx.Param)

    def step(m, optimizer):
        value, grads = nnx.value_and_grad(loss, argnums=nnx.DiffState(0, wrt or nnx.Param))(m)
        optimizer.update(m, grads, **kwargs)
        return value

    step = nnx.jit(step) if compiled else step
    losses = [step(m, optimizer) for _ in range(steps)]
    state = jax.tree.leaves(nnx.state(optimizer))
    return losses, values(nnx.state(m)), state, optimizer.step[...]


OPTIMIZERS = {
    "sgd": lambda: optax.sgd(0.1),
    "adam": lambda: optax.adam(1e-2),
    "adamw": lambda: optax.adamw(1e-2),
    "momentum": lambda: optax.sgd(optax.cosine_decay_schedule(0.1, 10), momentum=0.9),
    "chain": lambda: optax.chain(optax.clip_by_global_norm(0.1), optax.adam(1e-2)),
    "injected": lambda: optax.inject_hyperparams(optax.sgd)(learning_rate=0.1),
    "every 2": lambda: optax.MultiSteps(optax.sgd(0.1), every_k_schedule=2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_as_on_flax(name):
    """Ten compiled steps leave the losses, parameters and optimizer states of Flax."""
    assert_same(lambda nnx: trained(nnx, OPTIMIZERS[name](), steps=10))


def _updates(nnx):
    m = model(nnx)
    optimizer = nnx.Optimizer(m, optax.sgd(0.1), wrt=nnx.Param)
    return values(optimizer.update(m, nnx.grad(loss)(m))), values(nnx.state(m))


def _holding(nnx):
    m = model(nnx)
    optimizer = nnx.ModelAndOptimizer(m, optax.sgd(0.1))
    optimizer.update(nnx.grad(loss)(m))
    return optimizer.model is m, values(nnx.state(m)), optimizer.step[...]


def _ema(nnx, **options):
    m = model(nnx)
    ema = nnx.EMA(m, 0.9, **options)
    m.first.bias[...] = jnp.ones(2)
    ema.update(m)
    averaged = ema.apply_to(m)
    return values(nnx.state(averaged)), values(nnx.state(m)), averaged.first.bias is m.first.bias


def _ema_shared(nnx, **options):
    m = nnx.Dict(w=nnx.Param(X), s=nnx.BatchStat(2 * X), n=nnx.Dict(w=nnx.Param(3 * X)), name="m")
    ema = nnx.EMA(m, 0.5, **options)
    averaged = ema.apply_to(m)
    for variable in (m.w, m.s, m.n.w):
        variable[...] = variable[...] + 1
    ema.update(m)
    averaged.n.w[...] = averaged.n.w[...] * 2
    same = [averaged.w is m.w, averaged.s is m.s, averaged.n is m.n, averaged.name]
    again = ema.apply_to(m)
    return same, again.w is averaged.w, values(nnx.state(averaged)), values(nnx.state(m))


def _tree_mode(nnx, **how):
    m = nnx.Dict(layer=layer(nnx), statistics=nnx.BatchStat(jnp.ones(2)))
    optimizer = nnx.Optimizer(m, optax.adam(0.1), wrt=nnx.Param)

    @nnx.jit(**how)
    def step(m, optimizer):
        value, grads = nnx.value_and_grad(lambda m: loss(m.layer), **how)(m)
        optimizer.update(m, grads)
        return value

    return [step(m, optimizer) for _ in range(3)], values(nnx.state(m))


def _unpacked(nnx):
    m = layer(nnx)
    optimizer = nnx.Optimizer(m, optax.sgd(0.1), wrt=nnx.Param)
    part = nnx.unpack(m, nnx.Param)
    optimizer.update(m, nnx.grad(lambda part: (nnx.merge(part)(X) ** 2).mean())(part))
    return values(nnx.state(m))


def _line_search(nnx):
    m = layer(nnx)
    optimizer = nnx.Optimizer(m, optax.lbfgs(), wrt=nnx.Param)
    graphdef = nnx.graphdef(m)
    value, grads = nnx.value_and_grad(loss)(m)
    optimizer.update(
        m, grads, grad=grads, value=value, value_fn=lambda p: loss(nnx.merge(graphdef, p))
    )
    return values(nnx.state(m))


def _masked(nnx, mask):
    metrics = metrics_of(nnx)
    both = nnx.MultiMetric(accuracy=metrics.Accuracy(), loss=metrics.Average())
    batch = {"logits": jnp.eye(2), "labels": jnp.array([0, 0]), "values": jnp.array([1.0, 2.0])}
    both.update(**batch, mask=mask)
    return both.compute()


def _unmasked(nnx):
    metrics = metrics_of(nnx)

    class Plain(metrics.Average):
        def update(self, values):
            super().update(values=values)

    both = nnx.MultiMetric(plain=Plain(), loss=metrics.Average())
    both.update(values=jnp.array([1.0, 3.0]), mask={"loss": jnp.array([True, False])})
    return both.compute()


def _train_state(nnx):
    graphdef, params = nnx.split(layer(nnx))
    state = nnx.TrainState.create(graphdef, params=params, tx=optax.adam(0.1))
    y, _ = state.apply("params")(X)
    grads = jax.grad(lambda p: (state.apply(p)(X)[0] ** 2).mean())(state.params)
    after = state.apply_gradients(grads)
    return y, values(after.params), after.step, state.step, after.replace(step=7).step


def _average(nnx, name="values"):
    average = metrics_of(nnx).Average(name)
    empty = average.compute()
    average.update(**{name: jnp.array([1.0, 2.0])})
    average.update(**{name: 6.0})
    first = average.compute()
    average.update(**{name: jnp.array([5.0, 9.0])}, mask=jnp.array([True, False]))
    second = average.compute()
    average.reset()
    return empty, first, second, average.compute()


def _accuracy(nnx):
    metrics = metrics_of(nnx)
    accuracy, binary = metrics.Accuracy(), metrics.Accuracy(threshold=0.5)
    accuracy.update(logits=jnp.eye(4), labels=jnp.array([0, 1, 2, 0]))
    binary.update(logits=jnp.array([0.2, 0.7, 0.9]), labels=jnp.array([0, 1, 0]))
    return accuracy.compute(), binary.compute()


def _welford(nnx):
    welford = metrics_of(nnx).Welford()
    for batch in ([1.0, 2.0, 4.0], [7.0, 8.0]):
        welford.update(values=jnp.array(batch))
    found = welford.compute()
    return found.mean, found.standard_error_of_mean, found.standard_deviation


def _multi(nnx):
    metrics = metrics_of(nnx)
    both = nnx.MultiMetric(accuracy=metrics.Accuracy(), loss=metrics.Average("loss"))

    @nnx.jit
    def step(both):
        both.update(logits=jnp.eye(2), labels=jnp.array([0, 0]), loss=jnp.array(0.5))

    step(both)
    step(both)
    first = both.compute()
    both.reset()
    return first, values(nnx.state(both)), both.accuracy is not None


PROGRAMS = {
    "eager training": lambda nnx: trained(nnx, optax.adam(1e-2), compiled=False),
    "some parameters": lambda nnx: trained(nnx, optax.adam(1e-2), nnx.PathContains("bias")),
    "kinds": lambda nnx: kinds(
        nnx.state(nnx.Optimizer(layer(nnx), optax.adam(1.0), wrt=nnx.Param))
    ),
    "updates": _updates,
    "model and optimizer": _holding,
    "without wrt": lambda nnx: nnx.Optimizer(layer(nnx), optax.sgd(0.1)),
    "without a model": lambda nnx: nnx.Optimizer(layer(nnx), optax.sgd(0.1), wrt=nnx.Param).update(
        nnx.grad(loss)(layer(nnx))
    ),
    "extra arguments": lambda nnx: trained(
        nnx, optax.contrib.reduce_on_plateau(), steps=2, value=1.0
    ),
    "metadata": lambda nnx: [
        v.unit
        for v in jax.tree.leaves(
            nnx.Optimizer(
                layer(nnx, unit="m"), optax.adam(1.0), wrt=nnx.PathContains("kernel")
            ).opt_state,
            is_leaf=lambda x: isinstance(x, nnx.Variable),
        )
        if v.has_metadata("unit")
    ],
    "EMA": lambda nnx: _ema(nnx, only=nnx.Param),
    "EMA of everything": _ema_shared,
    "EMA of parameters": lambda nnx: _ema_shared(nnx, only=nnx.Param),
    "EMA of another model": lambda nnx: nnx.EMA(nnx.Dict(q=nnx.Param(X)), 0.5).apply_to(layer(nnx)),
    "gradients of a tree": lambda nnx: _tree_mode(nnx, graph=False),
    "gradients of values": lambda nnx: _tree_mode(nnx, graph_updates=False),
    "gradients of a part": _unpacked,
    "line search": _line_search,
    "masks by metric": lambda nnx: _masked(
        nnx, {"accuracy": jnp.array([True, False]), "loss": jnp.array([False, True])}
    ),
    "a mask for one metric": lambda nnx: _masked(nnx, {"loss": jnp.array([False, True])}),
    "no masks": lambda nnx: _masked(nnx, {}),
    "one mask for all": lambda nnx: _masked(nnx, jnp.array([True, False])),
    "a metric without masks": _unmasked,
    "train state": _train_state,
    "average": _average,
    "average of another name": lambda nnx: _average(nnx, "loss"),
    "average without values": lambda nnx: metrics_of(nnx).Average().update(loss=1.0),
    "accuracy": _accuracy,
    "accuracy of floats": lambda nnx: (
        metrics_of(nnx).Accuracy().update(logits=jnp.eye(2), labels=jnp.ones(2))
    ),
    "accuracy of other ranks": lambda nnx: (
        metrics_of(nnx).Accuracy().update(logits=jnp.eye(2), labels=jnp.ones((2, 2), jnp.int32))
    ),
    "threshold": lambda nnx: metrics_of(nnx).Accuracy(threshold="high"),
    "welford": _welford,
    "several": _multi,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_flax(name):
    """What is computed, kept and raised is Flax's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert_same(PROGRAMS[name])


def test_gradients_of_another_model_are_listed():
    """Gradients that are not those of the parameters are one error with all paths and shapes."""
    m = model(nnx)
    optimizer = nnx.Optimizer(m, optax.sgd(0.1), wrt=nnx.Param)
    bad = nnx.State({"first": {"bias": jnp.ones(3), "other": jnp.ones(2)}})
    with pytest.raises(errors.GradientStructureError) as caught:
        optimizer.update(m, bad)
    text = str(caught.value)
    for part in ("/first/kernel", "/first/other", "(3,)", "(2,)", "nnx.grad(loss_fn)(model)"):
        assert part in text


def test_optimizers_go_through_jit_once():
    """A step with an optimizer is traced once."""
    m = model(nnx)
    optimizer = nnx.Optimizer(m, optax.adam(1e-2), wrt=nnx.Param)
    traces = []

    @nnx.jit
    def step(m, optimizer):
        traces.append(1)
        optimizer.update(m, nnx.grad(loss)(m))

    for _ in range(3):
        step(m, optimizer)
    assert len(traces) == 1
    assert optimizer.step[...] == 3


MISTAKES = {
    "no transformation": (lambda: nnx.Optimizer(layer(nnx), None, wrt=nnx.Param), "None for tx"),
    "one that is not called": (
        lambda: nnx.Optimizer(layer(nnx), optax.sgd, wrt=nnx.Param),
        "it has no init",
    ),
    "arguments in another order": (
        lambda: nnx.Optimizer(optax.sgd(0.1), layer(nnx), wrt=nnx.Param),
        r"Write nnx\.Optimizer\(model, optax",
    ),
    "no transformation in a state": (
        lambda: nnx.TrainState.create(nnx.graphdef(layer(nnx)), params=nnx.State({}), tx=None),
        r"Write nnx\.TrainState\.create",
    ),
    "a number for a metric": (lambda: nnx.MultiMetric(a=3), "given a=3, which is no metric"),
    "a class for a metric": (
        lambda: nnx.MultiMetric(a=nnx.metrics.Average),
        r"such as a=nnx\.metrics\.Average\('a'\)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_arguments_that_are_something_else(name):
    """What is no optimizer and no metric is told by name where it is given."""
    mistake, told = MISTAKES[name]
    with pytest.raises(TypeError, match=told):
        mistake()


def test_metrics_of_lists():
    """Metrics take lists of numbers; Flax takes arrays only."""
    accuracy, average = nnx.metrics.Accuracy(), nnx.metrics.Average()
    accuracy.update(logits=[[0.0, 1.0], [1.0, 0.0]], labels=[1, 1])
    average.update(values=[1.0, 2.0])
    assert (accuracy.compute(), average.compute()) == (0.5, 1.5)


@pytest.mark.parametrize("tx", [optax.sgd(0.1), optax.adam(0.1)], ids=["sgd", "adam"])
def test_variables_with_hooks(tx):
    """What an optimizer reads and sets passes the hooks of the variables by."""

    def program(nnx):
        hooks = {"on_get_value": lambda v, x: x + 1, "on_set_value": lambda v, x: x * 2}
        model = nnx.Dict(w=nnx.Param(jnp.arange(1.0, 3.0), **hooks))
        optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

        @nnx.jit
        def step(model, optimizer):
            optimizer.update(model, nnx.grad(lambda m: (m.w[...] ** 2).sum())(model))

        for _ in range(2):
            step(model, optimizer)
        leaves = [leaf for leaf in jax.tree.leaves(nnx.state(optimizer)) if leaf.ndim]
        return model.w.get_raw_value(), leaves

    assert_same(program)
