"""The shape of the project, read from its source: what may import what, and what may not stand."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "linnet"
MODULES = sorted(SOURCE.rglob("*.py"))
SCRIPTS = sorted(
    path for folder in ("examples", "benchmarks") for path in (ROOT / folder).rglob("*.py")
)

LEVEL = {
    "base": 0,
    "tree": 1,
    "ops": 1,
    "state": 2,
    "lift": 3,
    "display": 3,
    "linen": 4,
    "nnx": 4,
    "interop": 5,
    "training": 5,
    "as_flax": 6,
}
# Pairs (importer, imported) on one level, or near enough, that the levels alone would allow.
FORBIDDEN = {("ops", "tree"), ("linen", "nnx"), ("nnx", "linen")}
HEAVY = {
    "cloudpickle",
    "matplotlib",
    "optax",
    "orbax",
    "rich",
    "sklearn",
    "tensorstore",
    "treescope",
}
INTERNALS = re.compile(r"jax\.(_src|extend)\b")
DOORWAY = SOURCE / "base" / "jaxcompat.py"


def name_of(path: Path) -> str:
    """Names a file in the ids of the tests below."""
    return str(path.relative_to(ROOT))


def package_of(path: Path) -> str:
    """Names the package a module stands in, as a relative import inside it counts."""
    return ".".join(path.relative_to(SOURCE.parent).parent.parts)


def imports(path: Path, nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Yields the full dotted name of everything the given nodes import, `from` names included."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parents = package_of(path).split(".")
                kept = parents[: len(parents) - node.level + 1]
                origin = ".".join([*kept, origin] if origin else kept)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Walks what is executed when a module is imported: no function body, no type checking."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (found for each in child.orelse for found in run_at_import(each))
            continue
        yield child
        yield from run_at_import(child)


def layer_of(dotted: str) -> str | None:
    """Names the layer that a dotted name inside linnet belongs to, if any."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "linnet" and len(parts) > 1 and parts[1] in LEVEL else None


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)
each_file = pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=name_of)


@each_module
def test_imports_point_down(path):
    """A module imports its own layer and the layers below it, never up and never sideways."""
    importer = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if importer not in LEVEL:
        assert path == SOURCE / "__init__.py", f"{name_of(path)} stands in no layer"
        return
    wrong = [
        imported
        for imported in imports(path, ast.walk(ast.parse(path.read_text())))
        if (layer := layer_of(imported)) is not None
        and (LEVEL[layer] > LEVEL[importer] or (importer, layer) in FORBIDDEN)
    ]
    assert not wrong, f"{name_of(path)} is in {importer} and imports {wrong}"


@each_module
def test_source_never_imports_flax(path):
    """Flax is what the tests compare with; the library stands without it."""
    found = [
        name
        for name in imports(path, ast.walk(ast.parse(path.read_text())))
        if name.split(".")[0] == "flax"
    ]
    assert not found


@each_module
def test_heavy_packages_are_imported_where_they_are_used(path):
    """Importing a module of Linnet loads no optional package."""
    found = [
        name
        for name in imports(path, run_at_import(ast.parse(path.read_text())))
        if name.split(".")[0] in HEAVY
    ]
    assert not found


@each_module
def test_jax_internals_have_one_doorway(path):
    """Only base/jaxcompat.py knows `jax._src` and `jax.extend`."""
    if path == DOORWAY:
        return
    tree = ast.parse(path.read_text())
    spoken = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert not [name for name in [*imports(path, ast.walk(tree)), *spoken] if INTERNALS.match(name)]


@each_module
def test_no_assert_statements(path):
    """What a user passes is checked with an error that teaches, never with an assertion."""
    tree = ast.parse(path.read_text())
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


@each_file
def test_file_is_named_for_its_idea(path):
    """No file is a drawer for odds and ends, and no name carries a numeral."""
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not re.search(r"\d", path.stem)


@each_file
def test_nothing_is_left_for_later(path):
    """What is not done stands in an issue, not in the source."""
    assert not re.findall(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text())


def test_import_of_linen_is_light():
    """`import linnet.linen` loads none of the optional packages."""
    program = (
        "import sys, jax\n"
        "before = set(sys.modules)\n"  # jax loads cloudpickle where it is installed
        "import linnet.linen\n"
        "loaded = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        f"print(sorted(loaded & {HEAVY!r}))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


LAYERS = [
    SOURCE / "linen" / f"{family}.py"
    for family in (
        "activation",
        "attention",
        "combinators",
        "convolution",
        "dense",
        "normalization",
        "pooling",
        "stochastic",
    )
] + sorted(
    path
    for path in (SOURCE / "nnx" / "layers").glob("*.py")
    if path.stem not in {"dtypes", "layer"}  # what layers are made with
)
# the functions of JAX that a hook of NNX stands in the place of are named as its default
DEFAULTS = {"jax.lax.conv_general_dilated", "jax.lax.dot_general"}
# of jax.numpy a layer may name dtypes, ask for a shape, and name einsum as the default of a hook
NO_ARITHMETIC = {"einsum", "float32", "int32", "shape", "issubdtype", "floating"}


@pytest.mark.parametrize("path", LAYERS, ids=name_of)
def test_layers_leave_the_arithmetic_to_ops(path):
    """A layer declares, makes parameters, and calls an op: no jnp function, no lax, no jax.nn."""
    tree = ast.parse(path.read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"jnp", "lax", "np", "jax", "random"}
    }
    assert used <= NO_ARITHMETIC, f"{name_of(path)} computes with {sorted(used - NO_ARITHMETIC)}"
    imported = {name for name in imports(path, ast.walk(tree)) if name.startswith("jax")}
    assert imported <= {"jax.numpy", "jax", *DEFAULTS}, imported
    arrays = [node for node in ast.walk(tree) if isinstance(node, ast.MatMult | ast.Pow)]
    assert arrays == []
