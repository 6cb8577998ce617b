"""`nnx.capture` with transformations between it and what sows, and in several threads."""

import contextvars
import functools
import gc
import threading
import weakref

import jax
import jax.numpy as jnp
import pytest

from differential.nnx import assert_same
from linnet import nnx
from linnet.nnx.objects import call_hooks, sown

X = jnp.arange(4.0)


def block(nnx):
    """A module that sows what it computes."""

    class Block(nnx.Module):
        def __init__(self, w=1.0):
            self.w = nnx.Param(jnp.full((), w))

        def __call__(self, x):
            y = self.w[...] * x
            self.sow(nnx.Intermediate, "h", y)
            return y

        def halved(self, x):
            return x / 2

    return Block


def pair(nnx):
    """A model of two of them."""

    class Pair(nnx.Module):
        def __init__(self):
            self.a, self.b = block(nnx)(2.0), block(nnx)(3.0)

        def __call__(self, x):
            return self.b(self.a(x))

    return Pair()


def captured(nnx, f, *args, types=None, **how):
    """What is captured in a call."""
    result, *states = nnx.capture(f, *(types or (nnx.Intermediate,)), **how)(*args)
    return result, [nnx.to_pure_dict(state) for state in states]


def call(m, x):
    """Call a module."""
    return m(x)


def total(m, x):
    """The sum of what a module computes."""
    return m(x).sum()


def perturbed(nnx):
    """A module that perturbs its input."""

    class Perturbed(nnx.Module):
        def __init__(self):
            self.w = nnx.Param(jnp.array(3.0))

        def __call__(self, x):
            y = self.w[...] * self.perturb("h", x) ** 2
            self.sow(nnx.Intermediate, "y", y)
            return y

    return Perturbed()


def summing(nnx):
    """A module that sows a sum."""

    class Summing(nnx.Module):
        def __call__(self, x):
            add = {"reduce_fn": jnp.add, "init_fn": lambda: jnp.zeros(())}
            self.sow(nnx.Intermediate, "s", x, **add)
            return x

    return Summing()


def per_instance(nnx, param=0):
    """Axes of a model whose parameters may be shared."""
    return nnx.StateAxes({nnx.Param: param, ...: 0})


def stacked(nnx, n=4):
    """Several blocks in one."""
    return nnx.vmap(block(nnx))(jnp.arange(1.0, n + 1))


def mixed(nnx):
    """Call a model in `jit`, without, and in `jit` again."""
    jitted = nnx.jit(call)

    def f(m, x):
        return jitted(m, m(jitted(m, x)))

    return captured(nnx, f, pair(nnx), X)


def gradient_at(nnx, transform):
    """The gradient by perturbations that enter a transformation."""
    m = perturbed(nnx)
    _, start = nnx.capture(m, nnx.Perturbation)(X)

    def loss(m, start):
        return nnx.capture(transform(call), nnx.Intermediate, init=start)(m, X)[0].sum()

    of_model, of_start = nnx.grad(loss, argnums=(0, 1))(m, start)
    return nnx.to_pure_dict(of_model), nnx.to_pure_dict(of_start)


def jitted_method(nnx):
    """A module whose method is compiled."""

    class Jitted(block(nnx)):
        @nnx.jit
        def __call__(self, x):
            return super().__call__(x)

    return captured(nnx, Jitted(2.0), X)


def left_behind(nnx):
    """What a capture leaves on the model, under a name of the model's own."""
    m = pair(nnx)
    captured(nnx, nnx.jit(call), m, X)
    return "h" in vars(m.a)


def vmapped(nnx, **how):
    """Blocks of one model, each in an instance."""
    f = nnx.vmap(call, in_axes=(0, None), **how)
    return captured(nnx, lambda m, x: (f(m, x), f(m, x)), stacked(nnx), X)


def scanned(nnx, **how):
    """Blocks of one model, one after the other."""
    f = nnx.scan(call, in_axes=(0, nnx.Carry), out_axes=nnx.Carry, **how)
    return captured(nnx, f, stacked(nnx), X)


def vmap_in_scan(nnx):
    """A grid of blocks."""
    row = nnx.vmap(lambda m, c: (c, m(c)), in_axes=(0, None), out_axes=(None, 0))
    f = nnx.scan(row, in_axes=(0, nnx.Carry), out_axes=(nnx.Carry, 0))
    grid = nnx.vmap(nnx.vmap(block(nnx)))(jnp.ones((3, 2)))
    return captured(nnx, f, grid, X)


def inner_capture(nnx, transform):
    """A capture inside of a capture: the inner one has what is sown."""

    def f(m, x):
        return nnx.to_pure_dict(nnx.capture(m, nnx.Intermediate)(x)[1])

    return captured(nnx, transform(f), pair(nnx), X)


PROGRAMS = {
    "jit": lambda nnx: captured(nnx, nnx.jit(call), pair(nnx), X),
    "remat": lambda nnx: captured(nnx, nnx.remat(call), pair(nnx), X),
    "grad": lambda nnx: captured(nnx, nnx.grad(total), block(nnx)(), X)[1],
    "remat in jit": lambda nnx: captured(nnx, nnx.jit(nnx.remat(call)), pair(nnx), X),
    "grad in jit": lambda nnx: captured(nnx, nnx.jit(nnx.grad(total)), block(nnx)(), X)[1],
    "remat in grad": lambda nnx: captured(
        nnx, nnx.grad(lambda m, x: nnx.remat(call)(m, x).sum()), block(nnx)(), X
    )[1],
    "jit, without, jit": mixed,
    "a part": lambda nnx: captured(nnx, lambda m, x: nnx.jit(call)(m.b, x), pair(nnx), X),
    "a jitted method": jitted_method,
    "a sum": lambda nnx: captured(nnx, nnx.jit(lambda m, x: m(m(x))), summing(nnx), X),
    "one model twice": lambda nnx: captured(
        nnx, lambda m: nnx.jit(lambda a, b: a(b(X)))(m, m), pair(nnx)
    ),
    "left behind": left_behind,
    "vmap": vmapped,
    "vmap, values only": lambda nnx: vmapped(nnx, graph_updates=False),
    "vmap, shared parameters": lambda nnx: captured(
        nnx, nnx.vmap(call, in_axes=(per_instance(nnx, None), 0)), block(nnx)(), X
    ),
    "scan": scanned,
    "scan, values only": lambda nnx: scanned(nnx, graph_updates=False),
    "vmap in scan": vmap_in_scan,
    "perturbations": lambda nnx: captured(
        nnx, nnx.jit(call), perturbed(nnx), X, types=(nnx.Perturbation,)
    ),
    "gradient at perturbations": lambda nnx: gradient_at(nnx, lambda f: f),
    "gradient at perturbations in jit": lambda nnx: gradient_at(nnx, nnx.jit),
    "gradient at perturbations in remat": lambda nnx: gradient_at(nnx, nnx.remat),
    "inside": lambda nnx: nnx.jit(lambda m: captured(nnx, m, X))(pair(nnx)),
    "a capture in a capture": lambda nnx: inner_capture(nnx, lambda f: f),
    "a capture in jit in a capture": lambda nnx: inner_capture(nnx, nnx.jit),
    "model in a tuple": lambda nnx: captured(
        nnx, nnx.jit(lambda pair: pair[0](pair[1])), (block(nnx)(), X)
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_captured_through_transformations(name):
    """Values reach the capture outside of a transformation, stacked where it maps, as in Flax."""
    assert_same(PROGRAMS[name])


def _shapes(f, *args):
    return jax.tree.map(jnp.shape, captured(nnx, f, *args)[1])


def test_values_of_instances_have_an_axis_whatever_the_axis_of_the_module():
    """A shared module, and one that is carried, sow in every instance; Flax refuses both."""
    m = block(nnx)()
    assert _shapes(nnx.vmap(call, in_axes=(None, 0)), m, X) == [{"h": ((4,),)}]
    f = nnx.scan(lambda m, x: (m, m(x)), in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))
    assert _shapes(f, m, X) == [{"h": ((4,),)}]
    f = nnx.scan(lambda m, c, x: (c, m(x)), in_axes=(None, nnx.Carry, 0))
    assert _shapes(f, m, jnp.array(0.0), X) == [{"h": ((4,),)}]


def test_an_exception_in_a_transformation_ends_its_captures():
    """What is sown after an exception goes where it went before."""

    @nnx.jit
    def fails(m, x):
        m(x)
        raise ValueError("on purpose")

    def f(m, x):
        with pytest.raises(ValueError, match="on purpose"):
            fails(m, x)
        assert len(sown.running_captures.get()) == 1
        return m(x)

    m = block(nnx)()
    assert _shapes(f, m, X) == [{"h": ((4,),)}]
    assert sown.running_captures.get() == ()
    assert vars(m).keys() == {"w"}


def test_a_program_is_compiled_once_with_a_capture_and_once_without():
    """A capture is part of what a program is compiled for, and equal captures share one."""
    traced = []

    @nnx.jit
    def f(m, x):
        traced.append(len(traced))
        return m.halved(x)

    m = block(nnx)()
    for _ in range(2):
        f(m, X)
        captured(nnx, f, m, X)
        captured(nnx, f, block(nnx)(), X)
    assert len(traced) <= 4  # two classes, each with and without


def test_results_of_methods_through_transformations():
    """The results of methods are captured inside of a transformation, too."""
    f = functools.partial(nnx.capture, method_outputs=nnx.Intermediate)
    m = block(nnx)(2.0)
    _, plain = f(lambda m, x: m.halved(m(x)))(m, X)
    _, jitted = f(nnx.jit(lambda m, x: m.halved(m(x))))(m, X)
    _, mapped = f(nnx.vmap(lambda m, x: m.halved(m(x)), in_axes=(None, 0)))(m, X)
    expected = {"__call__": (2 * X,), "h": (2 * X,), "halved": (X,)}
    for state in (plain, jitted, mapped):
        assert jax.tree.all(jax.tree.map(jnp.array_equal, nnx.to_pure_dict(state), expected))


def test_results_of_methods_of_a_class_and_its_base_are_recorded_once():
    """A method that both classes have, or that calls the one of the base, gives one result."""
    Block = block(nnx)

    class Heir(Block):
        def __call__(self, x):
            return super().__call__(x) + 1

    m = nnx.Dict(a=Block(), b=Heir())
    _, _, outputs = nnx.capture(
        lambda m, x: m["a"].halved(m["b"].halved(m["b"](m["a"](x)))),
        nnx.Intermediate,
        method_outputs=nnx.BatchStat,
    )(m, X)
    counts = {p: len(v[...]) for p, v in nnx.to_flat_state(outputs)}
    assert counts == {(n, f): 1 for n in "ab" for f in ("__call__", "halved")}


def _overlapping(first, second):
    """Run two functions that get a function to wait for each other with, in two threads."""
    barrier = threading.Barrier(2, timeout=20)
    found = [None, None]

    def run(number, f):
        found[number] = f(barrier.wait)

    threads = [threading.Thread(target=run, args=each) for each in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads_capture_one_model_each_for_itself():
    """Overlapping captures of one model see what their own thread sows, and undo what they did."""
    m = block(nnx)()
    cls, methods = type(m), dict(vars(type(m)))

    def capture(value):
        def f(wait):
            def inside(m):
                wait()
                m(jnp.array(value))
                wait()

            got = nnx.capture(inside, nnx.Intermediate, method_outputs=nnx.Intermediate)(m)[1]
            return nnx.to_pure_dict(got)

        return f

    one, two = _overlapping(capture(1.0), capture(2.0))
    assert one == {"__call__": (1.0,), "h": (1.0,)}
    assert two == {"__call__": (2.0,), "h": (2.0,)}
    assert {name: vars(cls)[name] for name in methods} == methods


def test_methods_without_self_are_called_as_ever():
    """Static and class methods, and properties, are not captured, and work."""

    class Model(nnx.Module):
        def __call__(self, x):
            return self.double(self.own(x)) * self.three

        @staticmethod
        def double(x):
            return 2 * x

        @classmethod
        def own(cls, x):
            return x + (cls is Model)

        @property
        def three(self):
            return 3

    _, outputs = nnx.capture(Model(), method_outputs=nnx.Intermediate)(1.0)
    assert nnx.to_pure_dict(outputs) == {"__call__": (12.0,)}


def test_a_capture_keeps_nothing():
    """Models and what they sowed are let go, whatever was compiled while they were captured."""
    f = nnx.jit(call)
    m = block(nnx)()
    result, state = nnx.capture(f, nnx.Intermediate, method_outputs=nnx.BatchStat)(m, X)[:2]
    gone = weakref.ref(m), weakref.ref(m.w), weakref.ref(state["h"])
    del m, state, result
    gc.collect()
    assert [each() for each in gone] == [None] * 3
    assert not call_hooks._observers


def test_a_call_after_a_capture_sows_on_the_model():
    """What was compiled under a capture is not used without one, nor the other way round."""
    f, m = nnx.jit(call), block(nnx)()
    captured(nnx, f, m, X)
    assert "h" not in vars(m)
    f(m, X)
    assert m.h[...][0].shape == (4,)
    other = block(nnx)()
    assert captured(nnx, f, other, X)[1][0]["h"][0].shape == (4,)
    assert "h" not in vars(other)


def test_a_context_that_is_copied_is_captured_in():
    """A thread with a copy of the context sows into its captures; one without does not."""

    def f(m):
        def inside():
            m(jnp.array(1.0))

        thread = threading.Thread(target=contextvars.copy_context().run, args=(inside,))
        thread.start()
        thread.join()

    m = block(nnx)()
    assert captured(nnx, f, m)[1] == [{"h": (1.0,)}]
    assert "h" not in vars(m)
