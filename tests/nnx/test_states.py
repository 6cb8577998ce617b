"""States: nested mappings of variables, taken apart and put together, beside Flax's."""

import copy
import pickle

import jax
import jax.numpy as jnp
import pytest

from differential.nnx import assert_same
from differential.nnx_models import model, values
from linnet import nnx


def _pairs(flat):
    return [(path, values(leaf)) for path, leaf in flat]


def _state(nnx):
    return nnx.state(model(nnx))


def _set(nnx):
    state = _state(nnx)
    state["new"] = nnx.Param(jnp.ones(1))
    state["first"]["bias"] = nnx.Param(jnp.full(2, 7.0))
    del state["count"]
    state.scale = jnp.zeros(2)
    return values(state)


def _replaced(nnx, pure):
    m = model(nnx)
    state = nnx.state(m)
    nnx.replace_by_pure_dict(state, pure)
    return values(state), values(nnx.state(m)), type(state["first"]["bias"]).__name__


PROGRAMS = {
    "mapping": lambda nnx: (
        *(list(_state(nnx)), len(_state(nnx)), "first" in _state(nnx)),
        *(values(_state(nnx).first.bias), type(_state(nnx)["first"]).__name__),
    ),
    "set": _set,
    "missing attribute": lambda nnx: _state(nnx).nothing,
    "missing key": lambda nnx: _state(nnx)["nothing"],
    "equality": lambda nnx: (
        nnx.State({"a": 1}) == nnx.State({"a": 1}),
        nnx.State({"a": 1}) == nnx.State({"a": 2}),
    ),
    "flat": lambda nnx: _pairs(nnx.to_flat_state(_state(nnx))),
    "flat parts": lambda nnx: (
        nnx.to_flat_state(_state(nnx)).paths,
        len(nnx.to_flat_state(_state(nnx)).leaves),
        nnx.to_flat_state(_state(nnx))[0][0],
    ),
    "flat split": lambda nnx: [
        _pairs(f) for f in nnx.to_flat_state(_state(nnx)).split(nnx.Param, ...)
    ],
    "flat merge": lambda nnx: _pairs(
        nnx.FlatState.merge(*nnx.to_flat_state(_state(nnx)).split(nnx.Param, ...))
    ),
    "from flat": lambda nnx: values(nnx.from_flat_state(nnx.to_flat_state(_state(nnx)))),
    "from a mapping": lambda nnx: nnx.from_flat_state({("a", "b"): 1}, cls=dict),
    "pure": lambda nnx: values(nnx.to_pure_dict(_state(nnx))),
    "pure extracted": lambda nnx: values(nnx.to_pure_dict(_state(nnx), lambda x: x.sum())),
    "replaced": lambda nnx: _replaced(nnx, {"first": {"bias": jnp.ones(2)}}),
    "replaced with string keys": lambda nnx: _replaced(nnx, {"layers": {0: {"bias": jnp.ones(2)}}}),
    "replaced unknown": lambda nnx: _replaced(nnx, {"nothing": 1}),
    "int paths": lambda nnx: nnx.restore_int_paths({"a": {"0": 1, "b": {"12": 2}}}),
    "filtered": lambda nnx: values(nnx.filter_state(_state(nnx), nnx.BatchStat)),
    "filtered by several": lambda nnx: [
        values(s) for s in nnx.filter_state(_state(nnx), nnx.BatchStat, nnx.PathContains("bias"))
    ],
    "split": lambda nnx: [values(s) for s in nnx.split_state(_state(nnx), nnx.Param, ...)],
    "split not all": lambda nnx: nnx.split_state(_state(nnx), nnx.Param),
    "merged": lambda nnx: values(nnx.merge_state(*nnx.split_state(_state(nnx), nnx.Param, ...))),
    "union": lambda nnx: values(nnx.State({"a": 1}) | nnx.State({"b": {"c": 2}})),
    "difference": lambda nnx: values(nnx.State({"a": 1, "b": 2}) - nnx.State({"a": 1})),
    "mapped": lambda nnx: values(nnx.map_state(lambda path, x: len(path), _state(nnx))),
    "methods": lambda nnx: (
        values(_state(nnx).filter(nnx.BatchStat)),
        [values(s) for s in _state(nnx).split(nnx.Param, ...)],
        values(nnx.State.merge(nnx.State({"a": 1}), nnx.State({"b": 2}))),
        values(nnx.State({"a": 1}).to_pure_dict()),
    ),
    "tree map": lambda nnx: values(jax.tree.map(lambda x: x * 2, _state(nnx))),
    "sorted leaves": lambda nnx: jax.tree.leaves(nnx.State({"b": 1, "a": 2})),
    "sorted numbers": lambda nnx: jax.tree.leaves(nnx.State({10: 5, 3: 0})),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_flax(name):
    """States behave as on Flax."""
    assert_same(PROGRAMS[name])


def test_near_names():
    """A mistyped entry is told with those that exist."""
    with pytest.raises(AttributeError, match="Did you mean 'first'"):
        _state(nnx).frist  # noqa: B018


def test_pickles():
    """A state comes back from a pickle as it was."""
    state = _state(nnx)
    assert pickle.loads(pickle.dumps(state)) == state


def unpacked(nnx, *filters):
    """The parts of a model with a part."""
    m = nnx.Dict(k=nnx.Param(jnp.ones(2)), n=nnx.Dict(v=nnx.BatchStat(jnp.zeros(1))))
    return nnx.unpack(m, *filters)


def written(nnx):
    """Set, add and delete entries of a part."""
    part = unpacked(nnx)
    part["k"] = nnx.Param(jnp.full(2, 3.0))
    first = nnx.merge(part).k[...]
    part.k = nnx.Param(jnp.full(2, 4.0))
    second = nnx.merge(jax.tree.map(lambda x: x + 1, part)).k[...]
    del part["k"]
    return first, second, list(part), part.get("k", 5), type(jax.tree.map(jnp.shape, part)).__name__


PARTS = {
    "names": lambda nnx: (sorted(unpacked(nnx)), len(unpacked(nnx)), "k" in unpacked(nnx)),
    "items": lambda nnx: [(key, type(v).__name__) for key, v in unpacked(nnx).items()],
    "entries": lambda nnx: (unpacked(nnx)["n"]["v"][...], unpacked(nnx).n.v[...]),
    "missing": lambda nnx: unpacked(nnx)["z"],
    "missing attribute": lambda nnx: unpacked(nnx).z,
    "paths": lambda nnx: [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(unpacked(nnx))
    ],
    "written": written,
    "equal": lambda nnx: [
        nnx.unpack(nnx.Dict(k=nnx.Param(1.0))) == other
        for other in (
            nnx.unpack(nnx.Dict(k=nnx.Param(1.0))),
            nnx.unpack(nnx.Dict(k=nnx.Param(2.0))),
            3,
        )
    ],
    "flat": lambda nnx: [path for path, _ in nnx.to_flat_state(unpacked(nnx))],
    "pure": lambda nnx: nnx.to_pure_dict(unpacked(nnx)),
    "two parts": lambda nnx: [sorted(part) for part in unpacked(nnx, nnx.Param, ...)],
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_are_read_and_written_like_states(name):
    """What `nnx.unpack` returns is a mapping like the state in it."""
    assert_same(PARTS[name])


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_parts_are_copied_and_pickled(copied):
    """A copy of a part, or one from a pickle, is the same part."""
    part = copied(unpacked(nnx))
    assert nnx.to_pure_dict(part)["k"].tolist() == [1.0, 1.0]
    assert nnx.merge(part).n.v.shape == (1,)


def test_the_only_part_of_a_variable():
    """A variable taken apart is put together again; Flax takes objects only."""
    assert nnx.merge(jax.tree.map(lambda x: x + 1, nnx.unpack(nnx.Param(1.0))))[...] == 2.0
