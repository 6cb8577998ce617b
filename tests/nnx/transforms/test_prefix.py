"""`nnx.prefix`: how the parts of a model cross, said by filters or by a function, beside Flax's."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from differential.nnx import assert_same

TREES = {"graph": False}
GRAPHS = {"graph": True}
VALUES = {"graph_updates": False}


def model(nnx):
    """Layers in one, with a statistic of all."""
    parts = {"w": nnx.Param(jnp.arange(6.0).reshape(3, 2)), "n": nnx.BatchStat(jnp.array(1.0))}
    return nnx.Dict(part=nnx.Dict(**parts))


def leaves(nnx):
    """The same as leaves of a dictionary."""
    return {"w": nnx.Param(jnp.arange(6.0).reshape(3, 2)), "n": nnx.BatchStat(jnp.array(1.0))}


def applied(nnx, said, **how):
    """Map the model by what is said."""
    m = model(nnx)
    axes = nnx.prefix(m, said, **how)
    f = nnx.vmap(lambda m, x: m.part.w[...] * x + m.part.n[...], in_axes=(axes, 0), **VALUES | how)
    return f(m, jnp.arange(3.0))


def applied_to_leaves(nnx, said, **how):
    """Map the dictionary by what is said."""
    tree = leaves(nnx)
    axes = nnx.prefix(tree, said, **how)
    return nnx.vmap(lambda t: t["w"][...] + t["n"][...], in_axes=(axes,), **VALUES | how)(tree)


def shared(nnx):
    """One model as two arguments."""
    m = model(nnx)
    one, two = nnx.prefix((m, m), {nnx.Param: 0, ...: None}, **GRAPHS)
    return nnx.vmap(lambda a, b: a.part.w[...] + b.part.w[...], in_axes=(one, two), **VALUES)(m, m)


def laid_out(nnx):
    """Compile for a layout by filters."""
    mesh = jax.make_mesh(
        (2,), ("x",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2]
    )
    split, whole = (NamedSharding(mesh, PartitionSpec(*spec)) for spec in (("x",), ()))
    m = nnx.Dict(w=nnx.Param(jnp.ones((4, 2))), n=nnx.BatchStat(jnp.ones(4)))
    said = nnx.prefix(m, {nnx.Param: split, ...: whole}, **GRAPHS)
    y = nnx.jit(lambda m: m.w[...] * 2, in_shardings=(said,), **VALUES)(m)
    return y, str(y.sharding.spec)


def paths(nnx):
    """The paths that a function is called with."""
    seen = []
    nnx.prefix(
        {"m": model(nnx), "x": jnp.ones(2)},
        lambda path, leaf: seen.append((path, type(leaf).__name__)),
        **TREES,
    )
    return sorted(seen, key=str)


PROGRAMS = {
    "by filter": lambda nnx: applied(nnx, {nnx.Param: 0, ...: None}, **GRAPHS),
    "by filter, trees": lambda nnx: applied(nnx, {nnx.Param: 0, ...: None}, **TREES),
    "by a function": lambda nnx: applied(nnx, lambda path, _: 0 if "w" in path else None, **TREES),
    "leaves": lambda nnx: applied_to_leaves(nnx, {nnx.BatchStat: None, nnx.Param: 0}, **GRAPHS),
    "leaves, by a function": lambda nnx: applied_to_leaves(
        nnx, lambda path, _: 0 if "w" in path else None, **TREES
    ),
    "by no filter": lambda nnx: nnx.prefix(model(nnx), {nnx.Param: 0}),
    "arrays": lambda nnx: nnx.prefix({"x": jnp.ones(3), "y": jnp.ones(2)}, lambda path, x: x.size),
    "shared": shared,
    "a layout": laid_out,
    "paths": paths,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_prefixes_as_on_flax(name):
    """What is said of the parts of a model is what a transformation does, as in Flax."""
    assert_same(PROGRAMS[name])
