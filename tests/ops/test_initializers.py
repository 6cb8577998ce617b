"""Initializers: JAX's values, as values that hash, compare and pickle."""

import copy
import gc
import pickle
import weakref

import flax.linen as fnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.compare import compare_arrays
from linnet import linen
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


ARRAYS = {
    "normal": [0.5, [0.1, 0.2, 0.3]],
    "uniform": [0.5, [0.1, 0.2, 0.3]],
    "truncated_normal": [0.5, [0.1, 0.2, 0.3]],
    "orthogonal": [2.0],
    "constant": [2.0, [1.0, 2.0, 3.0]],
}
NUMBERS = [(name, value) for name, values in ARRAYS.items() for value in values]


@pytest.mark.parametrize("kind", [np.array, np.float32, jnp.array])
@pytest.mark.parametrize(("name", "number"), NUMBERS)
def test_arrays_of_numbers(name, number, kind):
    """A scale, or one for each channel, may be an array: eagerly and in a trace."""
    ours, theirs = (getattr(m, name)(kind(number)) for m in (initializers, jax.nn.initializers))
    expected = theirs(KEY, (4, 3))
    for drawn in (ours(KEY, (4, 3)), jax.jit(lambda key: ours(key, (4, 3)))(KEY)):
        # compiled as a whole, XLA reorders the arithmetic
        compare_arrays(drawn, expected, tolerance=1e-6, floor=0.01)
    assert isinstance(repr(ours), str)
    assert hash(ours) == hash(getattr(initializers, name)(kind(number)))


@pytest.mark.parametrize("name", [*ARRAYS, "variance_scaling"])
def test_tracers_of_numbers(name):
    """A scale may be a tracer: it is differentiated and mapped over as on JAX's own."""
    rest = ("fan_in", "normal") if name == "variance_scaling" else ()

    def results(module):
        def drawn(scale):
            return getattr(module, name)(scale, *rest)(KEY, (4, 3))

        scales = jnp.array([0.5, 2.0])
        return jax.jit(drawn)(0.5), jax.vmap(drawn)(scales), jax.grad(lambda s: drawn(s).sum())(0.5)

    ours, theirs = results(initializers), results(jax.nn.initializers)
    for one, other in zip(ours, theirs, strict=True):
        compare_arrays(one, other, tolerance=1e-5, floor=0.01)


def test_numbers_compare_by_value_and_type():
    """Arrays of one number are that number; other numbers are other initializers."""
    assert initializers.normal(jnp.float32(0.5)) == initializers.normal(np.float32(0.5))
    assert initializers.normal(0.0) != initializers.normal(-0.0)
    assert initializers.normal(np.array([1.0, 2.0])) == initializers.normal(np.array([1.0, 2.0]))
    assert initializers.normal(np.array([1.0, 2.0])) != initializers.normal(np.array([1.0, 3.0]))
    assert initializers.normal(0.5) != initializers.uniform(0.5)
    assert pickle.loads(pickle.dumps(initializers.normal(jnp.float32(0.5)))).stddev == 0.5


def test_a_scale_in_single_precision_is_not_taken_for_one_in_double():
    """What is planned for a number is not used for an equal one of another type."""
    with jax.enable_x64(True):
        for scale in (2.0, np.float32(2.0), 2, 2.0):
            ours, theirs = (
                module.variance_scaling(scale, "fan_in", "uniform")(KEY, (3, 2), jnp.float64)
                for module in (initializers, jax.nn.initializers)
            )
            np.testing.assert_array_equal(ours, theirs)


def test_an_array_that_is_changed():
    """An initializer that holds an array of NumPy draws by what the array holds now."""
    scales = np.array([1.0, 1.0], np.float32)
    for make in (initializers.normal, initializers.constant):
        scales[:] = 1.0
        init = make(scales)
        before = np.asarray(init(KEY, (3, 2)))
        scales[1] = 0.0
        assert np.abs(before[:, 1]).min() > 0.0
        assert np.abs(np.asarray(init(KEY, (3, 2)))[:, 1]).max() == 0.0


@pytest.mark.parametrize("name", ["normal", "truncated_normal", "uniform"])
@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz"])
def test_narrow_dtypes(name, dtype):
    """Dtypes of eight bits, of which some have no infinity, are drawn as JAX draws them."""
    ours, theirs = (getattr(m, name)(1.0) for m in (initializers, jax.nn.initializers))
    drawn, expected = (
        np.asarray(init(KEY, (5,), jnp.dtype(dtype))).astype(np.float32) for init in (ours, theirs)
    )
    np.testing.assert_array_equal(drawn, expected)
    assert name == "truncated_normal" or np.isfinite(drawn).all()


@pytest.mark.parametrize("name", ["normal", "lecun_normal", "uniform"])
def test_values_lie_where_their_key_does(name):
    """A key that was put on a device has the value drawn there."""
    device = jax.devices()[3]
    key = jax.device_put(KEY, device)
    drawn = getattr(initializers, name)()(key, (4, 3))
    assert drawn.devices() == {device}
    assert getattr(jax.nn.initializers, name)()(key, (4, 3)).devices() == {device}


@pytest.mark.parametrize("name", ["normal", "zeros_init", "ones_init", "lecun_normal"])
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_values_lie_on_the_mesh(name, kind):
    """Under a mesh values are laid out over it, as JAX's own."""
    kinds = (getattr(jax.sharding.AxisType, kind),)
    with jax.set_mesh(jax.make_mesh((2,), ("x",), axis_types=kinds)):
        drawn, expected = (
            getattr(module, name)()(jax.random.key(3), (4, 2))
            for module in (initializers, fnn.initializers)
        )
    assert drawn.sharding == expected.sharding


def test_nothing_of_the_user_s_is_kept():
    """An initializer with arrays, and a function that closes over one, go when the user lets go."""
    held = []
    for number in range(3):
        array = jnp.full((4, 3), float(number))
        held.append(weakref.ref(array))
        for init in (initializers.constant(array), lambda key, shape, dtype, a=array: a):
            linen.DenseGeneral(3, kernel_init=init).init(KEY, jnp.ones((2, 4)))
        scales = jnp.ones(3)
        held.append(weakref.ref(scales))
        linen.Dense(3, kernel_init=initializers.normal(scales)).init(KEY, jnp.ones((2, 4)))
        del array, scales, init
    gc.collect()
    assert [ref() for ref in held] == [None] * len(held)
