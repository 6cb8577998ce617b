"""What happens on a call of a method: interceptors, names for profilers, notes on exceptions."""

import contextlib
import functools
import re
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linnet.linen
from differential.linen import assert_same, shapes
from linnet.base import errors
from linnet.linen.modules.context import context

KEY = jax.random.key(0)
X = jnp.ones((2, 3))


def net(nn):
    """A model with `setup`, a compact method, a helper and a property."""

    class Net(nn.Module):
        def setup(self):
            self.inner = nn.Dense(3)

        def helper(self, x):
            return self.inner(x)

        @nn.nowrap
        def plain(self, x):
            return x + 1

        @property
        def twice(self):
            return 2

        @nn.compact
        def __call__(self, x):
            return nn.Dense(3, name="last")(self.plain(self.helper(x))) * self.twice

    return Net()


# --- interceptors -----------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["init", "apply", "bind"])
def test_which_calls_an_interceptor_sees(call):
    """Every method of every module but those left alone, from the outermost in."""

    def program(nn):
        seen = []

        def watch(next_fun, args, kwargs, ctx):
            seen.append((type(ctx.module).__name__, ctx.method_name, len(args), dict(kwargs)))
            return next_fun(*args, **kwargs)

        model = net(nn)
        variables = model.init(KEY, X)
        with nn.intercept_methods(watch):
            if call == "init":
                model.init(KEY, x=X)
            elif call == "apply":
                model.apply(variables, X)
            else:
                model.bind(variables).helper(X)
        return seen

    assert_same(program)


def test_an_interceptor_may_skip_replace_and_repeat():
    """It decides what is called, with what, and what comes back."""

    def program(nn):
        def change(next_fun, args, kwargs, ctx):
            if isinstance(ctx.module, nn.Dense) and ctx.module.name == "last":
                return args[0] * 10
            if ctx.method_name == "helper":
                return next_fun(next_fun(*args, **kwargs), **kwargs)
            return next_fun(*args, **kwargs)

        model = net(nn)
        with nn.intercept_methods(change):
            return model.init_with_output(KEY, X)

    assert_same(program)


def test_orig_method_skips_the_interceptors_within():
    """`context.orig_method` is the method itself, bound."""

    def program(nn):
        seen = []

        def outer(next_fun, args, kwargs, ctx):
            return ctx.orig_method(*args, **kwargs)

        def inner(next_fun, args, kwargs, ctx):
            seen.append(ctx.method_name)
            return next_fun(*args, **kwargs)

        model = net(nn)
        variables = model.init(KEY, X)
        with nn.intercept_methods(outer), nn.intercept_methods(inner):
            model.apply(variables, X)
        with nn.intercept_methods(inner), nn.intercept_methods(outer):
            model.apply(variables, X)
        return seen

    assert_same(program)


def test_interceptors_end_with_their_block():
    """Also when it is left by an exception."""
    nn = linnet.linen

    def watch(next_fun, args, kwargs, ctx):
        raise AssertionError

    with pytest.raises(KeyError), nn.intercept_methods(watch):
        raise KeyError
    assert context.interceptors == ()


def test_an_interceptor_may_create_submodules():
    """Inside a compact method it runs in the place of the method."""

    def program(nn):
        def add(next_fun, args, kwargs, ctx):
            y = next_fun(*args, **kwargs)
            if isinstance(ctx.module, nn.Dense):
                y = y + ctx.module.param("lora", nn.initializers.ones, y.shape[-1:])
            return y

        model = net(nn)
        with nn.intercept_methods(add):
            return shapes(model.init(KEY, X))

    assert_same(program)


# --- nowrap -----------------------------------------------------------------------------------


def test_nowrap_leaves_a_method_alone():
    """Modules made inside it belong to the method that called it."""

    def program(nn):
        class Outer(nn.Module):
            @nn.nowrap
            def make(self, n):
                return nn.Dense(n)

            @nn.compact
            def __call__(self, x):
                return self.make(3)(self.make(3)(x))

        return shapes(Outer().init(KEY, X)), Outer().make(4).features

    assert_same(program)


def test_nowrap_of_what_is_not_a_plain_function():
    """Lambdas and decorated functions on a class are methods too."""

    def program(nn):
        def traced(fn):
            @functools.wraps(fn)
            def inner(*args, **kwargs):
                return fn(*args, **kwargs)

            return inner

        class Outer(nn.Module):
            shift = lambda self, x: x + 1

            @traced
            @nn.compact
            def __call__(self, x):
                return nn.Dense(3)(self.shift(x))

        return shapes(Outer().init(KEY, X))

    assert_same(program)


def test_methods_borrowed_from_another_class():
    """A method assigned from another module class is a method here."""

    def program(nn):
        class A(nn.Module):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(3)(x)

        class B(nn.Module):
            __call__ = A.__call__

            def twice(self, x):
                return self(self(x))

        return shapes(B().init(KEY, X)), shapes(B().init(KEY, X, method=B.twice))

    assert_same(program)


def test_methods_of_other_shapes():
    """Special methods, generators, keyword-only arguments, and `self` by another name."""

    def program(nn):
        class Outer(nn.Module):
            def setup(self):
                self.parts = [nn.Dense(3), nn.Dense(3)]

            def __getitem__(this, i):
                return this.parts[i]

            def __len__(self):
                return len(self.parts)

            def walk(self, x):
                for part in self.parts:
                    x = part(x)
                    yield x

            def __call__(this, x, *, scale=2.0, **more):
                return list(this.walk(x))[-1] * scale, len(this), this[0].name, sorted(more)

        return Outer().init_with_output(KEY, X, b=1, a=2)

    assert_same(program)


def test_cached_properties():
    """`functools.cached_property` computes once for each bound module."""

    def program(nn):
        class Outer(nn.Module):
            a: int = 2

            @functools.cached_property
            def slow(self):
                return self.a * 10

            def __call__(self):
                return self.slow + self.slow

        return Outer().slow, Outer(3).apply({})

    assert_same(program)


# --- compact name scopes and profiler names ---------------------------------------------------


def test_compact_name_scope():
    """Each such method numbers its submodules under its own name, on every call the same."""

    def program(nn):
        class Inner(nn.Module):
            @nn.compact
            def __call__(self, x):
                return nn.Dense(3)(x)

            @nn.compact_name_scope
            def up(self, x):
                return nn.Dense(3)(nn.Dense(3)(x))

            @nn.compact_name_scope
            def down(self, x, scale=1.0):
                return nn.Dense(3)(x) * scale

        class Outer(nn.Module):
            def setup(self):
                self.inner = Inner()

            def __call__(self, x):
                inner = self.inner
                return inner.up(x), inner.down(x, scale=2.0), inner(x), inner.up(x)

        class Direct(Inner):
            @nn.compact
            def __call__(self, x):
                return self.up(x) + nn.Dense(3)(x)

        return Outer().init_with_output(KEY, X), Direct().init_with_output(KEY, X)

    assert_same(program)


def profile_names(nn, **call):
    """Return the names of modules in the lowered text of a model."""
    model = net(nn)
    variables = model.init(KEY, X)
    lowered = jax.jit(lambda v, x: model.apply(v, x, **call)).lower(variables, X)
    text = lowered.as_text(debug_info=True)
    return sorted(set(re.findall(r"\b(?:Net|inner|last)(?:\.\w+)?\b", text)))


@pytest.mark.parametrize("call", [{}, {"method": "helper"}])
def test_calls_are_named_in_compiled_programs(call):
    """A profile shows each module's calls under its name."""
    assert_same(lambda nn: profile_names(nn, **call))
    assert "inner" in profile_names(linnet.linen, **call)


def test_names_can_be_switched_off():
    """`disable_named_call` leaves them out, `override_named_call` for a while."""

    def program(nn):
        with nn.override_named_call(False):
            off = profile_names(nn)
        nn.disable_named_call()
        try:
            disabled = profile_names(nn)
        finally:
            nn.enable_named_call()
        return off, disabled, profile_names(nn)

    assert_same(program)


def test_named_call_names_a_method():
    """The decorator gives a method a name even where names are switched off."""

    def program(nn):
        class Outer(nn.Module):
            @nn.named_call
            @nn.compact
            def __call__(self, x):
                return nn.Dense(3)(x)

        return shapes(Outer().init(KEY, X))

    assert_same(program)


# --- calls out of place -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m(X),
        lambda m: m.setup(),
        lambda m: m.helper(X),
        lambda m: m.inner,
        lambda m: m.variables,
        lambda m: m.path,
        lambda m: m.unbind(),
        lambda m: m.make_rng("params"),
        lambda m: m.has_rng("params"),
        lambda m: m.is_initializing(),
        lambda m: m.is_mutable_collection("params"),
        lambda m: m.get_variable("a", "b"),
        lambda m: m.put_variable("a", "b", 1),
        lambda m: m.has_variable("a", "b"),
        lambda m: m.sow("a", "b", 1),
        lambda m: m.perturb("a", X),
    ],
)
def test_what_an_unbound_module_cannot_do(use):
    """Each is an error of the class that Flax raises, and ours names the module's class."""
    assert_same(lambda nn: use(net(nn)))
    with pytest.raises(Exception, match=r"Net"):
        use(net(linnet.linen))


@pytest.mark.parametrize("what", ["param", "variable"])
def test_declaring_variables_of_an_unbound_module(what):
    """Flax meets this with a bare assertion; here it is told like the others."""
    with pytest.raises(errors.UnboundModuleError, match=r"'a' of an unbound Net"):
        getattr(net(linnet.linen), what)("a", "a", None)


def test_setup_may_not_call_itself_forever():
    """`setup` that calls a method does not run again."""

    def program(nn):
        class Outer(nn.Module):
            def setup(self):
                self.a = nn.Dense(3)
                self.b = self.double(2)

            def double(self, n):
                return 2 * n

            def __call__(self, x):
                return self.a(x) * self.b

        return Outer().init_with_output(KEY, X)

    assert_same(program)


@pytest.mark.parametrize("makes", ["number", "module"])
def test_calling_setup_by_hand(makes):
    """It runs again, with all that this entails: submodules would be made twice."""

    def program(nn):
        class Outer(nn.Module):
            def setup(self):
                self.a = 1 if makes == "number" else nn.Dense(3)

            def __call__(self, x):
                self.setup()
                return x

        return Outer().apply({}, X)

    assert_same(program)


def test_setting_an_attribute_outside_setup():
    """A bound module is frozen, for fields and for anything else."""
    for name in ("features", "other"):

        def program(nn, name=name):
            class Outer(nn.Module):
                features: int = 3

                def __call__(self, x):
                    setattr(self, name, 4)
                    return x

            return Outer().apply({}, X)

        assert_same(program)


def test_setting_a_field_in_setup():
    """Fields are frozen in `setup` too."""

    def program(nn):
        class Outer(nn.Module):
            features: int = 3

            def setup(self):
                self.features = 4

            def __call__(self, x):
                return x

        return Outer().apply({}, X)

    assert_same(program)


# --- notes on exceptions ----------------------------------------------------------------------


def failing(nn, error):
    """A model whose innermost module raises."""

    class Inner(nn.Module):
        def __call__(self, x, train=False):
            raise error

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            return Inner(name="deep")(x, train=True)

    return Outer()


def test_an_exception_carries_the_place_and_the_inputs_once():
    """The innermost module notes its path, its method and its abstract inputs."""
    error = ValueError("own message")
    with pytest.raises(ValueError, match="own message") as caught:
        failing(linnet.linen, error).apply({}, X)
    notes = caught.value.__notes__
    assert [n for n in notes if "/deep" in n] == [
        "In /deep (Inner).__call__(float32[2,3], train=True)"
    ]
    assert caught.value is error


def test_an_exception_without_room_for_notes_passes_through():
    """A frozen exception does not turn into another error."""

    class Tight(Exception):
        def __setattr__(self, name, value):
            if not name.startswith("__"):
                raise AttributeError(name)
            super().__setattr__(name, value)

    error = Tight(3)
    with pytest.raises(Tight) as caught:
        failing(linnet.linen, error).apply({}, X)
    assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_exceptions_that_end_the_program_pass(error):
    """They are not the model's, and leave the running state clean."""
    with pytest.raises(type(error)):
        failing(linnet.linen, error).apply({}, X)
    assert context.module_stack == [None]


def test_after_an_exception_the_model_works_again():
    """A failed call leaves nothing behind: no name taken, no module on the stack."""
    nn = linnet.linen

    class Sometimes(nn.Module):
        @nn.compact
        def __call__(self, x, fail=False):
            y = nn.Dense(3)(x)
            if fail:
                raise KeyError
            return nn.Dense(3)(y)

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            inner = Sometimes()
            with contextlib.suppress(KeyError):
                inner(x, fail=True)
            return inner(x)

    variables = Outer().init(KEY, X)
    assert list(variables["params"]["Sometimes_0"]) == ["Dense_0", "Dense_1"]
    assert context.module_stack == [None]


def test_after_an_exception_in_setup_it_runs_again():
    """A `setup` that failed is tried again on the next use."""
    nn = linnet.linen
    tries: list[Any] = []

    class Outer(nn.Module):
        def setup(self):
            tries.append(1)
            if len(tries) == 1:
                raise KeyError
            self.dense = nn.Dense(3)

        def __call__(self, x):
            return self.dense(x)

    bound = Outer().bind({"params": {"dense": {"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3)}}})
    with pytest.raises(KeyError):
        bound(X)
    assert bound(X).shape == (2, 3)


# --- threads ----------------------------------------------------------------------------------


def test_threads_do_not_see_each_other():
    """Each thread has its own stack of running modules and its own interceptors."""
    nn = linnet.linen
    model = net(nn)
    variables = model.init(KEY, X)
    expected = np.asarray(model.apply(variables, X))
    barrier, wrong = threading.Barrier(4), []

    def seen(next_fun, args, kwargs, ctx):
        if threading.current_thread() is not owner:
            wrong.append(ctx)
        return next_fun(*args, **kwargs)

    def work():
        barrier.wait()
        for _ in range(20):
            if not np.array_equal(model.apply(variables, X), expected):
                wrong.append("value")
            if shapes(model.init(KEY, X)) != shapes(variables):
                wrong.append("names")

    owner = threading.current_thread()
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    with nn.intercept_methods(seen):
        work()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_typo_in_an_attribute_is_suggested():
    """A near name is offered, with the module's path."""
    nn = linnet.linen

    class Outer(nn.Module):
        def setup(self):
            self.encoder = nn.Dense(3)

        def __call__(self, x):
            return self.encodr(x)

    with pytest.raises(AttributeError, match=r"'encodr'.*Did you mean 'encoder'\?"):
        Outer().init(KEY, X)
    assert issubclass(errors.SetAttributeFrozenModuleError, AttributeError)
