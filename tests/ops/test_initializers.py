"""Initializers: JAX's values, as values that hash, compare and pickle."""

import copy
import pickle

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.compare import compare_arrays
from linnet.ops import drawing, initializers
from versions import DRAWN_ULP, NEWEST

KEY = jax.random.key(3)
NORMAL_ULP = 1 if DRAWN_ULP == 2 else DRAWN_ULP
FAMILIES = [
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones_init",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros_init",
]


def test_every_initializer_of_flax_is_here():
    """No exported name is missing."""
    theirs = {name for name in dir(fnn.initializers) if name.islower() and name[0] != "_"}
    assert theirs <= set(vars(initializers))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_values_are_flax_s_bit_for_bit(name, dtype):
    """The same key draws the same value, in a trace and outside."""
    shape = (3, 4, 5) if name == "delta_orthogonal" else (4, 6)
    ours = getattr(initializers, name)()
    # QR has no bfloat16
    shape_dtype = jnp.float32 if "orthogonal" in name else dtype
    theirs = getattr(fnn.initializers, name)()(KEY, shape, shape_dtype)
    drawn = ours(KEY, shape, shape_dtype)
    assert drawn.dtype == theirs.dtype
    # XLA reorders the factors of a normal draw within one compiled function
    compare_arrays(drawn, theirs, tolerance=0.0, ulp=NORMAL_ULP if name == "normal" else 0)
    traced = jax.jit(lambda key: ours(key, shape, shape_dtype))(KEY)
    np.testing.assert_array_almost_equal_nulp(
        np.asarray(traced, np.float32), np.asarray(theirs, np.float32), DRAWN_ULP
    )


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg", "fan_geo_avg"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
def test_variance_scaling_agrees(mode, distribution):
    """Every mode and distribution, with axes of every kind, draws JAX's values."""
    axes = {"in_axis": (0, -2), "out_axis": [-1], "batch_axis": 1}
    shape = (2, 3, 4, 5)
    ours = initializers.variance_scaling(1.7, mode, distribution, **axes)
    theirs = jax.nn.initializers.variance_scaling(1.7, mode, distribution, **axes)
    ulp = 2 if distribution == "normal" else 0
    compare_arrays(ours(KEY, shape), theirs(KEY, shape), tolerance=0.0, ulp=ulp)


@pytest.mark.parametrize("bounds", [(-2.0, 2.0), (-1.0, 3.0)])
def test_bounds_of_the_truncated_normal(bounds):
    """Other bounds than the default are JAX's too."""
    settings = {"stddev": 0.5, "lower": bounds[0], "upper": bounds[1]}
    np.testing.assert_array_equal(
        initializers.truncated_normal(**settings)(KEY, (5, 7)),
        jax.nn.initializers.truncated_normal(**settings)(KEY, (5, 7)),
    )


@pytest.mark.parametrize("name", ["lecun_normal", "normal"])
def test_complex_values_agree(name):
    """Complex parameters are drawn as JAX draws them."""
    np.testing.assert_allclose(
        getattr(initializers, name)()(KEY, (4, 6), jnp.complex64),
        getattr(jax.nn.initializers, name)()(KEY, (4, 6), jnp.complex64),
        rtol=1e-6,
    )


@pytest.mark.parametrize("impl", ["rbg", "threefry2x32"])
def test_other_kinds_of_key(impl):
    """Raw keys, and keys of another generator, draw JAX's values."""
    key = jax.random.key(0, impl=impl)
    for one in (key, jax.random.PRNGKey(5)):
        np.testing.assert_array_equal(
            initializers.lecun_normal()(one, (4, 6)),
            jax.nn.initializers.lecun_normal()(one, (4, 6)),
        )


@pytest.mark.parametrize("name", FAMILIES)
def test_initializers_are_values(name):
    """Two of one configuration are equal, hash alike, and survive copy and pickle."""
    one, other = getattr(initializers, name)(), getattr(initializers, name)()
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one) == one
    assert one != initializers.constant(7.0)


def test_reprs_are_calls():
    """An initializer prints as the call that makes it."""
    assert repr(initializers.he_normal(in_axis=(0, 1))) == "he_normal(in_axis=(0, 1))"
    assert repr(initializers.zeros) == "zeros"
    assert repr(initializers.zeros_init()) == "zeros"
    assert repr(initializers.constant(2.5)) == "constant(2.5)"
    scaled = initializers.variance_scaling(0.5, "fan_in", "normal")
    assert repr(scaled) == ("variance_scaling(scale=0.5, mode='fan_in', distribution='normal')")


def test_zeros_and_ones_are_called_directly():
    """They are initializers, and make them as well."""
    np.testing.assert_array_equal(initializers.zeros(KEY, (2, 3)), jnp.zeros((2, 3)))
    np.testing.assert_array_equal(initializers.ones(None, (2,), jnp.int32), jnp.ones(2, jnp.int32))
    assert initializers.ones(KEY, (2,), jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.parametrize("value", [3, 2.5, np.arange(3.0), [1.0, 2.0, 3.0], jnp.arange(3)])
def test_constants_agree(value):
    """Scalars and arrays fill a shape as in JAX, traced or not."""
    ours = initializers.constant(value)
    theirs = jax.nn.initializers.constant(np.asarray(value))(KEY, (2, 3), jnp.float32)
    np.testing.assert_array_equal(ours(KEY, (2, 3), jnp.float32), theirs)
    np.testing.assert_array_equal(jax.jit(lambda key: ours(key, (2, 3), jnp.float32))(KEY), theirs)


def test_constants_of_arrays_are_values():
    """Arrays compare by content."""
    one, other = initializers.constant(np.arange(3)), initializers.constant(np.arange(3))
    assert one == other
    assert hash(one) == hash(other)
    assert one != initializers.constant(np.arange(4))


def test_dtype_of_the_factory():
    """The dtype of the initializer holds where the call names none."""
    drawn = initializers.normal(dtype=jnp.float16)
    assert drawn(KEY, (2,)).dtype == jnp.float16
    assert drawn(KEY, (2,), jnp.float32).dtype == jnp.float32


@pytest.mark.parametrize(
    ("shape", "axis", "features", "batch_dims"),
    [((2, 3, 4), (1, 2), (5, 6), ()), ((2, 3, 4), (2,), (5, 2), (0,))],
)
def test_flattened_kernels_are_flax_s(shape, axis, features, batch_dims):
    """A kernel of many axes is drawn as the matrix that Flax draws."""
    layer = fnn.DenseGeneral(features, axis=axis, batch_dims=batch_dims)
    theirs = layer.init(KEY, jnp.ones(shape))["params"]["kernel"]
    seen = []

    def spy(key, flat, dtype):
        seen.append((key, flat))
        return jax.nn.initializers.lecun_normal()(key, flat, dtype)

    layer.clone(kernel_init=spy).init(KEY, jnp.ones(shape))
    key, flat = seen[0]
    flattened = drawing.Flattened(initializers.lecun_normal(), theirs.ndim - len(features))
    np.testing.assert_array_equal(flattened(key, theirs.shape), theirs)
    ours = drawing.Flattened(spy, theirs.ndim - len(features))
    np.testing.assert_array_equal(ours(key, theirs.shape), theirs)
    assert seen[-1][1] == flat


def test_kernels_of_many_sizes_share_a_compilation(monkeypatch):
    """Outside a trace, normal kernels of any moderate size are drawn by one compiled function."""
    # the first draws of a process; small ones that are many have another
    monkeypatch.setattr(drawing, "_small_draws", dict.fromkeys(drawing._SMALL_SIZES, 0))
    drawing._sample.compiled.clear_cache()
    for shape in ((11, 26), (26, 11), (2, 13, 11), (100, 20)):
        initializers.lecun_normal()(KEY, shape)
        initializers.he_normal()(KEY, shape)
        initializers.normal()(KEY, shape)
    assert drawing._sample.compiled._cache_size() == 1


@pytest.mark.parametrize("shape", [(3, 5), (128, 128), (130, 128), (600, 500)])
@pytest.mark.parametrize("name", ["normal", "lecun_normal", "glorot_uniform"])
def test_sizes_on_either_side_of_those_that_are_shared(name, shape):
    """The numbers are JAX's whether drawn alone, among more, or inside a trace."""
    ours, theirs = (getattr(m, name)() for m in (initializers, jax.nn.initializers))
    expected = np.asarray(theirs(KEY, shape))
    np.testing.assert_array_max_ulp(np.asarray(ours(KEY, shape)), expected, maxulp=DRAWN_ULP)
    traced = jax.jit(lambda key: ours(key, shape))(KEY)
    np.testing.assert_array_max_ulp(np.asarray(traced), expected, maxulp=DRAWN_ULP)


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (2, 0, 4), (0, 0)])
@pytest.mark.parametrize("name", ["lecun_normal", "glorot_uniform", "he_normal"])
def test_a_kernel_without_elements(name, shape):
    """It is empty, eagerly and in a trace; JAX before 0.12 divides by its fan, which is zero."""
    ours = getattr(initializers, name)()
    for drawn in (ours(KEY, shape), jax.jit(lambda key: ours(key, shape))(KEY)):
        assert (drawn.shape, drawn.dtype) == (shape, jnp.float32)
    if NEWEST:
        assert getattr(fnn.initializers, name)()(KEY, shape).shape == shape


def test_too_few_axes():
    """A vector has no fans, and JAX says so."""
    with pytest.raises(ValueError, match="axis"):
        initializers.lecun_normal()(KEY, (3,))


@pytest.mark.parametrize("uniform", [False, True])
def test_shared_draws_do_not_depend_on_their_size(uniform):
    """The numbers drawn are the same, to the last bit, by the program of every shared size."""
    key = jax.random.key(3)
    low, high = (-1.0, 1.0) if uniform else (-2.0, 2.0)
    drawn = [
        np.asarray(
            drawing._sample(
                key, 1.5, 0.3, low, high, uniform=uniform, shape=(size,), dtype=jnp.dtype("float32")
            )
        )
        for size in (*drawing._SMALL_SIZES, *drawing._SHARED_SIZES)
    ]
    for more in drawn[1:]:
        np.testing.assert_array_equal(more[: drawn[0].size], drawn[0])


def test_small_draws_get_a_program_of_their_own_when_they_are_many(monkeypatch):
    """The first draws share the program of larger ones; the values stay what they were."""
    monkeypatch.setattr(drawing, "_small_draws", dict.fromkeys(drawing._SMALL_SIZES, 0))
    monkeypatch.setattr(drawing, "_OFTEN", 2)
    init = initializers.lecun_normal()
    sizes = []
    original = drawing._shared_size
    monkeypatch.setattr(drawing, "_shared_size", lambda n: sizes.append(original(n)) or sizes[-1])
    values = [np.asarray(init(jax.random.key(0), (4, 8))) for _ in range(4)]
    assert sizes == [1 << 14, 1 << 14, 1 << 10, 1 << 10]
    for value in values[1:]:
        np.testing.assert_array_equal(value, values[0])


@pytest.mark.parametrize("name", ["zeros", "ones", "normal"])
def test_a_number_is_the_shape_of_a_vector(name):
    """As in JAX, a length stands for the shape of a vector."""
    theirs, ours = getattr(fnn.initializers, name), getattr(initializers, name)
    if name == "normal":
        theirs, ours = theirs(), ours()
    key = jax.random.key(0)
    np.testing.assert_array_equal(ours(key, 3), theirs(key, 3))
