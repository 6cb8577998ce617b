"""Contexts and trees: several objects taken apart at once, and put together, beside Flax's."""

import jax
import jax.numpy as jnp
import pytest

from differential.nnx import assert_same
from differential.nnx_models import layer, values
from linnet import nnx


def _contexts(nnx):
    m = layer(nnx)
    with nnx.split_context() as ctx:
        one, two = ctx.split(m), ctx.split([m, nnx.Param(jnp.ones(1))])
    with nnx.merge_context() as ctx:
        a, b = ctx.merge(*one), ctx.merge(*two)
    return values(one[1]), values(two[1]), b[0] is a


def _filters(nnx):
    m = layer(nnx)
    with nnx.split_context() as ctx:
        graphdef, first, rest = ctx.split(m, nnx.PathContains("bias"), ...)
    with nnx.merge_context() as ctx:
        return values(first), values(rest), values(nnx.state(ctx.merge(graphdef, first, rest)))


def _update(nnx):
    m = layer(nnx)
    kernel = m.kernel

    @nnx.update_context("tag")
    def run():
        with nnx.split_context("tag") as ctx:
            graphdef, state = ctx.split(m)

        @jax.jit
        def inner(state):
            with nnx.merge_context("tag", inner=True) as ctx:
                inside = ctx.merge(graphdef, state)
            inside.kernel[...] = inside.kernel[...] * 2
            inside.new = nnx.Param(jnp.ones(1))
            with nnx.split_context("tag") as ctx:
                return ctx.split(inside)

        out = inner(state)
        with nnx.merge_context("tag", inner=False) as ctx:
            return ctx.merge(*out)

    return run() is m, m.kernel is kernel, values(nnx.state(m))


def _trees(nnx):
    m = layer(nnx)
    tree = nnx.to_tree((m, {"x": m, "y": 3}))
    back = nnx.from_tree(tree)
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return leaves, back[0] is back[1]["x"], values(tree[0].state), values(tree[1]["x"].state)


def _through_jit(nnx):
    tree = jax.jit(lambda t: jax.tree.map(lambda x: x + 1, t))(nnx.to_tree([layer(nnx), 2.0]))
    m, x = nnx.from_tree(tree)
    return values(nnx.state(m)), x


PROGRAMS = {
    "contexts": _contexts,
    "filters": _filters,
    "update": _update,
    "trees": _trees,
    "through jit": _through_jit,
    "prefix": lambda nnx: len(
        jax.tree.leaves(nnx.to_tree((layer(nnx), layer(nnx)), prefix=(0, None)))
    ),
    "aliases": lambda nnx: nnx.to_tree((layer(nnx),) * 2, prefix=(0, None)),
    "no context": lambda nnx: nnx.current_update_context("nobody"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_on_flax(name):
    """What is shared stays shared, what is changed inside is changed outside."""
    assert_same(PROGRAMS[name])


def test_messages():
    """Messages say which line opens a context, and that there is one sort of variables."""
    with pytest.raises(ValueError, match=r"@nnx\.update_context"):
        nnx.current_update_context("nobody")
    with pytest.raises(NotImplementedError, match="Python objects"):
        nnx.var_defaults(ref=True)
    assert not nnx.var_defaults().hijax
