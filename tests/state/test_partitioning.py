"""Partition names, specs and shardings on a mesh of eight devices, beside Flax's."""

import flax.core.meta as reference
import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

from differential.programs import assert_same_text
from linnet.base.errors import PartitioningUnspecifiedError
from linnet.state import partitioning as ours

X = np.arange(32.0, dtype=np.float32).reshape(4, 8)


@pytest.fixture(scope="module")
def mesh():
    """Two by four devices."""
    return Mesh(np.array(jax.devices()[:8]).reshape(2, 4), ("a", "b"))


def axis(name):
    """Parameters of a transform that name its axis."""
    return {ours.PARTITION_NAME: name}


# Computed with both libraries and compared as text, or by class of error.
PROGRAMS = [
    lambda m, _: m.PARTITION_NAME,
    lambda m, _: m.Partitioned(1, ("a", "b")),
    lambda m, _: m.Partitioned(1, ("a", None)).get_partition_spec(),
    lambda m, _: m.Partitioned(1, ()).get_partition_spec(),
    lambda m, mesh: m.Partitioned(1, ("a", None)).get_sharding(mesh),
    lambda m, mesh: m.Partitioned(1, ("a", "zz")).get_sharding(mesh),
    *(
        lambda m, _, i=i, names=names: m.Partitioned(1, names).add_axis(i, axis("l")).names
        for i in (-5, -2, -1, 0, 1, 2, 3, 5)
        for names in (("a", "b"), ("a",), ())
    ),
    lambda m, _: m.Partitioned(1, ("a",)).add_axis(0, axis(None)),
    lambda m, _: m.Partitioned(1, ("a", "b")).remove_axis(0, axis("a")),
    lambda m, _: m.Partitioned(1, ("a", "b")).remove_axis(-1, axis("b")),
    lambda m, _: m.Partitioned(1, ("a", None)).remove_axis(1, axis(None)),
    lambda m, _: m.Partitioned(1, ("a", "b")).to_nnx_metadata(),
    lambda m, mesh: m.Partitioned(1, ("a", "b"), mesh).to_nnx_metadata(),
    lambda m, mesh: m.Partitioned.from_nnx_metadata(
        {"value": 1, "out_sharding": ("a",), "mesh": mesh, "other": 3}
    ),
    lambda m, _: m.Partitioned.from_nnx_metadata({"value": 1, "sharding": ("a",)}),
    lambda m, _: m.Partitioned(1, ("a",)).replace(names=("b",)),
    lambda m, _: m.Partitioned(1, ("a",)) == m.Partitioned(1, ("a",)),
    lambda m, _: setattr(m.Partitioned(1, ("a",)), "value", 2),
    lambda m, mesh: (
        jax.tree.structure(m.Partitioned(1, ("a",), mesh))
        == jax.tree.structure(m.Partitioned(1, ("a",)))
    ),
    lambda m, mesh: m.with_partitioning(jax.nn.initializers.ones, ("a", "b"), mesh)(
        jax.random.key(0), (2, 2)
    ),
    lambda m, _: m.with_partitioning(jax.nn.initializers.ones, ("a",)).__name__,
    lambda m, mesh: m.get_partition_spec(mixed(m)),
    lambda m, mesh: m.get_sharding(mixed(m), mesh),
    lambda m, _: m.get_partition_spec(X),
    lambda m, _: (m.get_global_mesh(), m.global_mesh_defined()),
    lambda m, mesh: under(mesh, lambda: (m.get_global_mesh(), m.global_mesh_defined())),
    lambda m, mesh: m.Partitioned(X, ("a", "b"), mesh).unbox().sharding,
    lambda m, mesh: m.Partitioned(X, ("a", "zz"), mesh).unbox(),
    lambda m, mesh: m.Partitioned(jnp.ones((3, 5)), ("a", "b"), mesh).unbox(),
    lambda m, mesh: type(m.Partitioned(X, ("a", "b"), mesh).unbox(apply_constraint=False)),
    lambda m, mesh: jax.make_jaxpr(lambda box: box.unbox())(m.Partitioned(X, ("a", "b"), mesh)),
    lambda m, mesh: jax.make_jaxpr(lambda box: box.unbox())(m.Partitioned(X, ("a", "b"))),
    lambda m, mesh: under(
        mesh, lambda: jax.make_jaxpr(lambda box: box.unbox())(m.Partitioned(X, ("a", None)))
    ),
    lambda m, mesh: under(
        mesh, lambda: jax.jit(lambda box: box.unbox())(m.Partitioned(X, ("a", "b"))).sharding
    ),
]


def mixed(m):
    """A tree of boxes, arrays and other leaves."""
    return {
        "box": m.Partitioned(X, ("a", None)),
        "array": X,
        "key": jax.random.key(0),
        "shape": jax.ShapeDtypeStruct((2,), jnp.float32),
        "number": 3,
        "text": "x",
        "none": None,
    }


def under(mesh, f):
    """Calls a function while a mesh is current."""
    with jax.set_mesh(mesh):
        return f()


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_as_flax(program, mesh):
    """The same program gives the same result, or the same class of error, as Flax."""
    assert_same_text(lambda library: program(library, mesh), libraries=(reference, ours))


def test_axis_without_a_name():
    """A transform that does not name its axis is told how to, as in Flax."""
    box = ours.Partitioned(X, ("a", "b"))
    for change in (box.add_axis, box.remove_axis):
        with pytest.raises(PartitioningUnspecifiedError, match="metadata_params"):
            change(0, {})


@pytest.mark.parametrize(("index", "name"), [(0, "zz"), (1, None), (7, "a")])
def test_removing_another_axis(index, name):
    """An axis that is not there under its name is an error that shows the names."""
    box = ours.Partitioned(X, ("a", "b"))
    with pytest.raises(ValueError, match=r"are \('a', 'b'\) and there stands"):
        box.remove_axis(index, axis(name))


def test_eager_value_moves_to_the_current_mesh(mesh):
    """Outside jit too, a box is laid out on the mesh that is current."""
    box = ours.Partitioned(jnp.asarray(X), ("a", "b"))
    value = under(mesh, box.unbox)
    assert value.sharding == NamedSharding(mesh, P("a", "b"))
    assert (value == X).all()


def test_boxes_on_explicit_axes():
    """There a value is resharded, eagerly and compiled; Flax's box only asserts how it lies."""
    mesh = jax.make_mesh((2, 4), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    value = jnp.asarray(X)

    def read(library, own, compiled):
        box = library.Partitioned(value, ("a", "b"), own)
        return under(mesh, jax.jit(box.unbox) if compiled else box.unbox)

    for own in (None, mesh):
        for compiled in (False, True):
            assert read(ours, own, compiled).sharding == NamedSharding(mesh, P("a", "b"))
            with pytest.raises(AssertionError, match="acts as an assert"):
                read(reference, own, compiled)
    assert ours.Partitioned(value, ("a",), mesh).unbox().sharding.spec == P("a", None)


def test_linen_exports_are_these_in_flax():
    """Flax has one Partitioned too; what linen exports is what is compared here."""
    assert flax.linen.Partitioned is reference.Partitioned
