"""Attributes annotated in the class body as data or static, beside Flax's."""

import flax.nnx
import jax
import pytest

from linnet import nnx

WRITTEN = """
class Plain(nnx.Pytree):
    x: nnx.Data[int]
    y: nnx.Static[int]
    z: int

    def __init__(self):
        self.x, self.y, self.z = 1, 2, 3


@nnx.dataclass
class Fields(nnx.Pytree):
    x: nnx.Data[int]
    y: nnx.Static[str]
    z: int = 3


found = [jax.tree.leaves(Plain()), jax.tree.leaves(Fields(1, "a"))]
"""


@pytest.mark.filterwarnings("ignore:'Data' is deprecated", "ignore:'Static' is deprecated")
@pytest.mark.parametrize("first", ["", "from __future__ import annotations\n"])
def test_annotations_mark_attributes(first):
    """`nnx.Data[...]` makes an attribute data, and nothing else does; spelled late, too."""
    found = []
    for library in (flax.nnx, nnx):
        names = {"nnx": library, "jax": jax, "__name__": __name__}
        exec(compile(first + WRITTEN, "program", "exec", dont_inherit=True), names)
        found.append(names["found"])
    assert found[1] == found[0] == [[1], [1]]


def test_static_annotations_are_held_to():
    """Data in an attribute that is annotated as static is an error."""

    class Table(nnx.Pytree):
        values: nnx.Static[object]

        def __init__(self):
            self.values = jax.numpy.ones(2)

    with pytest.raises(ValueError, match=r"Table\.values is marked as static"):
        Table()
