"""The store of a call: what it keeps, what it lets go, and what it must not confuse."""

import asyncio
import functools
import gc
import pickle
import threading
import tracemalloc
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linnet.linen as nn
from differential.linen import assert_same, shapes
from linnet.linen.modules.context import context
from linnet.linen.modules.scope import Store

KEY = jax.random.key(0)
X = jnp.ones((2, 3))


class Model(nn.Module):
    """Layers by `setup`, in lists, and in a compact method."""

    width: int = 3

    def setup(self):
        self.parts = [nn.Dense(self.width), nn.BatchNorm(use_running_average=False)]

    @nn.compact
    def __call__(self, x):
        for part in self.parts:
            x = part(x)
        self.sow("intermediates", "h", x)
        return nn.Dense(3)(x)


# --- paths ------------------------------------------------------------------------------------


def test_one_path_one_scope():
    """A scope pushed twice is the same object; its counts go on."""
    store = Store({}, {"params": KEY}, mutable=True)
    one = store.root.push("a")
    first = one.make_rng("params")
    again = store.root.push("a")
    assert again is one
    assert again.path == ("a",)
    assert not jnp.array_equal(
        jax.random.key_data(first), jax.random.key_data(again.make_rng("params"))
    )
    assert store.root.at(("a", "b")).path_text == "/a/b"


def test_empty_collections_are_not_made_by_reading():
    """Looking for a variable leaves no trace in what is returned."""

    def program(nn):
        class Look(nn.Module):
            def __call__(self):
                self.get_variable("state", "v")
                self.has_variable("other", "w")
                return dict(self.variables)

        return Look().apply({}, mutable=True)

    assert_same(program)


@pytest.mark.parametrize("name", ["é🦢", "a b", "x" * 5000, "0", "-", "a/b", "{}"])
def test_names_of_any_kind(name):
    """Variables, collections, submodules and streams may be called anything."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                self.variable(name, name, lambda: jnp.zeros(()))
                key = jax.random.key_data(self.make_rng(name))
                return nn.Dense(3, name=name)(x), key

        return Outer().init_with_output({"params": KEY, name: KEY}, X)

    assert_same(program)


def test_deep_nesting():
    """Hundreds of levels work as far as Python's own stack reaches."""

    class Nest(nn.Module):
        depth: int

        @nn.compact
        def __call__(self, x):
            return Nest(self.depth - 1)(x) if self.depth else nn.Dense(3)(x)

    variables = Nest(60).init(KEY, X)
    assert Nest(60).apply(variables, X).shape == (2, 3)


# --- what remains after a call ----------------------------------------------------------------


def test_nothing_of_a_finished_call_stays_alive():
    """Modules, stores and the values they held are freed when the call is over."""
    seen: list[Any] = []

    class Watch(nn.Module):
        @nn.compact
        def __call__(self, x):
            dense = nn.Dense(3)
            seen.extend(map(weakref.ref, (self, dense, self.scope.store.root.owner and self)))
            return dense(x)

    model = Watch()
    variables = model.init(KEY, X)
    model.apply(variables, X)
    model.lazy_init(KEY, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    jax.jit(model.apply)(variables, X)
    jax.grad(lambda v: model.apply(v, X).sum())(variables)
    gc.collect()
    assert [ref() for ref in seen] == [None] * len(seen)
    assert (context.module_stack, context.method_stack) == ([None], [""])


def test_a_failed_call_keeps_nothing_but_its_traceback():
    """When the exception is dropped, so is the model."""
    seen: list[Any] = []

    class Fails(nn.Module):
        @nn.compact
        def __call__(self, x):
            seen.append(weakref.ref(self))
            nn.Dense(3)(x)
            raise KeyError

    for _ in range(3):
        with pytest.raises(KeyError):
            Fails().init(KEY, X)
    gc.collect()
    assert [ref() for ref in seen] == [None] * 3
    assert context.module_stack == [None]


def test_caches_do_not_grow_with_closures():
    """An initializer made anew for each call is let go with it."""
    made = []

    class Fresh(nn.Module):
        @nn.compact
        def __call__(self, x):
            def init(key, shape):
                return jnp.ones(shape)

            made.append(weakref.ref(init))
            return x @ self.param("w", init, (3, 3))

    variables = Fresh().init(KEY, X)
    for _ in range(20):
        Fresh().apply(variables, X)
    gc.collect()
    assert [ref() for ref in made] == [None] * 21


def test_the_shape_of_an_initializer_is_asked_anew():
    """What it reads may have changed since: a global, a closure, an attribute."""

    def program(nn):
        width = [3]

        class Model(nn.Module):
            @nn.compact
            def __call__(self):
                return self.param("w", lambda key: jnp.ones((width[0],))).sum()

        results = []
        for width[0] in (3, 5):
            results.append(Model().apply(Model().init(KEY)))
        variables = Model().init(KEY)
        width[0] = 4
        return [*results, Model().apply(variables)]  # the last one no longer fits

    assert_same(program)


SHAPES = {
    "zeros": lambda nn: nn.initializers.zeros_init(),
    "normal": lambda nn: nn.initializers.normal(),
    "of jax": lambda nn: jax.nn.initializers.zeros,
    "own": lambda nn: lambda key, shape, dtype=jnp.float32: jnp.zeros(shape, dtype),
}


@pytest.mark.parametrize("how", ["init", "apply", "wrong", "lazy", "jit", "scan"])
@pytest.mark.parametrize("what", SHAPES)
def test_a_shape_may_be_a_number(what, how):
    """``(x.shape[-1])`` is an int, which many models pass."""

    def program(nn):
        class Scale(nn.Module):
            @nn.compact
            def __call__(self, x, _=None):
                scale = self.param("scale", SHAPES[what](nn), (x.shape[-1]))
                typed = self.param("typed", SHAPES[what](nn), 3, jnp.float32)
                return x * (1 + scale) + typed, None

        if how == "lazy":
            return Scale().lazy_init(KEY, jax.ShapeDtypeStruct((2, 3), jnp.float32))
        if how == "jit":
            return jax.jit(Scale().init)(KEY, jnp.ones((2, 3)))
        if how == "scan":
            axes = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
            model = nn.scan(Scale, **axes, length=2)()
            variables = model.init(KEY, jnp.ones((2, 3)), None)
            return variables, model.apply(variables, jnp.ones((2, 3)), None)[0]
        variables = Scale().init(KEY, jnp.ones((2, 3)))
        if how == "wrong":
            variables = {"params": {"scale": jnp.ones(4), "typed": jnp.ones(3)}}
        return variables, Scale().apply(variables, jnp.ones((2, 3)))[0]

    assert_same(program, drawn=True)


def test_memory_of_repeated_calls_is_level():
    """A hundred calls of `apply` leave no more behind than one."""
    model = Model()
    variables = model.init(KEY, X)

    def call():
        model.apply(variables, X, mutable=["batch_stats", "intermediates"])

    for _ in range(10):
        call()
    gc.collect()
    tracemalloc.start()
    try:
        call()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100):
            call()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000, f"{grown} bytes in 100 calls"


def test_repeated_calls_do_not_retrace():
    """A jitted `apply` of equal models is traced once."""
    traced = []

    class Counts(nn.Module):
        @nn.compact
        def __call__(self, x):
            traced.append(1)
            return nn.Dense(3)(x)

    variables = Counts().init(KEY, X)
    traced.clear()
    step = jax.jit(lambda model, v, x: model.apply(v, x), static_argnums=0)
    for _ in range(5):
        step(Counts(), variables, X)
    assert len(traced) == 1


# --- several at once --------------------------------------------------------------------------


def test_calls_inside_calls_keep_apart():
    """A model that runs others inside each of its methods is not disturbed by them."""
    inner = Model()
    variables = inner.init(KEY, X)

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            y, _ = inner.apply(variables, x, mutable=["batch_stats", "intermediates"])
            z = nn.Dense(3)(y)
            bound = inner.bind(variables, mutable=["batch_stats"])
            return nn.Dense(3)(z + bound(x))

    made = Outer().init(KEY, X)
    assert list(made["params"]) == ["Dense_0", "Dense_1"]


def test_threads_share_a_description():
    """One model may be initialised in many threads at once."""
    model, results = Model(), []

    def work(seed):
        results.append((seed, model.init(jax.random.key(seed), X)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, variables in results:
        expected = model.init(jax.random.key(seed), X)
        jax.tree.map(np.testing.assert_array_equal, variables, expected)


def test_coroutines_and_generators():
    """A model called between the steps of coroutines and generators stays whole."""
    model = Model()
    variables = model.init(KEY, X)
    expected = model.apply(variables, X, mutable=["batch_stats", "intermediates"])[0]

    async def call():
        await asyncio.sleep(0)
        y = model.apply(variables, X, mutable=["batch_stats", "intermediates"])[0]
        await asyncio.sleep(0)
        return y

    async def both():
        return await asyncio.gather(call(), call(), call())

    def steps():
        for _ in range(2):
            yield model.apply(variables, X, mutable=["batch_stats", "intermediates"])[0]

    for y in [*asyncio.run(both()), *steps()]:
        np.testing.assert_array_equal(y, expected)


def test_a_generator_left_in_the_middle_leaves_the_stack_alone():
    """A method that is a generator runs outside of the call that made it."""

    class Walk(nn.Module):
        def setup(self):
            self.dense = nn.Dense(3)

        def walk(self, x):
            for _ in range(3):
                x = self.dense(x)
                yield x

        def __call__(self, x):
            walk = self.walk(x)
            next(walk)
            return next(walk)

    variables = Walk().init(KEY, X)
    assert list(variables["params"]) == ["dense"]
    assert context.module_stack == [None]


# --- odd uses ---------------------------------------------------------------------------------


def test_modules_as_keys_and_members():
    """Descriptions stand in sets and dictionaries."""
    one, two = nn.Dense(3), nn.Dense(3)
    assert {one: 1}[two] == 1
    assert len({one, two, nn.Dense(4)}) == 2


def test_partials_of_modules_and_methods():
    """`functools.partial` over `apply`, a class, and a method."""
    make = functools.partial(nn.Dense, 3, use_bias=False)
    variables = make().init(KEY, X)
    assert list(variables["params"]) == ["kernel"]
    call = functools.partial(make().apply, variables)
    np.testing.assert_array_equal(call(X), make().apply(variables, X))


def test_bound_modules_pickle_without_their_variables():
    """Nothing of the store goes along."""
    bound = nn.Dense(3).bind(nn.Dense(3).init(KEY, X))
    data = pickle.dumps(bound)
    assert len(data) < 2000
    assert pickle.loads(data) == nn.Dense(3)


@pytest.mark.parametrize(
    "tree",
    [
        {"a": None, "b": ()},
        {"a": {}, "b": {"c": {}}},
        {"a": [1, (2, {"c": 3})], "b": "text"},
        {"a": np.float64(3), "b": np.arange(3)},
    ],
    ids=str,
)
def test_odd_values_of_variables(tree):
    """Anything may be stored, and comes back as it was."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self):
                v = self.variable("state", "v", lambda: dict(tree))
                before = v.value
                v.value = {"now": before}
                return before

        return Outer().apply({}, mutable=["state"])

    assert_same(program)


@pytest.mark.parametrize("put", [False, True])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((), (1,)),
        ([1], [1, 2]),
        (None, 3.0),
        (3.0, None),
        ({"a": 1}, 3),
        (3, {"a": 1}),
        ({"a": 1}, {"b": 2}),
        ({"a": 1, "b": {"c": 2}}, {"b": {"d": 5}}),
        ({"a": [1]}, {"a": [2, 3]}),
    ],
    ids=str,
)
def test_values_that_change_their_structure(old, new, put):
    """Whatever stood there is replaced; a dictionary is written into a dictionary."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self):
                # copies, as Flax writes into the dictionary that it was given
                v = self.variable("state", "v", lambda: jax.tree.map(lambda leaf: leaf, old))
                if put:
                    self.put_variable("state", "v", new)
                else:
                    v.value = new
                return v.value

        return Outer().apply({}, mutable=["state"])

    assert_same(program)


def test_a_dictionary_passed_in_is_not_written_into():
    """What a variable was made from stays as it was."""
    start = {"a": 1}

    class Outer(nn.Module):
        @nn.compact
        def __call__(self):
            self.variable("state", "v", lambda: start).value = {"b": 2}

    assert Outer().apply({}, mutable=["state"])[1] == {"state": {"v": {"a": 1, "b": 2}}}
    assert start == {"a": 1}


@pytest.mark.parametrize("case", ["same", "box in box", "other keys", "longer"])
def test_writing_to_boxed_values(case):
    """Boxes stay where the structure stays, and go where it changes."""

    def program(nn):
        box = nn.Partitioned(X, ("a", "b"))
        old, new = {
            "same": ({"k": box, "n": X}, {"k": 2 * X, "n": 3 * X}),
            "box in box": (box, nn.Partitioned(2 * X, ("c", "d"))),
            "other keys": ({"k": box}, {"j": 2 * X}),
            "longer": ((box,), (X, X)),
        }[case]

        class Outer(nn.Module):
            @nn.compact
            def __call__(self):
                v = self.variable("state", "v", lambda: old)
                v.value = new
                return v.value

        return Outer().apply({}, mutable=["state"])

    assert_same(program)


def test_variables_of_the_wrong_depth():
    """A value where a module's dictionary should be is an error, not a crash."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(3)(x)

        return Outer().apply({"params": {"Dense_0": X}}, X)

    with pytest.raises(Exception, match=r"/Dense_0 \(Dense\)"):
        program(nn)


def test_shapes_of_the_model_are_those_of_eval_shape():
    """`init` under `jax.eval_shape` gives the structure without values."""
    abstract = jax.eval_shape(Model().init, KEY, X)
    assert shapes(abstract) == shapes(Model().init(KEY, X))


def test_a_number_of_numpy_is_a_shape_too():
    """Flax's own initializers refuse some of these, as JAX's do."""
    for what, make in SHAPES.items():
        if what != "own":

            class Model(nn.Module):
                @nn.compact
                def __call__(self):
                    return self.param("w", make(nn), np.int64(3))  # noqa: B023 - called at once

            variables = Model().init(KEY)
            assert Model().apply(variables).shape == (3,)
