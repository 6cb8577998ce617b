"""Configuration, inputs and parameters of kinds that a compiled program cannot be shared by."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from differential import linen, nnx
from differential.compare import Raised, compare
from differential.layers import CASES, X
from differential.programs import outcome
from linnet import linen as nn, nnx as lnnx

NORMS = [case for case in CASES if case.name.endswith("Norm")]


@pytest.mark.parametrize("case", NORMS, ids=str)
@pytest.mark.parametrize("name", ["epsilon", "momentum"])
def test_traced_settings_of_norms(case, name):
    """An epsilon or a momentum may be a tracer, and is differentiated."""
    if name == "momentum" and case.name != "BatchNorm":
        pytest.skip("only running statistics have a momentum")

    def program(library):
        def loss(number):
            _, outputs, after = case.run(library, **{name: number})
            moved = [after[key] for key in ("mean", "var") if key in after]
            return sum(
                jnp.sum(x**2) for x in [outputs, *jax.tree.leaves(after.get("batch_stats", moved))]
            )

        return jax.jit(jax.value_and_grad(loss))(0.3)

    theirs, ours = map(program, case.libraries)
    compare(ours, theirs, tolerance=1e-4)


def test_running_statistics_are_constants():
    """No gradient flows through new running statistics of NNX, to the inputs or to the old ones."""

    def program(library):
        def loss(mean, x):
            layer = library.BatchNorm(4, rngs=library.Rngs(0))
            layer.mean.set_value(mean)
            layer(x)
            return layer.mean[...].sum() + layer.var[...].sum()

        return jax.grad(loss, (0, 1))(jnp.ones(4), jnp.asarray(X))

    nnx.assert_same(program)


@pytest.mark.parametrize("fast", [True, False])
def test_linen_and_nnx_agree_with_a_hook(fast):
    """A ``promote_dtype`` that changes nothing makes an NNX layer the Linen one, to the bit."""
    mask = np.array([1, 0, 1, 0], bool)
    settings = {"num_groups": 2, "dtype": jnp.float16, "use_fast_variance": fast}
    layer = nn.GroupNorm(**settings)
    expected = layer.apply(layer.init(jax.random.key(0), X), X, mask=mask)
    hooked = lnnx.GroupNorm(
        4, promote_dtype=lambda arrays, **how: arrays, rngs=lnnx.Rngs(0), **settings
    )
    np.testing.assert_array_equal(hooked(jnp.asarray(X), mask=mask), expected)


class Box:
    """What a program of quantisation puts in the place of a parameter."""

    def __init__(self, value):
        self.value = value

    def __getitem__(self, index):
        return self.value[index]


STAND_INS = {
    "array": lambda nnx, value: nnx.data(value),
    "numpy": lambda nnx, value: nnx.data(np.asarray(value)),
    "box": lambda nnx, value: nnx.static(Box(value)),
}
READ = [case for case in CASES if case.system == "nnx" and case.name != "Dropout"]


@pytest.mark.filterwarnings("ignore::linnet.base.errors.VariableReplacedWarning")
@pytest.mark.parametrize("stand_in", STAND_INS)
@pytest.mark.parametrize("case", READ, ids=str)
def test_what_stands_in_the_place_of_a_variable(case, stand_in):
    """A layer reads what stands in the place of its parameters as it reads a variable."""

    def program(library):
        streams = {"rngs": library.Rngs(0)} if case.streams else {}
        layer = getattr(library, case.name)(**case.given, **streams)
        replaced = 0
        for name, value in list(vars(layer).items()):
            if isinstance(value, library.Param):
                setattr(layer, name, STAND_INS[stand_in](library, 2 * value[...]))
                replaced += 1
        return layer(*case.inputs), replaced

    theirs, ours = (outcome(program, library) for library in case.libraries)
    if isinstance(theirs, Raised):  # as the normalisations of Flax do, which ask for its truth
        theirs = case.run(case.libraries[0])[1]
        ours = ours[0] / 2
    compare(ours, theirs, tolerance=1e-5)


def test_a_method_called_on_another_object():
    """The call of a layer is a function of any object that has its attributes."""

    def program(library):
        other = types.SimpleNamespace(
            kernel=Box(jnp.ones((4, 3))),
            bias=None,
            use_bias=False,
            dtype=None,
            precision=None,
            preferred_element_type=None,
            dot_general=jax.lax.dot_general,
            dot_general_cls=None,
            promote_dtype=lambda args, dtype=None: args,
        )
        return library.Linear.__call__(other, jnp.asarray(X))

    nnx.assert_same(program)


@pytest.mark.parametrize("shape", [2, np.int64(2), [2], (2,)])
def test_a_number_for_the_shape_of_a_bias(shape):
    """An integer is the shape of a vector, in every layer that asks for a shape."""
    nnx.assert_same(
        lambda nnx: nnx.Einsum("abi,io->abo", (4, 2), shape, rngs=nnx.Rngs(0))(jnp.asarray(X))
    )


# in double precision where that is enabled
DOUBLE = X.astype(np.float64)


def decoded_by_linen(library):
    """Decode two tokens."""
    layer = library.MultiHeadDotProductAttention(num_heads=2, qkv_features=4, decode=True)
    variables = layer.init(jax.random.key(0), jnp.asarray(DOUBLE))
    outputs = []
    for place in range(2):
        token = jnp.asarray(DOUBLE[:, place : place + 1])
        y, cache = layer.apply(variables, token, mutable=["cache"])
        variables = {**variables, **cache}
        outputs.append(y)
    return outputs, variables


def decoded_by_nnx(library):
    """Decode two tokens."""
    layer = library.MultiHeadAttention(2, 4, decode=True, rngs=library.Rngs(0))
    layer.init_cache((2, 3, 4), dtype=jnp.asarray(DOUBLE).dtype)
    outputs = [layer(jnp.asarray(DOUBLE[:, place : place + 1])) for place in range(2)]
    return outputs, [layer.cache_index[...], layer.cached_key[...]]


@pytest.mark.parametrize("exact", [True, False])
def test_decoding_in_double_precision(exact):
    """Decoding with a cache does the same as on Flax, with and without 64 bits."""
    with jax.enable_x64(exact):
        linen.assert_same(decoded_by_linen)
        nnx.assert_same(decoded_by_nnx)


def test_attention_in_float16_when_compiled():
    """On a CPU attention in float16 works in a compiled function too, where Flax's fails."""
    query = jnp.asarray(X, jnp.float16).reshape(2, 3, 2, 2)
    eager = lnnx.dot_product_attention(query, query, query)
    compiled = jax.jit(lnnx.dot_product_attention)(query, query, query)
    exact = lnnx.dot_product_attention(*(query.astype(jnp.float32),) * 3)
    assert eager.dtype == compiled.dtype == jnp.float16
    np.testing.assert_array_equal(eager, compiled)
    np.testing.assert_allclose(eager.astype(jnp.float32), exact, atol=2e-3)


@pytest.mark.parametrize("broadcast_dims", [(), (0,), (1,)])
def test_dropout_of_inputs_on_an_explicit_mesh(broadcast_dims):
    """The result lies as the inputs do, and the mask is the one that is drawn without a mesh."""
    whole = jnp.ones((4, 8))
    mesh = jax.make_mesh((2,), ("x",), axis_types=(AxisType.Explicit,))

    def dropped(library, x):
        layer = library.Dropout(0.5, broadcast_dims=broadcast_dims, rngs=library.Rngs(0))
        return layer(x)

    expected = [dropped(library, whole) for library in nnx.LIBRARIES]
    with jax.set_mesh(mesh):
        x = jax.sharding.reshard(whole, PartitionSpec("x", None))
        theirs, ours = (
            outcome(lambda library: dropped(library, x), library) for library in nnx.LIBRARIES
        )
        by_linen = nn.Dropout(0.5, deterministic=False).apply(
            {}, x, rngs={"dropout": jax.random.key(0)}
        )
    assert jax.typeof(ours) == jax.typeof(by_linen) == jax.typeof(x)
    np.testing.assert_array_equal(*expected)
    np.testing.assert_array_equal(ours, expected[1])
    assert isinstance(theirs, Raised) or jax.typeof(theirs) == jax.typeof(ours)


@pytest.mark.parametrize("padding", [2, [1, (2, 3)], "SAME", [(0, 1), (1, 0)]])
def test_padding_is_a_list_of_pairs(padding):
    """The public function gives what Flax's gives, a list."""
    linen.assert_same(lambda nn: nn.linear.canonicalize_padding(padding, 2))


MISTAKES = {
    "an empty kernel": (
        lambda: nn.Conv(4, (0,)).init(jax.random.key(0), X),
        ValueError,
        r"kernel_size=\(0,\)",
    ),
    "an empty kernel in NNX": (
        lambda: lnnx.Conv(4, 4, (0,), rngs=lnnx.Rngs(0))(X),
        ValueError,
        r"kernel_size=\(0,\)",
    ),
    "no heads": (
        lambda: nn.SelfAttention(0).init(jax.random.key(0), X),
        ValueError,
        "num_heads=0",
    ),
    "no heads in NNX": (
        lambda: lnnx.MultiHeadAttention(0, 4, rngs=lnnx.Rngs(0)),
        ValueError,
        "num_heads=0",
    ),
    "no inputs": (
        lambda: lnnx.Linear(2, 3, rngs=lnnx.Rngs(0))(None),
        TypeError,
        "Linear was called on None",
    ),
    "no inputs in Linen": (
        lambda: nn.LayerNorm().init(jax.random.key(0), None),
        TypeError,
        "LayerNorm was called on None",
    ),
}


@pytest.mark.parametrize(("program", "kind", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told(program, kind, words):
    """A mistake is an error that says what was done."""
    with pytest.raises(kind, match=words):
        program()
