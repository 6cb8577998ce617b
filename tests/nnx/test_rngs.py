"""Streams of random keys: bit for bit those of Flax, and errors that say what to write."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from differential.nnx import assert_same
from linnet import nnx
from linnet.base import errors
from linnet.ops.initializers import lecun_normal, zeros

KEY = jax.random.key(7)


def shown(rngs):
    """Return key, count and tag of each stream, of one or several."""
    streams = dict(rngs.items()) if hasattr(rngs, "items") else {"": rngs}
    return {
        name: (
            jnp.asarray(jax.random.key_data(stream.key.get_value())),
            stream.count.get_value(),
            stream.tag,
            stream.key.tag,
            stream.count.tag,
        )
        for name, stream in streams.items()
    }


SEEDS = {
    "integer": lambda nnx: nnx.Rngs(0),
    "named": lambda nnx: nnx.Rngs(0, params=1, dropout=KEY),
    "no default": lambda nnx: nnx.Rngs(params=1),
    "none": lambda nnx: nnx.Rngs(),
    "mapping": lambda nnx: nnx.Rngs({"params": 1, "default": 0, "b": 2}, c=3),
    "old key": lambda nnx: nnx.Rngs(jax.random.PRNGKey(4)),
    "negative": lambda nnx: nnx.Rngs(-1),
    "large": lambda nnx: nnx.Rngs(2**40 + 5),
    "bool": lambda nnx: nnx.Rngs(True),
    "keys": lambda nnx: nnx.Rngs(jax.random.split(KEY, 3)),
    "rbg": lambda nnx: nnx.Rngs(jax.random.key(0, impl="rbg")),
    "stream": lambda nnx: nnx.Rngs(nnx.RngStream(3, tag="a")),
    "named stream": lambda nnx: nnx.Rngs(params=nnx.RngStream(3, tag="a")),
}


@pytest.mark.parametrize("make", SEEDS.values(), ids=SEEDS)
def test_what_streams_are_made_of(make):
    """Seeds, keys, streams and mappings make the keys, counts and tags that they make in Flax."""
    assert_same(lambda nnx: shown(make(nnx)))


@pytest.mark.parametrize("seed", ["a", 3.0, jnp.float32(3), jnp.arange(3), "rngs"], ids=repr)
def test_what_is_no_seed(seed):
    """What is neither a seed nor a key is refused, with the value."""
    assert_same(lambda nnx: nnx.Rngs(nnx.Rngs(0) if seed == "rngs" else seed))
    with pytest.raises(errors.InvalidSeedError, match=r"nnx.Rngs\(jax.random.key\(0\)\)"):
        nnx.Rngs(nnx.Rngs(0) if seed == "rngs" else seed)


@pytest.mark.parametrize("seed", [np.int64(3), jnp.int32(3), jnp.uint32(3)], ids=repr)
def test_seeds_that_are_arrays(seed):
    """An integer of numpy or JAX is a seed like any other, which it is not in Flax."""
    assert jax.random.key_data(nnx.Rngs(seed)()).tolist() == (
        jax.random.key_data(nnx.Rngs(3)()).tolist()
    )


def drawing(nnx):
    """Draw keys in all the ways, and show where that leaves the counts."""
    rngs = nnx.Rngs(0, params=1)
    drawn = [rngs(), rngs.params(), rngs["params"](), rngs.dropout(), rngs["noise"](), rngs()]
    return drawn, shown(rngs), list(rngs), len(rngs), "params" in rngs, "dropout" in rngs


def test_keys_are_drawn_bit_for_bit():
    """Each access draws the key that Flax draws, and a missing name draws from the default."""
    assert_same(drawing)


def test_keys_are_drawn_bit_for_bit_in_a_trace():
    """In a trace, with streams that came in as arguments, the keys and counts are the same."""

    def program(nnx):
        graphdef, state = nnx.split(nnx.Rngs(0, params=1))

        @jax.jit
        def step(state):
            rngs = nnx.merge(graphdef, state)
            keys = rngs(), rngs.params(), rngs.params()
            return [jax.random.key_data(key) for key in keys], nnx.state(rngs)

        first, state = step(state)
        second, state = step(state)
        return first, second, shown(nnx.merge(graphdef, state))

    assert_same(program)


DERIVED = {
    "fork": lambda rngs: rngs.fork(),
    "split": lambda rngs: rngs.split(3),
    "split by name": lambda rngs: rngs.split({"params": 3}),
    "split by filters": lambda rngs: rngs.split({"params": 3, ...: (2, 1)}),
    "split by nothing that is there": lambda rngs: rngs.split({"noise": 3}),
    "broadcast": lambda rngs: rngs.broadcast(2),
    "broadcast by name": lambda rngs: rngs.broadcast({"params": (2, 2)}),
    "broadcast none": lambda rngs: rngs.broadcast(None),
    "fork a stream": lambda rngs: rngs.params.fork(),
    "split a stream": lambda rngs: rngs.params.split((2, 3)),
    "broadcast a stream": lambda rngs: rngs.params.broadcast(2),
    "split of a fork": lambda rngs: rngs.fork().split(2),
}


@pytest.mark.parametrize("derive", DERIVED.values(), ids=DERIVED)
def test_streams_out_of_streams(derive):
    """Forks, splits and broadcasts have Flax's keys, and leave Flax's counts behind."""

    def program(nnx):
        rngs = nnx.Rngs(0, params=1)
        rngs.params()
        return shown(derive(rngs)), shown(rngs)

    assert_same(program)


def test_fork_with_split_is_an_old_form():
    """``fork(split=n)`` still works, and says what to write."""

    def program(nnx):
        with pytest.warns(DeprecationWarning, match="split"):
            one = nnx.Rngs(0, params=1).fork(split=2)
        with pytest.warns(DeprecationWarning, match="split"):
            other = nnx.Rngs(0, params=1).fork(split={"params": 3})
        with pytest.warns(DeprecationWarning, match="split"):
            stream = nnx.RngStream(0, tag="a").fork(split=2)
        return shown(one), shown(other), shown(stream)

    assert_same(program)


METHODS = {
    "normal": lambda r: r.normal((2, 3)),
    "uniform": lambda r: r.uniform((2,), minval=1.0, maxval=2.0),
    "bernoulli": lambda r: r.bernoulli(0.3, (8,)),
    "randint": lambda r: r.randint((4,), 0, 10),
    "permutation": lambda r: r.permutation(6),
    "choice": lambda r: r.choice(5, (3,)),
    "categorical": lambda r: r.categorical(jnp.zeros(4), shape=(3,)),
    "bits": lambda r: r.bits((3,)),
    "truncated_normal": lambda r: r.truncated_normal(-1.0, 1.0, (3,)),
    "orthogonal": lambda r: r.orthogonal(3),
    "lecun_normal": lambda r: r.lecun_normal()((3, 4)),
    "variance_scaling": lambda r: r.variance_scaling(2.0, "fan_avg", "uniform")((3, 4)),
    "he_uniform": lambda r: r.he_uniform(in_axis=0, out_axis=1)((3, 4), jnp.float32),
    "glorot_normal": lambda r: r.glorot_normal()((3, 4), jnp.bfloat16),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_drawing_numbers(method):
    """The distributions and initializers are methods of streams, with the next key of theirs."""

    def program(nnx):
        rngs = nnx.Rngs(0, params=1)
        return method(rngs), method(rngs.params), method(rngs), shown(rngs)

    assert_same(program, drawn=True)


def test_every_method_of_flax_is_there():
    """Every distribution and initializer of Flax's streams is a method of ours."""

    def names(nnx):
        kinds = nnx.Rngs, nnx.RngStream
        return [[name for name in sorted(dir(kind)) if not name.startswith("_")] for kind in kinds]

    import flax.nnx

    for theirs, ours in zip(names(flax.nnx), names(nnx), strict=True):
        assert set(theirs) <= set(ours)


def test_streams_are_pickled_and_copied():
    """Streams come back from pickle and deepcopy at the same point."""

    def program(nnx):
        rngs = nnx.Rngs(0, params=1)
        rngs.params()
        again, copied = pickle.loads(pickle.dumps(rngs)), copy.deepcopy(rngs)
        # a copy lists its streams in another order in Flax
        return shown(again), sorted(shown(copied).items()), again.params(), rngs.params()

    assert_same(program)


def test_kinds_of_stream_variables():
    """Keys and counts are found by their type, and by the tag of their stream."""

    def program(nnx):
        rngs = nnx.Rngs(0, params=1)
        kinds = nnx.RngState, nnx.RngKey, nnx.RngCount, "params"
        return [
            sorted("/".join(path) for path, _ in nnx.to_flat_state(nnx.state(rngs, kind)))
            for kind in kinds
        ]

    assert_same(program)


def test_count_is_read_as_an_array():
    """Who reads a count gets an array of JAX, whatever it is stored as; an int may be written."""
    rngs = nnx.Rngs(0)
    rngs()
    assert isinstance(rngs.default.count._raw_value, np.ndarray)
    assert isinstance(rngs.default.count[...], jax.Array)
    assert isinstance(rngs.default.count.get_raw_value(), jax.Array)
    rngs.default.count[...] = 5
    assert rngs.default.count[...].dtype == jnp.uint32
    assert_same(lambda nnx: shown(nnx.Rngs(0)))


def test_a_late_draw_is_the_same_draw():
    """A key drawn inside the initializer is the key that would have been drawn before."""
    now, late = nnx.Rngs(0), nnx.Rngs(0)
    kernel = lecun_normal()(now(), (3, 4))
    np.testing.assert_array_equal(lecun_normal()(late.default.draw_later(), (3, 4)), kernel)
    assert zeros(late.default.draw_later(), (2,)).shape == (2,)
    assert int(late.default.count[...]) == 2


def test_unknown_stream():
    """A stream that is not there, with no default to stand for it, names the near one."""
    for access in (lambda r: r.dropuot, lambda r: r["dropuot"], lambda r: r()):
        assert_same(lambda nnx, access=access: access(nnx.Rngs(dropout=0)))
    with pytest.raises(AttributeError, match=r"has 'dropout'.*Did you mean 'dropout'\?"):
        _ = nnx.Rngs(dropout=0).dropuot
    with pytest.raises(KeyError, match=r"nnx.Rngs\(params=0\)"):
        _ = nnx.Rngs()["params"]


def test_one_key_of_many():
    """A stream of stacked keys cannot draw one, and says what is done with many."""
    split = nnx.Rngs(0).split(3)
    assert_same(lambda nnx: nnx.Rngs(0).split(3)())
    with pytest.raises(errors.StackedKeysError, match=r"keys of shape \(3,\).*nnx.vmap"):
        split()


def test_drawing_from_streams_of_another_level():
    """A transformation that was not given the streams cannot draw from them."""
    rngs = nnx.Rngs(0)
    with pytest.raises(errors.TraceContextError, match="RngCount"):
        jax.jit(lambda x: x + rngs.normal())(1.0)
    assert int(rngs.default.count[...]) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda rngs: None,
        lambda rngs: rngs(),
        lambda rngs: rngs.default.count.set_value(5),
        lambda rngs: nnx.restore_rngs(nnx.split_rngs(rngs, splits=2)),
        lambda rngs: nnx.reseed(rngs, default=1),
    ],
    ids=["made", "drawn from", "set", "split and restored", "reseeded"],
)
def test_the_count_is_an_array(change):
    """Checkpoints of other libraries take arrays, of a device or of numpy, and no scalars."""
    rngs = nnx.Rngs(0)
    change(rngs)
    leaves = jax.tree.leaves(nnx.state(rngs))
    assert len(leaves) == 2
    assert all(isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves)
