"""Transformations of classes, methods and functions, and of modules that are reached twice."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from tests.linen.transforms.probes import (
    EACH,
    RNGS,
    SHARED,
    X,
    block,
    everything,
    leaf,
    shown,
    twice as called_twice,
    user,
)

import linnet.linen as nn
from differential.linen import assert_same
from linnet.base import errors

LIFTS = {
    "jit": lambda nn: nn.jit,
    "remat": lambda nn: nn.remat,
    "vmap": lambda nn: partial(nn.vmap, **EACH),
    "shared vmap": lambda nn: partial(nn.vmap, **SHARED),
}
PLAIN = ["jit", "remat"]
each_lift = pytest.mark.parametrize("lift", LIFTS.values(), ids=LIFTS)
each_plain = pytest.mark.parametrize("lift", [LIFTS[name] for name in PLAIN], ids=PLAIN)


@each_lift
def test_a_class_draws_the_keys_that_it_draws_in_flax(lift):
    """Keys, counts, parameters and what is sown are the same, in two calls and around them."""
    assert_same(lambda nn: everything(called_twice(nn, lambda nn: lift(nn)(block(nn))(), X)))


NESTED = {
    "jit of jit": lambda nn, c: nn.jit(nn.jit(c)),
    "jit of remat": lambda nn, c: nn.jit(nn.remat(c)),
    "jit of vmap": lambda nn, c: nn.jit(nn.vmap(c, **EACH)),
    "vmap of jit": lambda nn, c: nn.vmap(nn.jit(c), **EACH),
    "vmap of vmap": lambda nn, c: nn.vmap(nn.vmap(c, **EACH), **EACH),
}


@pytest.mark.parametrize("lift", NESTED.values(), ids=NESTED)
def test_nested_transformations(lift):
    """Transformations nest, with the same keys, names and variables as in Flax."""
    assert_same(lambda nn: everything(called_twice(nn, lambda nn: lift(nn, block(nn))(), X)))


@each_plain
def test_a_module_shared_with_the_outside(lift):
    """A module passed in a field is one module: one set of variables, one count."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                other = leaf(nn)(name="other")
                lifted = lift(nn)(user(nn))(other, name="user")
                return other(x)[1], lifted(x)[1], lifted(x)[1], other(x)[1]

        return everything(Outer(), X)

    assert_same(program)


@each_lift
def test_a_module_in_a_field_of_its_own(lift):
    """A description in a field becomes a submodule, inside and outside."""

    def make(nn):
        return lift(nn)(user(nn))(leaf(nn)(parent=None))

    assert_same(lambda nn: everything(called_twice(nn, make, X)))


@each_lift
def test_modules_as_arguments(lift):
    """Modules may be arguments, alone and in lists; each is rebuilt inside once."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                first, second, third = (leaf(nn)() for _ in range(3))

                def function(module, other, more, x):
                    return [module(x)[1], other(x)[1], more[0](x)[1], module(x)[1]]

                axes = {"in_axes": (None, None, 0)} if "vmap" in str(lift(nn)) else {}
                return lift(nn)(function, **axes)(first, second, [third], x)

        return everything(Outer(), X)

    assert_same(program)


@each_plain
def test_methods_continue_the_numbering_of_the_compact_method_they_are_called_in(lift):
    """What a transformed method or function creates is numbered with the rest."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                first = leaf(nn)()(x)[1]
                second = self.helper(x)[1]
                third = lift(nn)(lambda module, x: leaf(nn)()(x))(self, x)[1]
                return [first, second, third, leaf(nn)()(x)[1]]

            @lift(nn)
            def helper(self, x):
                return leaf(nn)()(x)

        return everything(Outer(), X)

    assert_same(program)


@each_plain
def test_a_compact_method(lift):
    """A transformation may stand above `@nn.compact`."""

    def program(nn):
        class Outer(nn.Module):
            @lift(nn)
            @nn.compact
            def __call__(self, x):
                return block(nn)()(x), shown(self.make_rng("dropout"))

        return everything(Outer(), X)

    assert_same(program)


def test_a_transformation_may_stand_below_compact():
    """Flax refuses that; the order of the two decorators says nothing different here."""

    class Above(nn.Module):
        @nn.jit
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x)

    class Below(nn.Module):
        @nn.compact
        @nn.jit
        def __call__(self, x):
            return nn.Dense(2)(x)

    one, other = (cls().init(RNGS, X) for cls in (Above, Below))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), one, other))


@each_plain
def test_a_method_of_a_module_with_setup(lift):
    """`setup` runs inside again; what it draws is counted as in Flax."""

    def program(nn):
        class Inner(nn.Module):
            def setup(self):
                self.leaf = leaf(nn)()
                self.key = shown(self.make_rng("dropout"))

            @lift(nn)
            def __call__(self, x):
                return self.key, self.leaf(x)[1]

            def plain(self, x):
                return self.key, self.leaf(x)[1]

        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                inner = Inner(name="inner")
                return [inner.plain(x), inner(x), inner(x), inner.plain(x)]

        return everything(Outer(), X)

    assert_same(program)


def test_modules_in_fields_of_a_compiled_one_with_setup():
    """Flax runs their `setup` outside first, so that their parameters have keys from there."""

    def program(nn):
        class Inner(nn.Module):
            def setup(self):
                self.own = self.param("own", shown)

            def __call__(self, x):
                return self.own

        class Compiled(nn.Module):
            inner: nn.Module

            def setup(self):
                self.second = Inner()

            def __call__(self, x):
                return self.inner(x), self.second(x)

        return everything(nn.jit(Compiled)(Inner()), X)

    assert_same(program)


@each_lift
def test_several_methods(lift):
    """`methods` names what is transformed; each is applied by itself."""

    def program(nn):
        class Autoencoder(nn.Module):
            def setup(self):
                self.encoder, self.decoder = nn.Dense(3), nn.Dense(4)

            def encode(self, x):
                return self.encoder(x)

            def decode(self, x):
                return self.decoder(x)

            def __call__(self, x):
                return self.decode(self.encode(x))

        model = lift(nn)(Autoencoder, methods=["encode", "decode"])()
        variables = model.init(RNGS, X)
        return variables, model.apply(variables, X), model.apply(variables, X, method="encode")

    assert_same(program)


def test_options_by_method():
    """`methods` may be a dictionary from names to options, beside which the others stay."""

    class Pair(nn.Module):
        @nn.compact
        def __call__(self, x):
            return self.double(x)

        def double(self, x):
            return 2 * x

    lifted = nn.vmap(Pair, variable_axes={"params": 0}, methods={"double": {"out_axes": 1}})
    assert lifted().apply({}, X, method="double").shape == (4, 3)


def test_names_of_classes():
    """A transformed class is named after its transformation, and its instances are numbered so."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                mapped = partial(nn.vmap, **EACH)(nn.Dense)
                for cls in (mapped, nn.jit(nn.Dense), nn.remat(nn.Dense), mapped):
                    x = cls(4)(x)
                return nn.jit(nn.checkpoint(nn.Dense))(4)(x)

        return list(Outer().init(RNGS, X)["params"])

    assert "JitCheckpointDense_0" in assert_same(program)


def test_inside_a_module_is_of_the_class_that_was_given():
    """The path and the class are those of the model."""
    seen = []

    class Inner(nn.Module):
        @nn.compact
        def __call__(self, x):
            seen.append((type(self), self.path))
            return x

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.remat(Inner)(name="inner")(x)

    Outer().apply({}, X)
    assert seen == [(Inner, ("inner",))]


def test_subclasses_of_transformed_classes():
    """A subclass may add fields and call the transformed method by `super`."""
    mapped = nn.vmap(nn.Dense, variable_axes={"params": 0}, split_rngs={"params": True})

    class Scaled(mapped):
        factor: float = 2.0

        def __call__(self, x):
            return super().__call__(x) * self.factor

    model, plain = Scaled(3), mapped(3)
    variables = model.init(RNGS, X)
    assert variables["params"]["kernel"].shape == (3, 4, 3)
    assert jnp.allclose(model.apply(variables, X), 2 * plain.apply(variables, X))


@each_plain
def test_capture_and_interception(lift):
    """Inside, results are captured and methods intercepted, once."""
    calls = []

    def note(next_fun, args, kwargs, context):
        calls.append((type(context.module).__name__, context.method_name))
        return next_fun(*args, **kwargs)

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            return lift(nn)(nn.Dense)(2, name="inner")(x)

    variables = Outer().init(RNGS, X)
    with nn.intercept_methods(note):
        _, captured = Outer().apply(variables, X, capture_intermediates=True)
    assert calls == [("Outer", "__call__"), ("Dense", "__call__")]
    assert captured["intermediates"]["inner"]["__call__"][0].shape == (3, 2)


def test_a_function_shares_what_it_makes_with_itself_untransformed():
    """Names that it gives are free inside, and stay free."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                def function(module, x):
                    return nn.Dense(4, name="shared")(x)

                return nn.remat(function)(self, x), function(self, x)

        return everything(Outer(), X)

    assert_same(program, drawn=True)


def test_what_is_no_class_method_or_function():
    """A module, and anything else, are refused with the line to write."""
    with pytest.raises(errors.TransformTargetError, match=r"nn\.jit\(Dense\)\(\.\.\.\)"):
        nn.jit(nn.Dense(3))
    with pytest.raises(errors.TransformTargetError, match=r"3 \(int\)"):
        nn.vmap(3)


def test_calls_without_a_bound_module():
    """An unbound module, and a first argument that is none, are refused."""
    with pytest.raises(errors.CallCompactUnboundModuleError, match=r"nn\.remat could carry"):
        nn.remat(nn.Dense)(2)(X)
    with pytest.raises(errors.LiftedArgumentError, match=r"float32\[3,4\]"):
        nn.jit(lambda module, x: x)(X, X)
    with pytest.raises(errors.LiftedArgumentError, match="a Dense that is not bound"):
        nn.remat(lambda module, x: x)(nn.Dense(2), X)
    with pytest.raises(AttributeError, match="Did you mean 'encode'"):
        nn.jit(type("Coder", (nn.Module,), {"encode": lambda self: 1}), methods=["enocde"])


@pytest.mark.parametrize("what", ["module", "variable"])
def test_only_values_come_out(what):
    """Returning a module or a variable is an error."""

    def program(nn):
        class Outer(nn.Module):
            @nn.compact
            def __call__(self, x):
                def function(module, x):
                    return module if what == "module" else module.variable("s", "v", lambda: 1)

                return nn.jit(function)(self, x)

        return Outer().init(RNGS, X)

    assert_same(program)
    with pytest.raises(errors.TransformedMethodReturnValueError, match="only values come out"):
        program(nn)


def test_reaching_out_of_a_transformation():
    """Writing to a module of the outside from inside is an error that names it."""

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            norm = nn.BatchNorm(use_running_average=False, name="norm")
            norm(x)
            return nn.vmap(lambda module, x: norm(x), variable_axes={})(self, x)

    variables = Outer().init(RNGS, X)
    with pytest.raises(errors.JaxTransformError, match="/norm"):
        Outer().apply(variables, X, mutable=["batch_stats"])
