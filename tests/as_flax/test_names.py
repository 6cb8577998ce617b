"""The names that programs import from the modules of `flax.nnx`, found under the alias."""

import importlib
import subprocess
import sys

import pytest

from linnet import nnx
from linnet.as_flax.table import COMING, MODULES
from versions import NEWEST

NNX = {theirs: ours for theirs, ours in MODULES.items() if theirs.startswith("flax.nnx")}

# the names that stand for another kind of thing in Flax, for the reader of annotations only
OTHERWISE = {
    "flax.nnx.filterlib": {"Filter"},
}
# Flax's attribute → the module that it is
ATTRIBUTES = [
    *("compat", "filterlib", "graph", "graphlib", "helpers", "initializers", "metrics", "module"),
    *("nn", "object", "optimizer", "pytreelib", "rnglib", "spmd", "statelib", "summary"),
    *("training", "transforms", "traversals", "variablelib", "visualization"),
]


@pytest.mark.flax
@pytest.mark.parametrize("theirs", [name for name in NNX if name != "flax.nnx"])
def test_gathered_names_are_flaxs(theirs):
    """Flax's module has each name that ours gathers, and for the same kind of thing."""
    ours = importlib.import_module(NNX[theirs])
    if not NNX[theirs].startswith("linnet.nnx.namespaces"):
        return
    reference = importlib.import_module(theirs)
    names = set(ours.__all__) - OTHERWISE.get(theirs, set())
    if not NEWEST:
        names -= {"RoPE", "dot_product_attention_with_rope"}
    for name in names:
        value, theirs_value = getattr(ours, name), getattr(reference, name)
        assert isinstance(value, type) == isinstance(theirs_value, type), name
        assert callable(value) == callable(theirs_value), name


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_modules_are_attributes_of_nnx(name):
    """`nnx.statelib.State` and its kin work with the alias and without it."""
    import flax.nnx

    module, theirs = getattr(nnx, name), getattr(flax.nnx, name)
    assert name in dir(nnx)
    assert type(module) is type(theirs)


def test_gathered_names_are_ours():
    """What is reached through a module of Flax's name is what `nnx` has."""
    assert nnx.variablelib.Param is nnx.Param
    assert nnx.statelib.State is nnx.State
    assert nnx.graph.split is nnx.split
    assert nnx.module.Module is nnx.Module
    assert nnx.nn.linear.Linear is nnx.Linear
    assert nnx.object.Pytree is nnx.Pytree
    assert nnx.compat.jit(lambda x: x + 1)(1) == 2


@pytest.mark.flax
@pytest.mark.parametrize("name", sorted(COMING))
def test_what_is_coming_is_in_flax(name):
    """Every module that is said to be missing is one that Flax has."""
    assert importlib.util.find_spec(name) is not None
    assert name not in MODULES


@pytest.mark.flax
@pytest.mark.parametrize("package", ["linen", "nnx"])
def test_names_that_are_coming(package):
    """A name that Flax has and Linnet has not yet fails by saying so, a mistyped one as such."""
    ours = importlib.import_module(f"linnet.{package}")
    theirs = importlib.import_module(f"flax.{package}")
    for name in ours._COMING:
        assert hasattr(theirs, name), name
        with pytest.raises(AttributeError, match=rf"has no '{name}' yet, which Flax"):
            getattr(ours, name)
    with pytest.raises(AttributeError, match=r"'LSTMCel'\. Did you mean 'LSTMCell'"):
        _ = ours.LSTMCel


def test_every_name_of_nnx_is_there_or_coming():
    """Of the names in `flax.nnx`, each is in Linnet or among those that are said to be coming."""
    import flax.nnx

    public = {name for name in dir(flax.nnx) if not name.startswith("_")}
    assert not {name for name in public - nnx._COMING if not hasattr(nnx, name)}


PROGRAM = """
import flax
from flax import nnx
from flax.nnx import statelib, variablelib
from flax.nnx.nn import initializers, linear, normalization
from flax.nnx.nn.linear import Linear, default_embed_init
from flax.nnx.training.metrics import MultiMetric
from flax.nnx.transforms.iteration import StateAxes
from flax.nnx.traversals import flatten_mapping
import flax.nnx.graph, linnet.nnx
assert nnx is flax.nnx is linnet.nnx
assert statelib.State is nnx.State and variablelib.Variable is nnx.Variable
assert nnx.graph is flax.nnx.graphlib and nnx.graph.merge is nnx.merge
assert flatten_mapping({"a": {"b": 1}}) == {("a", "b"): 1}
for line in ("import flax.nnx.bridge", "from flax.nnx import cond"):
    try:
        exec(line)
    except ImportError as error:
        print(error)
"""


def test_imports_under_the_alias():
    """The spellings that programs use lead to Linnet's objects, and what is missing is named."""
    install = "import linnet.as_flax; linnet.as_flax.install()\n"
    done = subprocess.run(
        [sys.executable, "-c", install + PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    bridge, cond = done.stdout.splitlines()
    assert "No module named 'flax.nnx.bridge' in Linnet yet" in bridge
    assert "cannot import name 'cond' from 'linnet.nnx'" in cond
