"""What compiled programs of modules keep alive, and which changes they see."""

import functools
import gc
import threading
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.linen.transforms.probes import X

import linnet.linen as nn
from differential.linen import assert_same
from linnet.linen.modules.methods import intercept_methods
from linnet.tree.state_dict import register_serialization_state

KEY = jax.random.key(0)


def arrays_kept(run, times=20):
    """Return how many arrays are left of many runs, beyond those of the first one."""
    run(0)
    gc.collect()
    before = len(jax.live_arrays())
    for number in range(1, times):
        run(number)
    gc.collect()
    return len(jax.live_arrays()) - before


def closure(number):
    """Return a function that closes over an array."""
    big = jnp.full((16, 16), float(number))
    return lambda x: x + big.sum()


class Activated(nn.Module):
    """A compiled layer with a function for a field."""

    act: object

    @nn.jit
    @nn.compact
    def __call__(self, x):
        return self.act(nn.Dense(4)(x))


class Compiled(nn.Module):
    """A compiled layer."""

    @nn.jit
    @nn.compact
    def __call__(self, x):
        return nn.Dense(4)(x)


class Holder:
    """Compares by identity, and can be called."""

    def __init__(self, number):
        self.array = jnp.full((16, 16), float(number))

    def __call__(self, x):
        return x + self.array.sum()


KEEPING = {
    "a closure": closure,
    "an object": Holder,
    "closures in a dictionary": lambda number: {"a": [closure(number)]}["a"][0],
    "a bound method": lambda number: Holder(number).__call__,
}


@pytest.mark.parametrize("what", KEEPING)
def test_what_a_field_closes_over_is_let_go(what):
    """With the last module that has it, though the class lives on."""

    def run(number):
        model = Activated(KEEPING[what](number))
        variables = model.init(KEY, X)
        model.apply(variables, X)
        jax.jit(model.apply)(variables, X)

    assert arrays_kept(run) == 0


def test_what_an_interceptor_closes_over_is_let_go():
    """A compiled method keeps no interceptor that saw it."""
    model = Compiled()
    variables = model.init(KEY, X)

    def run(number):
        big = jnp.full((16, 16), float(number))

        def interceptor(next_fun, args, kwargs, context):
            return next_fun(*args, **kwargs) + 0 * big.sum()

        with intercept_methods(interceptor):
            model.apply(variables, X)

    assert arrays_kept(run) == 0


def test_a_class_made_in_a_function_is_let_go():
    """With what was compiled of it."""
    made = []

    def run(number):
        class Model(nn.Module):
            @nn.jit
            @nn.compact
            def __call__(self, x):
                return nn.Dense(4)(x)

        made.append(weakref.ref(Model))
        Model().init(KEY, X)

    for number in range(3):
        run(number)
    gc.collect()
    assert [ref() for ref in made] == [None] * 3


def test_a_program_is_used_again_while_its_parts_live():
    """Equal modules with one function share it; another function has its own program."""
    traces = []

    def act(x):
        traces.append(1)
        return x

    def other(x):
        traces.append(2)
        return 2 * x

    variables = Activated(act).init(KEY, X)
    traces.clear()
    one = [Activated(act).apply(variables, X) for _ in range(3)]
    two = [Activated(other).apply(variables, X) for _ in range(3)]
    assert traces == [1, 2]
    np.testing.assert_array_equal(2 * one[0], two[0])


class Options:
    """Has no hash, and must not be compared."""

    __hash__ = None

    def __init__(self, a):
        self.a = a

    def __eq__(self, other):
        raise RuntimeError("compared")


register_serialization_state(Options, lambda o: {"a": o.a}, lambda o, state: Options(state["a"]))

FIELDS = {
    "registered": lambda: Options(1),
    "list": lambda: [1, 2],
    "dict": lambda: {"a": 1},
    "numpy": lambda: np.ones(2),
    "set": lambda: {1, 2},
}


@pytest.mark.parametrize("what", FIELDS)
def test_fields_without_a_hash_count_by_what_they_hold(what):
    """Equal ones share a program."""
    traces = []

    class Model(nn.Module):
        field: object

        @nn.jit
        @nn.compact
        def __call__(self, x):
            traces.append(1)
            return x

    for _ in range(3):
        Model(FIELDS[what]()).apply({}, X)
    assert len(traces) == 1


CHANGES = {
    "numpy": (lambda: np.array([1.0, 2.0]), lambda a: a.__setitem__(0, 100.0)),
    "set": (lambda: {1}, lambda s: s.add(10)),
    "list": (lambda: [1], lambda s: s.append(10)),
    "list in a tuple": (lambda: ([1],), lambda s: s[0].append(10)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_fields_changed_in_place_are_seen(what):
    """The next call is one of a module with what the field holds then."""

    def program(nn):
        class Model(nn.Module):
            field: object

            @nn.jit
            @nn.compact
            def __call__(self, x):
                return x.sum() * sum(map(float, jax.tree.leaves(total(self.field))))

        make, change = CHANGES[what]
        field = make()
        model = Model(field)
        first = model.apply({}, X)
        change(field)
        return first, model.apply({}, X)

    def total(field):
        return list(field) if isinstance(field, set | np.ndarray) else field

    if what == "list in a tuple":  # which Flax copies when the module is made
        first, second = program(nn)
        assert second == 11 * first
    else:
        assert_same(program)


def test_programs_of_several_threads():
    """Threads that compile and call one class at once get each their own results."""
    variables = Compiled().init(KEY, X)
    expected = Compiled().apply(variables, X)
    failed = []

    def work(number):
        model = Activated(lambda x: x * number)
        for _ in range(5):
            got = model.apply(variables, X)
            if not np.allclose(got, expected * number, atol=1e-5):
                failed.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize("how", ["jit", "remat", "vmap"])
def test_variables_pass_into_transformed_methods(how):
    """As arguments and in the fields of submodules; what is written comes out."""

    def program(nn):
        lift = {
            "jit": nn.jit,
            "remat": nn.remat,
            "vmap": lambda f: nn.vmap(f, variable_axes={"stats": None}, in_axes=None, axis_size=2),
        }[how]

        class Adder(nn.Module):
            cell: nn.Variable

            @nn.compact
            def __call__(self, x):
                self.cell.value += x.sum()
                return x

        class ByField(nn.Module):
            @nn.compact
            def __call__(self, x):
                cell = self.variable("stats", "seen", lambda: jnp.zeros(()))
                return lift(lambda module, x: module(x))(Adder(cell), x)

        class ByArgument(nn.Module):
            @nn.compact
            def __call__(self, x):
                cell = self.variable("stats", "seen", lambda: jnp.zeros(()))
                return lift(self.add.__func__)(self, x, cell)

            @nn.nowrap
            def add(self, x, cell):
                cell.value += x.sum()
                return x

        results = []
        for model in (ByField(), ByArgument()):
            if how == "vmap" and isinstance(model, ByArgument):
                continue
            variables = model.init(KEY, X)
            results += [variables, model.apply(variables, X, mutable=["stats"])]
        return results

    assert_same(program)


def test_partial_classes_are_transformed():
    """A class with some of its arguments is one, whatever the transformation."""

    def program(nn):
        bare = functools.partial(nn.Dense, use_bias=False)
        mapped = nn.vmap(bare, variable_axes={"params": 0}, split_rngs={"params": True})(4)
        return mapped.init(KEY, X), nn.jit(bare)(4).init(KEY, X), nn.remat(bare)(4).init(KEY, X)

    assert_same(program, drawn=True)


def test_init_itself_may_be_compiled():
    """A method that runs while a module is not bound yet is compiled as it is."""

    def program(nn):
        class Net(nn.Module):
            width: int = 2

            @nn.compact
            def __call__(self, x):
                return nn.Dense(self.width)(x)

            @nn.jit
            def init(self, rngs, *args):
                return super().init(rngs, *args)

        return Net().init(KEY, X), Net(3).init(KEY, X), Net().init(KEY, X)

    assert_same(program, drawn=True)


def test_compiled_init_traces_once():
    """For equal modules."""
    traces = []

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            traces.append(1)
            return nn.Dense(2)(x)

        @nn.jit
        def init(self, rngs, x):
            return super().init(rngs, x)

    for _ in range(3):
        Net().init(KEY, X)
    assert len(traces) == 1


def test_names_of_modules_passed_in_are_taken_inside():
    """A module handed to a transformed method has its name there, too."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                return self.inner(x, nn.Dense(2, name="d"))

            @nn.jit
            def inner(self, x, dense):
                nn.Dense(3, name="d")
                return dense(x)

        return Outer().init(KEY, X)

    assert_same(program)
