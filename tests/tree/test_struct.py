"""Structs, beside Flax's."""

import dataclasses

import flax.struct as reference
import jax
import pytest

from differential.programs import assert_same_text
from linnet.tree import struct as ours


def definitions(m):
    """Makes the same structs with either library."""

    @m.dataclass
    class Point:
        x: int
        name: str = m.field(pytree_node=False, default="origin")

    class Node(m.PyTreeNode):
        x: int

    class Child(Node):
        y: int = m.field(default=1, metadata={"unit": "m"})
        z: int = m.field(pytree_node=False, default=2)

    class Keyword(m.PyTreeNode, kw_only=True):
        x: int = 1
        y: int

    @m.dataclass(frozen=False)
    class Loose:
        x: int = 1

    return Point, Node, Child, Keyword, Loose


# Computed with both libraries and compared as text, or by class of error.
PROGRAMS = [
    lambda point, *_: point(1),
    lambda point, *_: point(1).replace(x=3),
    lambda point, *_: point(1).replace(unknown=3),
    lambda point, *_: setattr(point(1), "x", 2),
    lambda point, *_: jax.tree_util.tree_flatten_with_path(point(1)),
    lambda point, *_: jax.tree.map(lambda x: x + 1, point(1, "there")),
    lambda point, *_: point(1) == point(1),
    lambda point, *_: point(1) == point(1, "there"),
    lambda point, *_: jax.tree.structure(point(1)) == jax.tree.structure(point(2, "there")),
    lambda _, node, child, *__: (node(1), child(1), child(1).replace(z=5)),
    lambda _, node, child, *__: jax.tree.leaves(child(1)),
    lambda _, node, child, *__: dict(dataclasses.fields(child)[1].metadata),
    lambda _, node, child, *__: setattr(child(1), "y", 2),
    lambda _, __, ___, keyword, ____: keyword(y=1),
    lambda _, __, ___, keyword, ____: keyword(1),
    lambda *structs: setattr(structs[-1](), "x", 2),
]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_as_flax(program):
    """The same program gives the same result, or the same class of error, as Flax."""
    assert_same_text(lambda library: program(*definitions(library)), libraries=(reference, ours))


def test_decorating_twice_changes_nothing():
    """A struct made a struct again is the same class."""
    point = definitions(ours)[0]
    assert ours.dataclass(point) is point


def test_field_outside_the_constructor():
    """A field that the constructor does not take is computed, and is no part of the tree."""

    @ours.dataclass
    class Square:
        side: int
        area: int = dataclasses.field(init=False)

        def __post_init__(self):
            object.__setattr__(self, "area", self.side**2)

    assert jax.tree.leaves(Square(3)) == [3]
    assert jax.tree.map(lambda x: x + 1, Square(3)).area == 16


def test_structure_is_static_under_jit():
    """A field that belongs to the structure is a plain value inside jit."""
    point = definitions(ours)[0]
    moved = jax.jit(lambda p: p.replace(x=p.x + len(p.name)))(point(1, "ab"))
    assert moved == point(3, "ab")
