"""`flax` resolved to Linnet, each case in a process of its own, Flax being installed or hidden."""

import subprocess
import sys
import textwrap

import pytest

from linnet.as_flax.table import MODULES

# A finder that hides Flax, as if it were not installed.
HIDE_FLAX = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "flax":
            raise ModuleNotFoundError("hidden", name=name)
sys.meta_path.insert(0, Hide())
"""
INSTALL = "import linnet.as_flax; linnet.as_flax.install()\n"


def python(program, *options, cwd=None):
    """Runs a program in a fresh process and returns what happened."""
    code = ["-c", textwrap.dedent(program)] if program is not None else []
    return subprocess.run(
        [sys.executable, *code, *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=120,
    )


def printed(program):
    """Runs a program that is to succeed and returns its output."""
    done = python(program)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("hidden", [False, True])
def test_every_module_is_linnets_own(hidden):
    """Each module of the table is one object under both names, with Flax installed or not."""
    output = printed(
        (HIDE_FLAX if hidden else "")
        + INSTALL
        + f"""
import importlib, sys
for theirs, ours in {MODULES!r}.items():
    module = importlib.import_module(theirs)
    assert module is sys.modules[theirs] is importlib.import_module(ours), theirs
    assert module.__name__ == module.__spec__.name == ours, theirs
    parent, _, name = theirs.rpartition(".")
    assert not parent or getattr(sys.modules[parent], name) is module, theirs
assert not [name for name, module in sys.modules.items() if "site-packages/flax/" in str(module)]
print(sys.modules["flax"].__version__, sys.modules["flax.version"].__version__)
"""
    )
    assert output.split() == ["0.12.12", "0.12.12"]


def test_every_way_to_import():
    """All spellings of an import lead to the same objects."""
    assert printed(
        INSTALL
        + """
import flax, flax.linen as nn, linnet.linen, flax.core.frozen_dict
from flax import config, core, jax_utils, linen, struct, training, traverse_util
from flax.core import FrozenDict, frozen_dict, meta, scope
from flax.core.scope import CollectionFilter, FrozenVariableDict, Variable
from flax.linen.module import Module, compact
from flax.linen import spmd
from flax.training import common_utils, train_state
from flax.training.train_state import TrainState
import linnet.tree.frozen_dict, linnet.training.train_state, linnet.base.config, linnet.tree.struct
assert flax.linen is nn is linen is linnet.linen and Module is linnet.linen.Module
assert FrozenDict is linnet.tree.frozen_dict.FrozenDict is flax.core.FrozenDict
assert TrainState is linnet.training.train_state.TrainState and flax.training is training
assert config is linnet.base.config.config and struct is linnet.tree.struct
print("same")
"""
    )


def test_patches_reloads_and_pickles_agree():
    """What is done under one name is seen under the other."""
    assert printed(
        INSTALL
        + """
import importlib, pickle, sys
import flax.linen as theirs, linnet.linen as ours, flax.struct, linnet.tree.struct, flax.core
theirs.Dense = None
assert ours.Dense is None
assert importlib.reload(theirs) is ours is sys.modules["flax.linen"] is sys.modules["linnet.linen"]
assert theirs.Dense is not None and theirs.__spec__.name == "linnet.linen"
assert importlib.reload(flax.core) is sys.modules["flax.core"]
assert importlib.reload(flax) is sys.modules["flax"]
frozen = flax.core.FrozenDict(a=1)
assert pickle.loads(pickle.dumps(frozen)) == frozen
written_by_flax = b"cflax.core.frozen_dict\\nFrozenDict\\n."
assert pickle.loads(written_by_flax) is flax.core.FrozenDict
print("agree")
"""
    )


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("import flax.nothing", "No module named 'flax.nothing' in Linnet"),
        ("import flax.linen.functional", "No module named 'flax.linen.functional' in Linnet"),
        ("import flax.training.checkpointz", "No module named 'flax.training.checkpointz'"),
        ("import flax.strukt", "Did you mean 'struct'?"),
        (
            "from flax import nothing",
            "cannot import name 'nothing' from 'linnet.as_flax.flax'",
        ),
        ("from flax.linen import nothing", "cannot import name 'nothing' from 'linnet.linen'"),
        ("import flax.struct.deeper", "No module named 'flax.struct.deeper'"),
        ("import flax; flax.nothing", "has no attribute 'nothing'"),
    ],
)
def test_unknown_names_are_named(statement, named):
    """What Linnet does not have fails with its name, although Flax is installed."""
    done = python(INSTALL + statement)
    assert done.returncode == 1
    assert named in done.stderr.splitlines()[-1]


def test_flax_imported_before():
    """Installing after Flax was imported is an error that says what to do; so nothing is mixed."""
    done = python("import sys, types\nsys.modules['flax'] = types.ModuleType('flax')\n" + INSTALL)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert "FlaxAlreadyImportedError" in last
    assert "python -m linnet.as_flax program.py" in last


def test_install_and_uninstall():
    """Installing twice is installing once, and uninstalling brings Flax back."""
    assert printed(
        INSTALL
        + """
import sys, importlib.util, importlib.metadata
linnet.as_flax.install()
finders = len(sys.meta_path)
assert importlib.util.find_spec("flax").origin == "linnet.as_flax.flax"
import flax.struct
assert importlib.metadata.version("flax") == "0.12.12"
linnet.as_flax.uninstall()
linnet.as_flax.uninstall()
assert len(sys.meta_path) == finders - 1
assert not [name for name in sys.modules if name.partition(".")[0] == "flax"]
assert importlib.util.find_spec("flax").origin.endswith("flax/__init__.py")
print("back")
"""
    )


def test_metadata():
    """Programs that ask for Flax's version by its metadata find it, even if it is not installed."""
    assert (
        printed(
            INSTALL
            + """
import importlib.metadata as metadata
found = metadata.distribution("flax")
print(type(found).__module__, found.name, found.version, metadata.version("jax") != "0.12.12")
assert metadata.version("Flax") == "0.12.12"
assert "flax" in {each.name for each in metadata.distributions()}
assert found.files is None and found.requires is None
"""
        )
        == "linnet.as_flax.finder flax 0.12.12 True\n"
    )


PROGRAM = """
import pickle, sys
import flax.linen as nn
import neighbour

class Net(nn.Module):
    pass

if __name__ == "__main__":
    print(sys.argv, __file__, __package__, __spec__ is None)
    print(sys.path[0], nn.__name__, neighbour.HERE)
    print(pickle.loads(pickle.dumps(Net)) is Net, sys.modules["__main__"].Net is Net)
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with a script, a package, and what they import."""
    (tmp_path / "neighbour.py").write_text("HERE = 1\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "broken.py").write_text("def f():\n    raise ValueError('mine')\n\nf()\n")
    (tmp_path / "syntax.py").write_text("x = (\n")
    (tmp_path / "leaves.py").write_text(
        "import atexit, sys\natexit.register(print, 'at exit')\nsys.exit(5)\n"
    )
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("import flax.struct\n")
    (package / "inner.py").write_text("VALUE = 7\n")
    (package / "__main__.py").write_text(
        "import sys\nfrom .inner import VALUE\nfrom flax import linen\n"
        "print(sys.argv[1:], VALUE, __name__, __package__, __spec__.name, linen.__name__)\n"
    )
    return tmp_path


def test_script(folder):
    """A script sees its arguments, its folder and itself as if Python had run it."""
    (folder / "elsewhere").mkdir()
    done = python(
        None, "-m", "linnet.as_flax", "../program.py", "-m", "--flag", cwd=folder / "elsewhere"
    )
    assert done.returncode == 0, done.stderr
    about, where, same = done.stdout.splitlines()
    path = folder / "elsewhere" / ".." / "program.py"
    assert about == f"{['../program.py', '-m', '--flag']} {path} None True"
    assert where == f"{folder} linnet.linen 1"
    assert same == "True True"


def test_module(folder):
    """A module or package is run with its own package, arguments and spec."""
    done = python(None, "-m", "linnet.as_flax", "-m", "package", "a", "-b", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['a', '-b'] 7 __main__ package package.__main__ linnet.linen\n"
    done = python(None, "-m", "linnet.as_flax", "-m", "program", cwd=folder)
    assert f"{[str(folder / 'program.py')]}" in done.stdout, done.stderr


@pytest.mark.parametrize("program", ["broken.py", "syntax.py"])
def test_tracebacks_as_python_prints_them(folder, program):
    """An exception that escapes is shown without the frames that led to the program."""
    path = str(folder / program)
    plain = python(None, path)
    through = python(None, "-m", "linnet.as_flax", path)
    assert through.returncode == plain.returncode == 1
    assert through.stderr == plain.stderr


def test_exit_status(folder):
    """What the program exits with is what the process exits with, after what runs at exit."""
    done = python(None, "-m", "linnet.as_flax", str(folder / "leaves.py"))
    assert (done.returncode, done.stdout) == (5, "at exit\n")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "usage: python -m linnet.as_flax program.py [args]"),
        (["--unknown"], 2, "usage:"),
        (["-m"], 2, "usage:"),
        (["missing.py"], 2, "can't open file"),
        (["-m", "missing_module"], 1, "No module named missing_module"),
        (["-m", "missing_module.inner"], 1, "Error while finding module specification"),
    ],
)
def test_nothing_to_run(arguments, status, said):
    """A command line that names no program is answered as Python would."""
    done = python(None, "-m", "linnet.as_flax", *arguments)
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_help():
    """`--help` shows the usage and succeeds."""
    done = python(None, "-m", "linnet.as_flax", "--help")
    assert done.returncode == 0
    assert "-m module [args]" in done.stdout
