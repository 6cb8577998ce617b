"""Data spread over eight devices, beside Flax's `jax_utils` and `common_utils`."""

import flax.jax_utils
import flax.training.common_utils
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.compare import assert_close
from linnet.training import replication as ours

THEIRS = flax.jax_utils
COMMON = flax.training.common_utils
TREE = {"a": 1.5, "b": np.arange(6.0, dtype=np.float32).reshape(2, 3), "key": jax.random.key(3)}
DEVICES = {"all": None, "two": jax.devices()[2:4]}


def described(tree):
    """Shapes, dtypes, shardings and values."""
    return jax.tree.map(
        lambda x: (
            (x.shape, x.dtype, str(x.sharding), np.asarray(jax.random.key_data(x)).tolist())
            if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
            else (x.shape, x.dtype, str(x.sharding), np.asarray(x).tolist())
        ),
        tree,
    )


@pytest.mark.parametrize("devices", DEVICES.values(), ids=DEVICES)
def test_replicate_as_flax(devices):
    """Copies lie where Flax puts them, and the first one comes back from one device."""
    mine, theirs = ours.replicate(TREE, devices), THEIRS.replicate(TREE, devices)
    assert described(mine) == described(theirs)
    assert described(ours.unreplicate(mine)) == described(THEIRS.unreplicate(theirs))


def test_replicate_to_one_device():
    """The value itself comes back from a single device too, where Flax leaves the axis on."""
    devices = jax.devices()[:1]
    mine, theirs = ours.replicate(TREE, devices), THEIRS.replicate(TREE, devices)
    assert described(mine) == described(theirs)
    back = ours.unreplicate(mine)
    assert_close(back["b"], TREE["b"])
    assert back["key"] == TREE["key"]
    assert THEIRS.unreplicate(theirs)["b"].shape == (1, 2, 3)


def test_replicate_names_its_axis():
    """The name of the mesh axis is ours to give."""
    sharding = ours.replicate(1.0, axis_name="batch").sharding
    assert sharding.mesh.axis_names == ("batch",)


@pytest.mark.parametrize("x", [np.arange(6).reshape(2, 3), [4, 5], jnp.arange(3)])
def test_unreplicate_takes_what_has_a_first_entry(x):
    """Numpy arrays and arrays on one device work too, and so do tracers."""
    assert_close(ours.unreplicate({"x": np.asarray(x)}), THEIRS.unreplicate({"x": np.asarray(x)}))
    assert_close(jax.jit(ours.unreplicate)(jnp.asarray(x)), jnp.asarray(x)[0])


def test_unreplicate_an_array_that_is_split_further():
    """Where one device holds a part only, the whole entry comes back."""
    mesh = jax.make_mesh((2, 4), ("a", "b"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    spec = jax.sharding.NamedSharding(mesh, jax.P("a", "b"))
    x = jax.device_put(jnp.arange(8).reshape(2, 4), spec)
    assert ours.unreplicate(x).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [1, 2, 9])
def test_prefetch_as_flax(size):
    """As many batches are drawn ahead, and placed, as by Flax, in the same order."""

    def events(module):
        seen = []

        def batches():
            for i in range(4):
                seen.append(f"drawn {i}")
                yield {"x": np.full((8, 2), i)}

        seen.extend(map(described, module.prefetch_to_device(batches(), size)))
        return seen

    assert events(ours) == events(THEIRS)


def test_prefetch_nothing_is_an_error():
    """A size of zero, with which Flax silently yields nothing, is refused."""
    with pytest.raises(ValueError, match=r"size=0 .* Write size=2"):
        ours.prefetch_to_device(iter([np.ones(8)]), 0)
    assert list(THEIRS.prefetch_to_device(iter([np.ones(8)]), 0)) == []


def doubled(params, x, *, y=None, note=None):
    """Returns what depends on every batch, and the shapes it saw."""
    return {"x": x * params, "shape": np.array([np.array(x.shape)] * 8)[:, None]} | (
        {} if y is None else {"y": y + 1}
    )


@pytest.mark.parametrize(
    ("options", "args", "kwargs"),
    [
        ({}, (2, np.arange(11.0)), {}),
        ({}, (2, np.arange(16.0).reshape(16, 1)), {}),
        ({}, (2, np.arange(11.0)), {"y": np.arange(11)}),
        ({}, (2, np.arange(11.0)), {"min_device_batch": 5}),
        ({"static_argnames": ("note",)}, (2, jnp.arange(3.0)), {"note": "text"}),
        ({"static_return": True}, (2, np.arange(11.0)), {}),
    ],
)
def test_pad_shard_unpad_as_flax(options, args, kwargs):
    """Batches are padded, split, joined and cut as by Flax."""
    mine, theirs = (
        module.pad_shard_unpad(doubled, **options)(*args, **kwargs) for module in (ours, THEIRS)
    )
    for name, value in theirs.items():
        assert type(mine[name]) is type(value)
        np.testing.assert_array_equal(mine[name], value)


def test_pad_shard_unpad_around_pmap():
    """A function over all devices takes a batch that does not divide."""
    forward = ours.pad_shard_unpad(jax.pmap(lambda params, x: params * x))
    x = np.arange(11.0, dtype=np.float32)
    assert_close(forward(ours.replicate(3.0), x), 3 * x)


@pytest.mark.parametrize("args", [(1,), (1, np.ones(3), np.ones(4)), (1, 2.0)])
def test_pad_shard_unpad_needs_one_batch_size(args):
    """Arguments without a common leading size are an error that shows their shapes."""
    with pytest.raises(ValueError, match="no common leading size"):
        ours.pad_shard_unpad(lambda *xs: xs[1])(*args)


@pytest.mark.parametrize(
    ("fn", "spec", "args", "kwargs"),
    [
        (lambda x, y: (x * 2, jnp.ones(3), y), [((2, 3), jnp.int32), (4,)], (), {}),
        (lambda x, k: {"x": x, "ones": jnp.ones(3) * k}, [(2, 3)], (), {"k": 2}),
        (lambda x, r: (jax.random.normal(r, (2,)), x.sum()), [(2,)], (jax.random.key(0),), {}),
        (lambda x: x, [()], (), {}),
    ],
)
def test_partial_eval_as_flax(fn, spec, args, kwargs):
    """What does not depend on the inputs has a value, the rest a shape and a dtype."""
    mine, theirs = (
        module.partial_eval_by_shape(fn, spec, *args, **kwargs) for module in (ours, THEIRS)
    )
    assert jax.tree.structure(mine) == jax.tree.structure(theirs)
    for one, other in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert isinstance(one, jax.Array) == isinstance(other, jax.Array)
        if isinstance(one, jax.Array):
            assert_close(one, other)


def test_pmean_says_what_to_write():
    """It works, with the deprecation that Flax gives."""
    with pytest.warns(DeprecationWarning, match=r"jax\.lax\.pmean"):
        mean = jax.vmap(lambda x: ours.pmean(x, "i"), axis_name="i")(jnp.arange(4.0))
    assert mean.tolist() == [1.5] * 4


@pytest.mark.parametrize(
    ("axis", "options"),
    [
        (1, {}),
        (-1, {}),
        ((0, 1), {}),
        ((2, 0), {"unroll": (1, 2)}),
        ((0, 2), {"unroll": 2, "keepdims": True}),
        ((2, 1), {"keepdims": True}),
    ],
)
def test_scan_in_dim_as_flax(axis, options):
    """Carries and outputs equal Flax's, whatever the axes and their order."""
    xs = {"x": jnp.arange(24.0).reshape(2, 3, 4)}

    def body(carry, xs):
        return carry * 0.5 + xs["x"].sum(), {"y": xs["x"] * 2 + carry}

    mine, theirs = (
        module.scan_in_dim(body, 1.0, xs, axis=axis, **options) for module in (ours, THEIRS)
    )
    assert_close(mine, theirs)


def test_shard_as_flax():
    """Arrays are split among the devices on the side they lie on."""
    batch = {"x": np.ones((16, 3)), "y": jnp.arange(8)}
    mine, theirs = ours.shard(batch), COMMON.shard(batch)
    assert_close(mine, theirs)
    assert [type(x) for x in jax.tree.leaves(mine)] == [type(x) for x in jax.tree.leaves(theirs)]


@pytest.mark.parametrize("x", [np.ones((6, 3)), np.ones(())])
def test_shard_what_does_not_divide(x):
    """A batch that does not divide is an error with its shape and the number of devices."""
    with pytest.raises(ValueError, match=r"shape \(.*\) among 8 local devices"):
        ours.shard(x)


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_shard_prng_key_as_flax(make):
    """Each device gets the key that Flax gives it."""
    mine, theirs = ours.shard_prng_key(make(7)), COMMON.shard_prng_key(make(7))
    assert mine.dtype == theirs.dtype
    assert bool((mine == theirs).all())


def test_stacked_metrics_as_flax():
    """Trees are stacked leaf by leaf, and metrics brought together over the steps."""
    forest = [{"a": i, "b": np.full(2, i)} for i in range(3)]
    assert_close(ours.stack_forest(forest), COMMON.stack_forest(forest))
    metrics = [ours.replicate({"loss": float(i)}) for i in range(3)]
    assert_close(ours.get_metrics(metrics), COMMON.get_metrics(metrics))


@pytest.mark.parametrize("labels", [np.array([0, 2]), jnp.array([[0, 2], [1, 5]]), jnp.array(1)])
@pytest.mark.parametrize("values", [(), (2, -1), (0.9, 0.1)])
def test_onehot_as_flax(labels, values):
    """One-hot vectors equal Flax's, also for labels out of range."""
    assert_close(ours.onehot(labels, 3, *values), COMMON.onehot(labels, 3, *values))
