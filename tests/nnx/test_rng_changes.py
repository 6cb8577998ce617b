"""Splitting, forking, restoring and reseeding the streams of a model, bit for bit as Flax."""

import jax
import jax.numpy as jnp
import pytest

from differential.nnx import assert_same
from linnet import nnx
from linnet.base import errors
from linnet.nnx.random.splitting import backup_keys


def model(nnx):
    """Make a model with a stream of its own beside those that it was given."""

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(2, 2, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=rngs)
            self.rngs = rngs

    return Model(nnx.Rngs(0, params=1, dropout=2))


def shown(model):
    """Return keys and counts of all streams of the model."""
    streams = {"own": model.dropout.rngs, **dict(sorted(model.rngs.items()))}
    return {
        name: (jax.random.key_data(stream.key.get_value()), stream.count.get_value())
        for name, stream in streams.items()
    }


CHANGES = {
    "split": lambda nnx, m: nnx.split_rngs(m, splits=3),
    "split only one": lambda nnx, m: nnx.split_rngs(m, splits=3, only="dropout"),
    "split two axes": lambda nnx, m: nnx.split_rngs(m, splits=(2, 1)),
    "split and squeeze": lambda nnx, m: nnx.split_rngs(m, splits=1, squeeze=True),
    "fork": lambda nnx, m: nnx.fork_rngs(m),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_as_function_and_in_a_with_statement(change):
    """The keys change, and come back by ``restore_rngs`` or at the end of a block."""

    def program(nnx):
        one, other = model(nnx), model(nnx)
        backups = change(nnx, one)
        states = [shown(one)]
        nnx.restore_rngs(backups)
        states.append(shown(one))
        with change(nnx, other):
            states.append(shown(other))
        return [*states, shown(other)]

    assert_same(program)


@pytest.mark.filterwarnings("ignore:The 'split' argument of 'fork':DeprecationWarning")
@pytest.mark.parametrize("split", [2, {"dropout": 3}, {"params": (2, 2)}], ids=repr)
def test_fork_with_splits(split):
    """``fork_rngs`` splits the streams it is told to, and leaves the others."""

    def program(nnx):
        changed = model(nnx)
        nnx.restore_rngs(nnx.fork_rngs(changed, split=split))
        before = shown(changed)
        nnx.fork_rngs(changed, split=split)
        return before, shown(changed)

    assert_same(program)


def test_as_decorators():
    """A decorated function sees changed streams in all its arguments, for the length of a call."""

    def program(nnx):
        changed, seen = model(nnx), []

        @nnx.split_rngs(splits=2)
        def split(x, *, named):
            seen.append((shown(x), shown(named)))
            return 1

        @nnx.fork_rngs()
        def fork(x):
            seen.append(shown(x))

        other = model(nnx)
        result = split(changed, named=other)
        between = shown(changed)
        fork(changed)
        return result, seen, between, shown(changed), shown(other)

    assert_same(program)


def test_streams_come_back_after_an_error():
    """An error inside a block or a decorated function does not leave the streams split."""
    changed = model(nnx)
    with pytest.raises(ZeroDivisionError), nnx.split_rngs(changed, splits=2):
        _ = 1 / 0
    assert changed.rngs.params.key.shape == ()


COPIES = {
    "split": lambda nnx, m: nnx.split_rngs(m, splits=2, graph_updates=False),
    "split one": lambda nnx, m: nnx.split_rngs(m, splits=2, only="params", graph_updates=False),
    "fork": lambda nnx, m: nnx.fork_rngs(m, graph_updates=False),
    "with split": lambda nnx, m: nnx.with_rngs(m, split={"dropout": 2}, graph_updates=False),
    "with all": lambda nnx, m: nnx.with_rngs(
        m, split={"default": 2}, broadcast={"params": 2}, fork=..., graph_updates=False
    ),
    "with forks": lambda nnx, m: nnx.with_rngs(m, fork=["params", "dropout"], graph_updates=False),
    "with only": lambda nnx, m: nnx.with_rngs(m, split=2, only="params", graph_updates=False),
    "with nothing": lambda nnx, m: nnx.with_rngs(m, graph_updates=False),
    "decorated": lambda nnx, m: nnx.with_rngs(split=2, graph_updates=False)(lambda m: m)(m),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_with_other_streams(change):
    """A changed copy has Flax's keys, moves the counts of the original, and shares the rest."""

    def program(nnx):
        original = model(nnx)
        changed = change(nnx, original)
        changed.linear.kernel[...] = jnp.zeros((2, 2))
        return shown(changed), shown(original), original.linear.kernel[...]

    assert_same(program)


def test_copies_of_tuples_and_shared_streams():
    """Streams are replaced in tuples and lists too, and one that is shared stays shared."""
    stream = nnx.RngStream(0, tag="a")
    one, [other] = nnx.with_rngs((stream, [stream]), split=2)
    assert one is other
    assert one.key.shape == (2,)
    assert stream.key.shape == ()


def test_squeeze_needs_one():
    """``squeeze`` with several splits is refused."""
    assert_same(lambda nnx: nnx.split_rngs(nnx.Rngs(0), splits=2, squeeze=True))
    with pytest.raises(ValueError, match="splits=1"):
        nnx.split_rngs(nnx.Rngs(0), splits=2, squeeze=True)


RESEEDS = {
    "names": lambda nnx, m: nnx.reseed(m, default=9, dropout=jax.random.key(4)),
    "unknown": lambda nnx, m: nnx.reseed(m, noise=1),
    "shapes": lambda nnx, m: (
        nnx.split_rngs(m, splits=2),
        nnx.reseed(m, dropout=1, policy="match_shape"),
    )[1],
    "function": lambda nnx, m: nnx.reseed(
        m, dropout=1, policy=lambda path, key, shape: jax.random.split(key, (2, *shape))
    ),
    "several": lambda nnx, m: (nnx.split_rngs(m, splits=2), nnx.reseed(m, dropout=1))[1],
    "no policy": lambda nnx, m: nnx.reseed(m, dropout=1, policy="all"),
}


@pytest.mark.parametrize("change", RESEEDS.values(), ids=RESEEDS)
def test_reseed(change):
    """Streams start anew with Flax's keys, in the order in which Flax finds them."""

    def program(nnx):
        changed = model(nnx)
        changed.dropout.rngs()
        return change(nnx, changed), shown(changed)

    assert_same(program)


def test_reseed_names_the_stream():
    """One key for a stream of several names the stream and the policy that splits."""
    changed = model(nnx)
    nnx.split_rngs(changed, splits=2)
    with pytest.raises(errors.StackedKeysError, match=r"/dropout/rngs.*match_shape"):
        nnx.reseed(changed, dropout=1)


def test_backup_of_keys():
    """``backup_keys`` brings keys back, and leaves counts."""

    def program(nnx):
        from importlib import import_module

        backup = (
            import_module("flax.nnx").rnglib.backup_keys
            if nnx.__name__ == "flax.nnx"
            else backup_keys
        )
        changed = model(nnx)
        backups = backup(changed)
        changed.rngs()
        changed.rngs.default.key.set_value(jax.random.key(9))
        nnx.restore_rngs(backups)
        return shown(changed)

    assert_same(program)


RULES = {
    "split and fork": {"split": {"params": 4}, "fork": "params"},
    "split and broadcast": {"split": {"params": 4}, "broadcast": {"params": 2}},
    "broadcast and fork": {"broadcast": {"params": 4}, "fork": ["params", "dropout"]},
    "split, and fork of the rest": {"split": {"params": 4}, "fork": ...},
    "split of the rest, and fork": {"split": 4, "fork": "params"},
    "three streams": {"split": {"params": 4}, "broadcast": {"dropout": 2}, "fork": "default"},
    "two filters of one": {"split": {"params": 4, ...: 2}},
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_what_is_done_to_a_stream_is_said_once(rules):
    """A stream that two of `split`, `broadcast` and `fork` name is an error, as in Flax."""

    def program(nnx):
        rngs = nnx.with_rngs(nnx.Rngs(0, params=1, dropout=2), graph_updates=False, **rules)
        return {name: rngs[name].key.shape for name in ("default", "params", "dropout")}

    assert_same(program)
