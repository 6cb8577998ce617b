"""The choice of tests that run without Flax, and the stand-in that holds them to it."""

import sys
from pathlib import Path

import pytest

from without_flax import Finder, NeedsFlaxError, StandIn, needs_flax

TESTS = Path(__file__).parent
FIXTURES = """
import flax.linen as fnn
import pytest
from differential import linen as both
from differential.linen import LINNET, assert_same

CASES = [fnn.Dense]

class Theirs: ...

setattr(Theirs, "a", fnn)

@pytest.fixture
def layer():
    return fnn.Dense(2)

def by_fixture(layer): ...

@pytest.mark.parametrize("case", CASES)
def by_decorator(case): ...

def by_attribute(): return both.FLAX

def by_class(): return Theirs

def by_import():
    from flax import nnx

def by_helper(): assert_same(len)

def ours(): return LINNET, both.LINNET
"""


@pytest.mark.parametrize(
    ("module", "name", "needs"),
    [
        ("linen", "assert_same", True),
        ("linen", "FLAX", True),
        ("linen", "LINNET", False),
        ("nnx", "assert_same_layer", True),
        ("compare", "compare", False),
        ("functions", "assert_same_function", False),
    ],
)
def test_what_leads_to_flax(module, name, needs):
    """Of the shared functions, those that run Flax are known."""
    assert needs_flax((TESTS / "differential" / f"{module}.py", name)) == needs


def test_ways_to_flax(tmp_path):
    """A test is found out by its fixtures, decorators, constants, helpers and imports."""
    path = tmp_path / "module.py"
    path.write_text(FIXTURES)
    ways = ["fixture", "decorator", "attribute", "class", "import", "helper"]
    assert [way for way in ways if not needs_flax((path, f"by_{way}"))] == []
    assert not needs_flax((path, "ours"))


def test_the_stand_in_gives_way_until_a_test_runs(monkeypatch):
    """Modules of tests can be imported without Flax; a test that uses it fails by saying so."""
    monkeypatch.setattr(StandIn, "running", False)
    flax = Finder().create_module(Finder().find_spec("flax"))

    class Layer(flax.linen.Module):
        size = flax.linen.initializers.ones()

    assert Layer.__bases__ == (object,)
    monkeypatch.setattr(StandIn, "running", True)
    for use in (lambda: flax.linen, lambda: Layer.size(), lambda: Finder().find_spec("flax.nnx")):
        with pytest.raises(NeedsFlaxError, match=r"Mark it with `@pytest\.mark\.flax`"):
            use()
    assert Finder().find_spec("jax") is None


def test_flax_is_hidden_where_it_should_be(request):
    """With `--without-flax` no module of Flax is the real one."""
    flax = [module for name, module in sys.modules.items() if name.partition(".")[0] == "flax"]
    if request.config.getoption("without_flax"):
        assert all(isinstance(module, StandIn) for module in flax)
    else:
        assert not any(isinstance(module, StandIn) for module in flax)
