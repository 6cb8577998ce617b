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
# The floors inside a façade, from the ground up.
FLOORS = {
    "linen": ["names", "modules", "transforms", "layers", "__init__"],
    "nnx": [
        *("names", "objects", "graph", "random", "capture", "transforms", "training", "layers"),
        *("spmd", "summary", "__init__", "compat"),
    ],
}
# What may be imported inside a function: optional packages, and what only some calls need.
OPTIONAL = {"IPython", "optax", "orbax", "rich", "treescope"}
ON_DEMAND = {
    ("base/config.py", "difflib"),  # once something is wrong
    ("base/errors/words.py", "difflib"),
    ("linen/modules/functional.py", "linnet.linen.modules.misfit.explain"),
    ("linen/modules/module.py", "linnet.linen.modules.summary"),  # tables, which few programs draw
    ("tree/serialization.py", "msgpack"),  # checkpoints, likewise
}
LONGEST_FILE, LONGEST_FUNCTION = 600, 80
# JAX's transformations, which only ``lift`` calls for a façade
TRANSFORMATIONS = re.compile(
    r"jax\.(lax\.)?(jit|pjit|vmap|pmap|shard_map|grad|value_and_grad|vjp|jvp|linearize|hessian|"
    r"jacfwd|jacrev|custom_vjp|custom_jvp|checkpoint|remat|eval_shape|scan|map|cond|switch|"
    r"while_loop|fori_loop|associative_scan)$"
)
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


def module_name(path: Path) -> str:
    """Names a module as an import would."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path): path for path in MODULES}


def imported_modules(path: Path) -> set[str]:
    """Names the modules of Linnet that a file imports anywhere, in functions too."""
    found = set()
    for name in imports(path, ast.walk(ast.parse(path.read_text()))):
        while name and name not in NAMES:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {"", module_name(path)}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Lists the sets of modules that can reach one another (Tarjan's components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            cut = stack.index(node)
            component = stack[cut:]
            del stack[cut:]
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_no_circles():
    """No file can reach itself by imports, those inside functions counted."""
    assert circles({name: imported_modules(path) for name, path in NAMES.items()}) == []


def floor_of(dotted: str) -> tuple[str, int] | None:
    """Finds the façade that a module belongs to, and the floor that it stands on."""
    _, layer, room, *_ = [*dotted.split("."), "__init__", "__init__"]
    return (layer, FLOORS[layer].index(room)) if layer in FLOORS else None


@each_module
def test_floors_inside_a_facade(path):
    """Inside `linen` and `nnx` a room imports itself and those below it."""
    place = floor_of(module_name(path))
    if place is None:
        return
    wrong = [
        name
        for name in imported_modules(path)
        if (other := floor_of(name)) is not None and other[0] == place[0] and other[1] > place[1]
    ]
    assert not wrong, f"{name_of(path)} imports upwards: {wrong}"


def test_every_room_has_a_floor():
    """Each folder and file of a façade is named among its floors."""
    for facade, floors in FLOORS.items():
        rooms = {
            p.stem for p in (SOURCE / facade).iterdir() if p.suffix == ".py" or any(p.glob("*.py"))
        }
        assert rooms - {"__pycache__"} == set(floors)


def imports_in_functions(path: Path) -> set[str]:
    """Names what a file imports inside its functions."""
    tree = ast.parse(path.read_text())
    functions = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return {name for each in functions for name in imports(path, ast.walk(each))}


@each_module
def test_imports_stand_at_the_top(path):
    """Only optional packages, and a named list of modules, are imported inside a function."""
    place = str(path.relative_to(SOURCE))
    wrong = {
        name
        for name in imports_in_functions(path)
        if name.split(".")[0] not in OPTIONAL and (place, name) not in ON_DEMAND
    }
    assert not wrong, f"{name_of(path)} imports {wrong} inside a function"


def test_list_of_imports_on_demand_is_true():
    """What the list names is imported so."""
    found = {
        (str(path.relative_to(SOURCE)), name)
        for path in MODULES
        for name in imports_in_functions(path)
    }
    assert found >= ON_DEMAND


@each_module
def test_files_have_an_end(path):
    """No file is longer than a reader can hold."""
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@each_module
def test_functions_have_an_end(path):
    """No function is longer than a page, its docstring not counted."""
    long = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = first.end_lineno - first.lineno + 1 if told else 0
            lines = node.end_lineno - node.lineno + 1 - docstring
            if lines > LONGEST_FUNCTION:
                long[node.name] = lines
    assert not long


@pytest.mark.parametrize(
    "path",
    [path for facade in FLOORS for path in (SOURCE / facade / "transforms").rglob("*.py")],
    ids=name_of,
)
def test_transforms_go_through_lift(path):
    """A transformation of a façade calls none of JAX's: it picks a ``run`` of ``lift``."""
    tree = ast.parse(path.read_text())
    spoken = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    imported = [name for name in imports(path, ast.walk(tree)) if name.startswith("jax")]
    assert not [name for name in [*spoken, *imported] if TRANSFORMATIONS.match(name)]


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


LAYERS = sorted(
    path
    for facade in FLOORS
    for path in (SOURCE / facade / "layers").glob("*.py")
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


@pytest.mark.parametrize("facade", FLOORS)
def test_type_checkers_see_what_is_loaded_on_demand(facade):
    """What a façade fetches by `_ON_DEMAND` it imports for type checkers, name for name."""
    tree = ast.parse((SOURCE / facade / "__init__.py").read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen: set[str] = set()
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            seen |= {alias.asname or alias.name for alias in node.names}
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                seen.add(each.id)
    [text] = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "_ON_DEMAND"
    ]
    fetched = {name.partition("=")[0] for name in text.split() if not name.endswith(":")}
    above = {"compat"}  # imports the façade itself, so that this may not import it
    assert {name for name in seen if not name.startswith("_")} == fetched - above


CHANGING = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
CHANGING |= {"setdefault", "update"}
LASTING = {"ContextVar", "WeakKeyDictionary", "WeakSet", "WeakValueDictionary", "count", "local"}


def _called(function):
    return getattr(function, "attr", getattr(function, "id", ""))


def remembered_in(tree):
    """Name what a module remembers beyond a call: caches, and values that its functions change."""
    found = set()
    values = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        named = node.targets if isinstance(node, ast.Assign) else [node.target]
        values |= {each.id: node.value for each in named if isinstance(each, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            decorators = [getattr(each, "func", each) for each in node.decorator_list]
            if {"cache", "lru_cache"} & set(map(_called, decorators)):
                found.add(node.name)
        elif isinstance(node, ast.Global):
            found.update(node.names)
        changed = [*getattr(node, "targets", ()), getattr(node, "target", None)]
        if isinstance(node, ast.Call) and _called(node.func) in CHANGING:
            changed.append(node.func)
        for each in changed:
            if isinstance(each, ast.Subscript | ast.Attribute):
                found.update({_called(each.value)} & values.keys())
    local = {
        each.name
        for each in tree.body
        if isinstance(each, ast.ClassDef) and "local" in map(_called, each.bases)
    }
    made = {n: _called(v.func) for n, v in values.items() if isinstance(v, ast.Call)}
    return found | {name for name, cls in made.items() if cls in LASTING | local}


def test_what_is_remembered_is_listed():
    """Each cache, memo and changing value stands in `docs/architecture.md`, with its test."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.split("## What is remembered", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    listed = {}
    for row in rows:
        first, last = row.split(" | ")[0], row.rsplit(" | ", 1)[1]
        place, *names = re.findall(r"`([^`]+)`", first)
        file, name = place.split(": ")
        listed.setdefault(file, set()).update([name, *names])
        for test in re.findall(r"`(test_\w+\.py)`", last):
            assert list((ROOT / "tests").rglob(test)), test
    for file in sorted(SOURCE.rglob("*.py")):
        names = remembered_in(ast.parse(file.read_text(encoding="utf-8")))
        name = file.relative_to(SOURCE).as_posix()
        assert names <= listed.get(name, set()), (name, names - listed.get(name, set()))


def test_what_remembers_is_recognised():
    """The reading of sources that the list rests on finds what it is to find."""
    source = (
        "import functools, threading\nFIXED = {1: 2}\na = {}\nb = []\n"
        "c = threading.local()\nd = 0\n"
        "class T(threading.local): ...\ne = T()\n@functools.cache\ndef f(): a[1] = 2; b.append(1)\n"
        "def g():\n    global d\n    d = FIXED[1]\n"
    )
    assert remembered_in(ast.parse(source)) == {"a", "b", "c", "d", "e", "f"}
