"""What the engine of lifted transformations guarantees, over the stores of both façades."""

import jax
import jax.numpy as jnp
import pytest
from tests.lift.cases import CARRY, CASES

from linnet.base import errors

X = jnp.arange(3.0)


@pytest.fixture(params=CASES.values(), ids=CASES)
def store(request):
    """A kind of store: a class, made with the variables that it is to hold."""
    return request.param


each_transform = pytest.mark.parametrize("transform", ["jit", "remat", "vmap", "scan"])


def add(handle, x):
    """Add the input to a variable."""
    handle.set("total", handle.get("total") + x)
    return 2 * x


@each_transform
def test_updates_come_out(store, transform):
    """What is written inside is there outside, and the result with it."""
    case = store({"total": jnp.ones(3)})
    assert jnp.array_equal(case.run(transform, add, X), 2 * X)
    assert jnp.array_equal(case.variables()["total"], 1 + X)


@pytest.mark.parametrize("transform", ["jit", "remat", "vmap"])
def test_variables_made_inside(store, transform):
    """A variable that is made inside exists outside, with the axis of the transformation."""
    case = store({})
    case.run(transform, lambda handle, x: handle.make("made", 1 + x), X)
    assert jnp.array_equal(case.variables()["made"], 1 + X)


@pytest.mark.parametrize("transform", ["jit", "remat", "vmap"])
def test_a_module_reached_twice_is_one(store, transform):
    """What is written through one way is read through the other."""

    def function(one, other, x):
        add(one, x)
        add(other, x)
        return one.get("total") - other.get("total")

    case = store({"total": jnp.zeros(3)})
    assert not case.run(transform, function, X, twice=True).any()
    assert jnp.array_equal(case.variables()["total"], 2 * X)


@pytest.mark.parametrize("transform", ["vmap", "scan"])
@pytest.mark.parametrize("split", [True, False])
def test_streams_are_split_or_shared(store, transform, split):
    """Each instance, or step, has keys of its own, or all have the same."""

    def function(handle, x):
        return jax.random.key_data(handle.key())

    keys = store({}).run(transform, function, X, split=split)
    assert len({tuple(key.tolist()) for key in keys}) == (3 if split else 1)


@pytest.mark.parametrize("transform", ["jit", "remat"])
def test_counts_go_on(store, transform):
    """No key is drawn twice, inside and after."""

    def function(handle, x):
        return jax.random.key_data(jnp.stack([handle.key(), handle.key()]))

    one, other = store({}).run(transform, function, X)
    assert not jnp.array_equal(one, other)


def test_what_is_carried(store):
    """A carried variable goes from step to step."""
    case = store({"total": jnp.ones(())})
    case.run("scan", add, X, axis=CARRY)
    assert case.variables()["total"] == 1 + X.sum()


def test_what_is_shared(store):
    """A shared variable is the same in every instance."""
    case = store({"total": jnp.ones(3)})
    result = case.run("vmap", lambda handle, x: handle.get("total") + x, X, axis=None)
    assert jnp.array_equal(result, 1 + X[:, None] + jnp.zeros((3, 3)))
    assert jnp.array_equal(case.variables()["total"], jnp.ones(3))


@pytest.mark.parametrize("transform", ["vmap", "scan"])
@pytest.mark.parametrize("axis", [0, 1])
def test_metadata_of_axes(store, transform, axis):
    """Inside, a variable has one axis less, and so have its metadata; outside they are whole."""
    outside = ("axis", "features") if axis == 0 else ("features", "axis")
    case = store({"total": jnp.ones((3, 3))}, {"total": outside})
    seen = []

    def function(handle, x):
        seen.append(tuple(handle.names("total")))
        return add(handle, x)

    case.run(transform, function, X, axis=axis)
    assert set(seen) == {("features",)}
    assert tuple(case.names("total")) == outside
    added = X[:, None] if axis == 0 else X
    assert jnp.array_equal(case.variables()["total"], jnp.ones((3, 3)) + added)


def test_a_second_call_does_not_trace_again(store):
    """As long as the structure is the same, a compiled function is used again."""
    traced = []

    def function(handle, x):
        traced.append(x)
        return add(handle, x)

    case = store({"total": jnp.ones(3)})
    for _ in range(3):
        case.run("jit", function, X)
    assert len(traced) == 1
    assert jnp.array_equal(case.variables()["total"], 1 + 3 * X)


def test_reaching_out_of_a_trace(store):
    """Writing from inside a plain JAX transformation is an error that says where."""
    case = store({"total": jnp.ones(())})
    with pytest.raises(errors.LinnetError, match=case.known_as):
        case.reach_out("total")
    assert case.variables()["total"] == 1
