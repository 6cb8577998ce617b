"""`nnx.view` of modules whose `set_view` takes any argument, and `nnx.view_info`, beside Flax's."""

import pytest

from differential.nnx import assert_same
from linnet import nnx


def modules(nnx):
    """Modules with several forms of `set_view`."""

    class Widened(nnx.Dropout):
        def set_view(self, extra=None, **kwargs):
            super().set_view(**kwargs)
            self.extra = extra

    class Any(nnx.Module):
        def set_view(self, **kwargs):
            self.given = dict(kwargs)

    class Some(nnx.Module):
        def set_view(self, a=None, **kwargs):
            self.given = (a, dict(kwargs))
            return kwargs

    return {"Widened": Widened, "Any": Any, "Some": Some}


VIEWS = {
    "passed to the base": lambda nnx, m: vars(
        nnx.view(m["Widened"](0.5), extra=3, deterministic=True)
    )["extra"],
    "any": lambda nnx, m: nnx.view(m["Any"](), x=1).given,
    "some": lambda nnx, m: nnx.view(m["Some"](), a=1, b=2).given,
    "others": lambda nnx, m: nnx.view(m["Some"](), b=2).given,
    "beside another": lambda nnx, m: (
        nnx.view(
            nnx.Dict(a=m["Any"](), d=nnx.Dropout(0.5)), x=2, deterministic=True
        ).d.deterministic
    ),
    "nobody's": lambda nnx, m: nnx.view(nnx.Dropout(0.5), x=2),
}


@pytest.mark.parametrize("name", VIEWS)
def test_arguments_of_a_view(name):
    """A `set_view` with `**kwargs` is called with all arguments, and knows all."""
    assert_same(lambda nnx: VIEWS[name](nnx, modules(nnx)))


def described(nnx):
    """Modules whose views are documented in several ways."""

    class Block(nnx.Module):
        def set_view(self, fast: bool | None = None, depth: int | None = 3, **kwargs):  # noqa: D417
            """Change how it runs.

            Args:
              fast: take the short way.
              depth: how deep,
                at most.
            """
            return kwargs

    class Documented(nnx.Module):
        def set_view(self, size: float | None = 1.0):
            """Change the size.

            Arguments:
              size: how large.
            """

    class Plain(nnx.Module):
        def set_view(self, size: float | None = 1.0, **kwargs):
            pass

    return nnx.Dict(a=Block(), b=Documented(), c=Plain(), d=Plain())


def test_what_a_view_takes_is_described():
    """The text names each class, its arguments, and what its docstring says of them."""
    assert_same(lambda nnx: nnx.view_info(described(nnx)))
    assert_same(lambda nnx: nnx.view_info(described(nnx), only=nnx.Dropout))


def test_a_view_is_described_whatever_its_docstring_has():
    """Arguments without a text, with types, after paragraphs and before sections are listed."""

    class Block(nnx.Module):
        def set_view(self, fast, depth: int = 3, size=None, *rest):  # noqa: D417
            """Change how it runs.

            It has an introduction.

            Args:
                depth (int): how deep.

            Returns:
                Nothing.
            """

    _, *lines = nnx.view_info(Block()).splitlines()
    assert lines == ["  fast", "  depth: int = 3", "    how deep.", "  size = None"]
