"""`nn.vmap`."""

import jax
import jax.numpy as jnp
import pytest
from tests.linen.transforms.probes import EACH, RNGS, X

import linnet.linen as nn
from differential.linen import FLAX, assert_same
from linnet.base import errors

PARAMS = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}

OPTIONS = {
    "axis 0": PARAMS,
    "axis 1": {**PARAMS, "variable_axes": {"params": 1}},
    "axis -1": {**PARAMS, "variable_axes": {"params": -1}},
    "all": {"variable_axes": {True: 0}, "split_rngs": {True: True}},
    "names": {"variable_axes": {("params", "x"): 0}, "split_rngs": {("params", "y"): True}},
    "one initialisation": {**PARAMS, "split_rngs": {"params": False}},
    "size": {**PARAMS, "in_axes": None, "axis_size": 5},
    "axes": {**PARAMS, "in_axes": 1, "out_axes": 1},
    "no size": {**PARAMS, "in_axes": None},
    "wrong size": {**PARAMS, "axis_size": 7},
    "shared but split": {**PARAMS, "variable_axes": {"params": None}},
    "no stream": {"variable_axes": {"params": 0}},
    "no collection": {},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options(options):
    """Every option does what it does in Flax, or fails as there."""

    def program(nn):
        model = nn.vmap(nn.Dense, **options)(2)
        variables = model.init(RNGS, X)
        return variables, model.apply(variables, X)

    assert_same(program)


def test_several_arguments():
    """Each argument has its axes, which may be those of a tree; keyword arguments have none."""

    def program(nn):
        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x, tree, shift):
                return {"y": nn.Dense(2)(x) + tree["a"], "b": tree["b"] + shift}

        axes = {"in_axes": (0, {"a": 1, "b": None}, None), "out_axes": {"y": 1, "b": 0}}
        model = nn.vmap(Layer, **PARAMS, **axes)()
        args = X, {"a": jnp.ones((2, 3)), "b": X}, 1.0
        return model.init_with_output(RNGS, *args)

    assert_same(program)


def test_keyword_arguments_are_not_passed_on():
    """They have no axes; that is said in a warning."""
    with pytest.warns(RuntimeWarning, match="has no axes for keyword arguments, so k is not"):
        nn.vmap(lambda module, x: x)(nn.Dense(1).bind({}), X, k=1)


def test_statistics():
    """Variables lie along their axes, or are shared where a collective makes them equal."""

    def program(nn):
        class Norm(nn.Module):
            axis_name: str | None = None

            @nn.compact
            def __call__(self, x):
                return nn.BatchNorm(use_running_average=False, axis_name=self.axis_name)(x)

        axes = {"variable_axes": {"params": 0, "batch_stats": 0}, "split_rngs": {"params": True}}
        each = nn.vmap(Norm, **axes)()
        x = jnp.stack([X, X + 1])
        variables = each.init(RNGS, x)
        shared = {"variable_axes": {"params": None, "batch_stats": 0}}
        pooled = nn.vmap(Norm, **shared, split_rngs={"params": False}, axis_name="i")("i")
        pooled_variables = pooled.init(RNGS, x)
        return (
            variables,
            each.apply(variables, x, mutable=["batch_stats"]),
            pooled_variables,
            pooled.apply(pooled_variables, x, mutable=["batch_stats"]),
        )

    assert_same(program)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_boxes_learn_of_the_axis(axis):
    """Metadata lose the axis on the way in and get it back on the way out."""

    def program(nn):
        init = nn.with_partitioning(nn.initializers.ones, ("in", "out"))
        model = nn.vmap(
            nn.Dense,
            variable_axes={"params": axis},
            split_rngs={"params": True},
            metadata_params={nn.PARTITION_NAME: "instances"},
        )(2, kernel_init=init, use_bias=False)
        variables = model.init(RNGS, X)
        return variables, model.apply(variables, X)

    assert_same(program)


def test_a_box_without_the_name_of_the_axis():
    """The error says what to pass."""
    init = nn.with_partitioning(nn.initializers.ones, ("in", "out"))
    with pytest.raises(errors.PartitioningUnspecifiedError):
        nn.vmap(nn.Dense, **PARAMS)(2, kernel_init=init).init(RNGS, X)


def test_variables_that_only_enter_or_only_leave():
    """`In` and `Out` restrict an axis to one direction."""

    def program(nn):
        if nn is FLAX:
            from flax.core.lift import In, Out
        else:
            from linnet.lift.axes import In, Out

        class Layer(nn.Module):
            @nn.compact
            def __call__(self, x):
                self.sow("intermediates", "x", x)
                return nn.Dense(2)(x)

        variables = nn.vmap(Layer, **EACH)().init(RNGS, X)
        axes = {"params": In(0), "intermediates": Out(1)}
        variables = {"params": variables["params"]}
        return nn.vmap(Layer, variable_axes=axes)().apply(variables, X, mutable=True)

    assert_same(program)


def test_gradients():
    """Gradients by mapped and shared parameters are those of Flax."""

    def program(nn):
        found = []
        for axis in (0, None):
            options = {"variable_axes": {"params": axis}, "split_rngs": {"params": axis == 0}}
            model = nn.vmap(nn.Dense, **options)(2)
            variables = model.init(RNGS, X)
            found.append(jax.grad(lambda v, m=model: (m.apply(v, X) ** 2).sum())(variables))
        return found

    assert_same(program)


def test_messages():
    """They name sizes by argument and variable, and say how to have more carried."""
    model = nn.vmap(nn.Dense, **PARAMS)(2)
    variables = model.init(RNGS, X)
    with pytest.raises(errors.AxisSizeError, match=r"5 in args\[0\]; 3 in /params/bias, /params/"):
        model.apply(variables, jnp.ones((5, 4)))
    with pytest.raises(errors.AxisSizeError, match=r"`axis_size=\.\.\.`"):
        nn.vmap(nn.Dense, in_axes=None, **PARAMS)(2).init(RNGS, X)
    with pytest.raises(ValueError, match=r"args\[0\] is to be mapped along axis 5"):
        nn.vmap(nn.Dense, in_axes=5, **PARAMS)(2).init(RNGS, X)

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.BatchNorm(use_running_average=False)(x)
            return nn.Dropout(0.5, deterministic=False)(x)

    with pytest.raises(errors.ScopeCollectionNotFound) as caught:
        nn.vmap(Layer, **PARAMS)().init(RNGS, X)
    notes = " ".join(caught.value.__notes__)
    assert "collections {'params'}" in notes
    assert "`variable_axes={'batch_stats': 0}`" in notes
    lifted = nn.vmap(Layer, {"params": 0, "batch_stats": 0})()
    with pytest.raises(errors.InvalidRngError) as missing:
        lifted.init(RNGS, X)
    assert "`split_rngs={'dropout': True}`" in " ".join(missing.value.__notes__)
    with pytest.raises(ValueError, match="kernel") as unshared:
        nn.vmap(nn.Dense, {"params": None}, {"params": True})(2).init(RNGS, X)
    assert "split_rngs={'params': False}" in " ".join(unshared.value.__notes__)
