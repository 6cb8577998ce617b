"""Arguments by keyword and by default, counted as the function declares them; options of them."""

import functools

import jax
import jax.numpy as jnp
import pytest

from differential.nnx import assert_same
from differential.nnx_models import layer, values
from linnet import nnx
from linnet.base import errors

X = jnp.array([[1.0, -2.0]])
STEPS = jnp.arange(3.0)


def loss(m, x=X, scale=2.0):
    """A number, of two arguments with defaults."""
    return (m(x) ** 2).mean() * scale


def graded(nnx, *args, argnums=0, f=loss, **kwargs):
    """Values and gradients, as arrays."""
    value, grads = nnx.value_and_grad(f, argnums=argnums)(*args, **kwargs)
    return value, [
        values(g) if isinstance(g, nnx.State) else g
        for g in jax.tree.leaves([grads], is_leaf=lambda g: isinstance(g, nnx.State))
    ]


def product(a, b=2.0):
    """A product, of an argument and one with a default."""
    return a * b


def one(x):
    """A function of one argument."""
    return x


def step(carry, x, factor=2.0):
    """A step of a loop."""
    return carry + factor * x, carry


def made(nnx):
    """Layers made by a mapped constructor that gets its streams by keyword."""

    class Stack(nnx.Module):
        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=(0, 0))
        def __init__(self, rngs):
            self.inner = nnx.Linear(2, 2, rngs=rngs)

        @nnx.scan(in_axes=(0, nnx.Carry))
        def __call__(self, x):
            return self.inner(x), None

    stack = Stack(rngs=nnx.Rngs(0))
    return values(nnx.state(stack)), stack(x=X)[0]


PROGRAMS = {
    "gradient": lambda nnx: graded(nnx, m=layer(nnx), x=X),
    "gradient, a gap": lambda nnx: graded(nnx, m=layer(nnx), scale=3.0),
    "second argument": lambda nnx: graded(nnx, layer(nnx), x=2 * X, argnums=1),
    "of a default": lambda nnx: graded(nnx, layer(nnx), argnums=1),
    "two, in another order": lambda nnx: graded(nnx, x=2 * X, m=layer(nnx), argnums=(0, 1)),
    "from the end": lambda nnx: graded(nnx, layer(nnx), argnums=-1),
    "from the end, by keyword": lambda nnx: graded(nnx, layer(nnx), x=X, argnums=-2),
    "not there": lambda nnx: graded(nnx, layer(nnx), argnums=3),
    "not numeric": lambda nnx: nnx.grad(lambda x, kind="ab": x * len(kind))(3.0, kind="abc"),
    "vmap": lambda nnx: nnx.vmap(product, in_axes=(0, None))(STEPS, b=3.0),
    "vmap, all": lambda nnx: nnx.vmap(product, in_axes=(0, None))(b=3.0, a=STEPS),
    "vmap, a default": lambda nnx: nnx.vmap(product, in_axes=(0, None))(STEPS),
    "vmap, one axis for all": lambda nnx: nnx.vmap(product, in_axes=1)(
        jnp.ones((2, 3)), b=jnp.arange(6.0).reshape(2, 3)
    ),
    "scan": lambda nnx: nnx.scan(step, in_axes=(nnx.Carry, 0, None))(0.0, x=STEPS),
    "scan, all": lambda nnx: nnx.scan(step, in_axes=(nnx.Carry, 0, None))(
        factor=3.0, x=STEPS, carry=0.0
    ),
    "scan, a carry alone": lambda nnx: nnx.scan(
        lambda carry: (carry + 1, carry), in_axes=nnx.Carry, length=3
    )(carry=0.0),
    "methods": made,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_arguments_by_keyword_and_by_default(name):
    """A transformation that counts arguments counts them as the function declares them."""
    assert_same(PROGRAMS[name])


def test_keywords_that_cannot_be_counted():
    """What a function takes by keyword only is still passed on; Flax refuses it."""

    def f(x, *, by):
        return x * by

    assert nnx.grad(f)(2.0, by=3.0) == 3.0
    assert nnx.vmap(f, in_axes=(0,))(STEPS, by=STEPS).tolist() == [0.0, 1.0, 4.0]
    by_column = nnx.vmap(f, in_axes=1)(jnp.ones((2, 3)), by=jnp.arange(6.0).reshape(2, 3))
    assert by_column.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert nnx.grad(functools.partial(product, b=5.0))(2.0) == 5.0


OPTIONS = {
    "static number": {"static_argnums": 5},
    "static number from the end": {"static_argnums": -3},
    "one of several": {"static_argnums": (0, 2)},
    "static name": {"static_argnames": "c"},
    "donated number": {"donate_argnums": 2},
    "donated name": {"donate_argnames": ("a", "c")},
    "those that there are": {"static_argnums": -1, "donate_argnames": "a"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_name_arguments_that_are_there(name):
    """`nnx.jit` refuses options for arguments that the function does not have."""
    assert_same(lambda nnx: nnx.jit(product, **OPTIONS[name]) and None)


def test_options_of_functions_that_take_any_argument():
    """Where a function takes any number or name, all may be named."""

    def f(*args, **kwargs):
        return args[0] * kwargs["by"]

    assert nnx.jit(f, static_argnums=3, static_argnames="by")(2.0, by=3) == 6.0
    with pytest.raises(errors.UnknownArgumentError, match="static_argnums names 1, but one"):
        nnx.jit(one, static_argnums=1)


@pytest.mark.parametrize("result", [3.0, (1.0,), (1.0, 2, 3), {"a": 1.0}, None], ids=repr)
@pytest.mark.parametrize("transform", ["grad", "value_and_grad", "vjp"])
def test_another_output_is_one_of_two(transform, result):
    """With `has_aux`, a function returns a pair; anything else is told by name."""
    made = getattr(nnx, transform)
    f = lambda x: jax.tree.map(lambda leaf: leaf * x, result)
    with pytest.raises(errors.AuxiliaryResultError, match="`return value, other`"):
        made(f, 2.0, has_aux=True) if transform == "vjp" else made(f, has_aux=True)(2.0)


def test_lists_of_objects_that_are_no_pytrees():
    """A list that looks like one of arrays seen before may hold objects."""

    def program(nnx):
        class Opaque(nnx.Module, pytree=False):
            def __init__(self):
                self.w = nnx.Param(jnp.array(4.0))

        f = nnx.jit(lambda items: items[0].w[...] if isinstance(items[0], Opaque) else items[0])
        return f([1.0]), f([Opaque()]), f([jnp.array(2.0)])

    assert_same(program)
