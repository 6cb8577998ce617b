"""``pytest --without-flax``: the tests that need no Flax, run where Flax cannot be imported.

Which those are is read from the code. A test needs Flax if a name that it uses leads to an import
of Flax, through functions, fixtures and constants of its module and of the modules that tests
share; or if it is marked ``flax``, where no name shows it. Tests marked ``slow`` stay out too.

So that modules with tests of both sorts can be imported, ``import flax`` gives a stand-in for as
long as tests are collected. While one runs the stand-in refuses to be used, and so a test that was
judged wrongly fails.
"""

import ast
import functools
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SHARED = [ROOT, ROOT / "tests", ROOT / "examples"]  # where modules that tests import may stand

Name = tuple[Path, str]  # a file, and a name of its module


# --- which tests need Flax --------------------------------------------------------------------


@functools.cache
def needs_flax(name: Name) -> bool:
    """Tell whether a name of a module leads to Flax."""
    seen, found = set(), [name]
    while found:
        path, each = name = found.pop()
        if name in seen:
            continue
        seen.add(name)
        target = names_of(path).get(each)
        if target is FLAX:
            return True
        found.extend(target or ())
    return False


FLAX = object()


@functools.cache
def names_of(path: Path) -> dict[str, Any]:
    """Return what each name at the top of a module leads to: other names, or Flax."""
    found: dict[str, Any] = {}
    tree = ast.parse(path.read_text())
    modules = {}  # name → the file of the module that it is
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name, target in imported(node):
                if isinstance(target, Path):
                    modules[name] = target
                else:
                    found[name] = target
    for node in tree.body:
        for name in defined(node):
            target = leads_to(path, node, modules)
            before = found.get(name, ())
            found[name] = FLAX if FLAX in (target, before) else (*before, *target)
    return found


def imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Any]]:
    """Return the names that an import binds, each with what it leads to or the file it is."""
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        if isinstance(node, ast.Import):
            module, attribute = alias.name, None
        else:
            module, attribute = node.module or "", alias.name
        if module.partition(".")[0] == "flax":
            yield name, FLAX
        elif attribute is not None and (path := file_of(f"{module}.{attribute}")):
            yield name, path
        elif path := file_of(module):
            yield name, path if attribute is None else [(path, attribute)]


def file_of(module: str) -> Path | None:
    """Find the file of a module that tests share."""
    for folder in SHARED:
        path = folder.joinpath(*module.split(".")).with_suffix(".py")
        if path.exists():
            return path
    return None


def defined(node: ast.stmt) -> set[str]:
    """Return the names that a statement at the top of a module defines, or sets attributes of."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    names = set()
    for each in ast.walk(node):
        match each:
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Call(func=ast.Name(id="setattr"), args=[ast.Name(id=name), *_]):
                names.add(name)
            case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store()):
                names.add(name)
    return names


def leads_to(path: Path, node: ast.stmt, modules: dict[str, Path]) -> Any:
    """Return the names that a statement uses, or Flax if it imports that itself."""
    used: list[Name] = []
    for each in ast.walk(node):
        if isinstance(each, ast.Import | ast.ImportFrom):
            for _, target in imported(each):
                if target is FLAX:
                    return FLAX
                used += [] if isinstance(target, Path) else target
        elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
            if module := modules.get(each.value.id):
                used.append((module, each.attr))
        elif isinstance(each, ast.Name):
            used.append((path, each.id))
        elif isinstance(each, ast.arg):  # of a test: a fixture
            used.append((path, each.arg))
    return used


# --- a Flax that cannot be used ---------------------------------------------------------------


class NeedsFlaxError(AssertionError):
    """A test that runs without Flax used it."""


class StandIn(types.ModuleType):
    """What ``import flax`` gives, and every attribute and result of it."""

    running = False  # whether a test is

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.refuse(f"took `{self.__name__}.{name}`")
        return StandIn(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.refuse(f"called `{self.__name__}`")
        return StandIn(f"{self.__name__}()")

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        self.refuse(f"made a subclass of `{self.__name__}`")
        return ()

    @classmethod
    def refuse(cls, what: str) -> None:
        """Fail the test that runs."""
        if cls.running:
            raise NeedsFlaxError(
                f"A test {what}, and runs without Flax, because no name in it leads there. "
                "Mark it with `@pytest.mark.flax`."
            )


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds stand-ins for Flax and its modules."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] != "flax":
            return None
        StandIn.refuse(f"imported `{name}`")
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> StandIn:
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


# --- the plugin -------------------------------------------------------------------------------


class WithoutFlax:
    """Hides Flax, and chooses the tests."""

    def __init__(self) -> None:
        loaded = [name for name in sys.modules if name.partition(".")[0] == "flax"]
        assert not loaded, f"{loaded} were imported before the tests were collected"
        sys.meta_path.insert(0, Finder())

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[Any]) -> None:
        """Leave the others out."""
        others = [item for item in items if self.is_left_out(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]

    @staticmethod
    def is_left_out(item: pytest.Item) -> bool:
        """Tell whether a test needs Flax, or is slow."""
        if item.get_closest_marker("slow") or item.get_closest_marker("flax"):
            return True
        if not isinstance(item, pytest.Function):  # an example in a docstring
            return False
        top = item.cls.__name__ if item.cls else item.function.__name__
        return needs_flax((item.path, top))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Let the stand-in refuse to be used while a test runs."""
        StandIn.running = True
        try:
            return (yield)
        finally:
            StandIn.running = False

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Check that Flax was not imported after all."""
        real = [
            name
            for name, module in sys.modules.items()
            if name.partition(".")[0] == "flax" and not isinstance(module, StandIn)
        ]
        assert not real, f"imported although the tests run without Flax: {real}"
