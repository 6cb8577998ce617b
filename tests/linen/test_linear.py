"""Linear layers under Flax and under Linnet."""

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import linnet.linen as nn
from differential.compare import assert_close
from differential.functions import draw, flops
from differential.linen import RNGS, assert_same_layer, assert_same_variables, both
from linnet.state.partitioning import with_partitioning

CASES = [
    ("Dense", {"features": 5}, (2, 3)),
    ("Dense", {"features": 5, "use_bias": False, "precision": "high"}, (2, 4, 3)),
    ("Dense", {"features": 5, "dtype": jnp.bfloat16}, (2, 3)),
    ("Dense", {"features": 5, "param_dtype": jnp.bfloat16}, (2, 3)),
    ("DenseGeneral", {"features": (4, 5)}, (2, 3)),
    ("DenseGeneral", {"features": 5, "axis": (-1, 1)}, (2, 3, 4)),
    ("DenseGeneral", {"features": [5, 2], "axis": [2], "batch_dims": [0]}, (2, 3, 4)),
    ("DenseGeneral", {"features": 5, "dtype": jnp.bfloat16, "use_bias": False}, (2, 3)),
    ("Einsum", {"shape": [3, 4], "einsum_str": "abc, cd -> adb"}, (2, 5, 3)),
    ("Einsum", {"shape": (3, 4, 2), "einsum_str": "...c,cde->e...d"}, (2, 5, 3)),
    ("Einsum", {"shape": (3, 4), "einsum_str": "ab,bc->ac", "dtype": jnp.bfloat16}, (2, 3)),
    ("Conv", {"features": 4, "kernel_size": 3}, (2, 6, 3)),
    ("Conv", {"features": 4, "kernel_size": [3, 2], "strides": (2, 1)}, (2, 5, 6, 3)),
    ("Conv", {"features": 4, "kernel_size": (3,), "padding": "CIRCULAR"}, (6, 3)),
    ("Conv", {"features": 4, "kernel_size": (3,), "padding": "CAUSAL"}, (2, 2, 6, 3)),
    ("Conv", {"features": 6, "kernel_size": (3,), "feature_group_count": 3}, (2, 6, 3)),
    ("Conv", {"features": 4, "kernel_size": (3,), "dtype": jnp.bfloat16}, (2, 6, 3)),
    (
        "Conv",
        {
            "features": 2,
            "kernel_size": (3,),
            "mask": np.tri(9).reshape(3, 27)[:, :6].reshape(3, 3, 2),
        },
        (2, 6, 3),
    ),
    ("ConvLocal", {"features": 4, "kernel_size": 3, "strides": 2}, (2, 6, 3)),
    ("ConvLocal", {"features": 4, "kernel_size": (2, 2), "padding": "CIRCULAR"}, (1, 3, 4, 2)),
    ("ConvTranspose", {"features": 4, "kernel_size": (3,), "strides": (2,)}, (2, 6, 3)),
    ("ConvTranspose", {"features": 4, "kernel_size": 3, "padding": "CIRCULAR"}, (6, 3)),
    (
        "ConvTranspose",
        {"features": 4, "kernel_size": (2, 2), "transpose_kernel": True},
        (2, 4, 4, 3),
    ),
]


@pytest.mark.parametrize(("name", "config", "shape"), CASES)
def test_layers_agree(name, config, shape):
    """Variables from one seed, outputs and gradients are Flax's."""
    narrow = [config[key] for key in ("dtype", "param_dtype") if key in config]
    assert_same_layer(
        both(name, **config), draw(0, *shape), computed_in=narrow[0] if narrow else None
    )


@pytest.mark.parametrize("config", [{}, {"dtype": jnp.bfloat16}, {"num_embeddings": 1}])
def test_embed_agrees(config):
    """The table, the rows looked up and the scores of a query are Flax's."""
    layers = both("Embed", **{"num_embeddings": 5, "features": 3, **config})
    variables = assert_same_layer(
        layers, jnp.array([[0, 1], [4, -1]]), grad=False, computed_in=config.get("dtype")
    )
    query = draw(0, 2, 3)
    assert_close(
        *(layer.apply(variables, query, method="attend") for layer in layers),
        config.get("dtype"),
    )


@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_random_convolutions_agree(data):
    """Convolutions of random configuration have Flax's variables and outputs."""
    rank = data.draw(st.integers(1, 2), label="rank")
    per_axis = st.lists(st.integers(1, 3), min_size=rank, max_size=rank)
    config = {
        "features": data.draw(st.sampled_from([2, 4]), label="features"),
        "kernel_size": data.draw(per_axis, label="kernel_size"),
        "strides": data.draw(st.none() | st.integers(1, 2) | per_axis, label="strides"),
        "kernel_dilation": data.draw(st.integers(1, 2) | per_axis, label="dilation"),
        "padding": data.draw(
            st.sampled_from(["SAME", "VALID", "CIRCULAR", "REFLECT", 1]), label="padding"
        ),
        "feature_group_count": data.draw(st.sampled_from([1, 2]), label="groups"),
        "use_bias": data.draw(st.booleans(), label="use_bias"),
    }
    lead = data.draw(st.lists(st.integers(1, 2), max_size=2), label="lead")
    assert_same_layer(both("Conv", **config), draw(0, *lead, *[7] * rank, 2), grad=False)


def test_names_of_submodules():
    """Layers made in a compact method are named after their classes, as in Flax."""

    def model(nn):
        class Model(nn.Module):
            @nn.compact
            def __call__(self, x):
                x = nn.Conv(2, (3,))(x)
                x = nn.ConvLocal(2, (3,))(x)
                x = nn.ConvTranspose(2, (3,))(nn.Conv(2, (3,))(x))
                return nn.DenseGeneral((2, 2), axis=(1, 2))(nn.Dense(3)(x))

        return Model()

    x = draw(0, 2, 4, 3)
    assert_same_variables(model(nn).init(RNGS, x), model(fnn).init(RNGS, x))


def test_hooks_are_called_as_in_flax():
    """Custom dot_general, its class, and promotion get Flax's arguments."""
    seen = []

    def record(tag, function):
        def hook(*args, **kwargs):
            seen.append((tag, len(args), sorted(kwargs)))
            return function(*args, **kwargs)

        return hook

    x = draw(0, 2, 3)
    for nn_ in (nn, fnn):
        dot_general = record("dot_general", jax.lax.dot_general)
        promote = record("promote", nn_.dtypes.promote_dtype)
        variables = fnn.Dense(4).init(RNGS, x)
        nn_.Dense(4, dot_general=dot_general, promote_dtype=promote).apply(variables, x)
        nn_.Dense(4, dot_general_cls=lambda hook=dot_general: hook).apply(variables, x)
        variables = fnn.Embed(4, 3).init(RNGS, jnp.array([1]))
        nn_.Embed(4, 3, promote_dtype=promote).apply(variables, jnp.array([1]))
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_boxed_kernels_keep_their_names():
    """A kernel with partitioning metadata is shaped inside its box."""
    init = with_partitioning(nn.initializers.lecun_normal(), ("in", "heads", "depth"))
    theirs = fnn.with_partitioning(fnn.initializers.lecun_normal(), ("in", "heads", "depth"))
    x = draw(0, 2, 3)
    ours = nn.DenseGeneral((4, 5), kernel_init=init).init(RNGS, x)["params"]["kernel"]
    flax = fnn.DenseGeneral((4, 5), kernel_init=theirs).init(RNGS, x)["params"]["kernel"]
    assert ours.names == flax.names
    np.testing.assert_array_equal(ours.value, flax.value)


ERRORS = [
    (lambda nn: nn.Dense(3).init(RNGS, jnp.ones(())), ValueError, "scalar"),
    (lambda nn: nn.Dense(3, dtype=jnp.int32).init(RNGS, jnp.ones(2)), ValueError, "float"),
    (
        lambda nn: nn.DenseGeneral(3, batch_dims=(1,)).init(RNGS, jnp.ones((2, 3, 4))),
        ValueError,
        "leading axes",
    ),
    (lambda nn: nn.DenseGeneral(3, axis=5).init(RNGS, jnp.ones((2, 3))), ValueError, "Axis 5"),
    (lambda nn: nn.Einsum((3, 4)).init(RNGS, jnp.ones((2, 3))), ValueError, "einsum_str"),
    (
        lambda nn: nn.Einsum((3, 4), "ab,bc").init(RNGS, jnp.ones((2, 3))),
        ValueError,
        "output implicit",
    ),
    (lambda nn: nn.Embed(3, 4).init(RNGS, jnp.ones(2)), ValueError, "astype"),
    (
        lambda nn: nn.Conv(4, (3, 3), padding="CAUSAL").init(RNGS, jnp.ones((1, 4, 4, 1))),
        ValueError,
        "order of time",
    ),
    (
        lambda nn: nn.Conv(4, (3, 3), padding=((1, 1),)).init(RNGS, jnp.ones((1, 4, 4, 1))),
        ValueError,
        "2 spatial axes",
    ),
    (lambda nn: nn.Conv(4, (3, 3)).init(RNGS, jnp.ones((4, 1))), ValueError, "too few axes"),
    (
        lambda nn: nn.Conv(4, (3,), feature_group_count=2).init(RNGS, jnp.ones((1, 4, 3))),
        ValueError,
        "does not divide the 3 features",
    ),
    (
        lambda nn: nn.Conv(4, (3,), mask=jnp.ones((2, 2))).init(RNGS, jnp.ones((1, 4, 3))),
        ValueError,
        "broadcast_to",
    ),
    (
        lambda nn: nn.ConvLocal(4, (3,), feature_group_count=3).init(RNGS, jnp.ones((1, 4, 3))),
        NotImplementedError,
        "feature_group_count=1",
    ),
    (
        lambda nn: nn.ConvTranspose(4, (3,), padding="CAUSAL").init(RNGS, jnp.ones((1, 4, 3))),
        ValueError,
        "not defined for a transposed",
    ),
]


@pytest.mark.parametrize(("program", "error", "words"), ERRORS)
def test_errors_say_what_to_write(program, error, words):
    """A layer that does not fit its inputs says what was given and what would fit."""
    with pytest.raises(error, match=words):
        program(nn)


@pytest.mark.parametrize(("program", "error", "words"), ERRORS)
def test_flax_raises_too(program, error, words):
    """What we refuse Flax refuses, often by an assertion or an error from below."""
    with pytest.raises((error, AssertionError, IndexError, TypeError, RuntimeError)):
        program(fnn)


def test_flops_are_flax_s():
    """The cost of a model's forward pass is Flax's."""
    x = draw(0, 2, 6, 6, 3)
    layers = [("Conv", (4, (3, 3))), ("Dense", (5,)), ("DenseGeneral", ((2, 2),))]
    ours, theirs = (
        nn_.Sequential([getattr(nn_, name)(*args) for name, args in layers]) for nn_ in (nn, fnn)
    )
    variables = theirs.init(RNGS, x)
    assert flops(ours.apply, variables, x) == flops(theirs.apply, variables, x)
