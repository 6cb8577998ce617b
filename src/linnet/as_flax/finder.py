"""The finder that answers ``import flax…`` with modules of Linnet.

Python asks the finders in ``sys.meta_path`` for a module it does not have yet; ours stands first
and answers for ``flax`` and everything below it. Its loader imports the module of Linnet that the
table names and hands out that very object, which Python then also files under the name that was
asked for. Two things keep the object what it was: its ``__spec__`` stays its own, so that
``importlib.reload`` reloads Linnet's module in place, under both names; and no module below
``flax`` is ever looked for elsewhere, so that no second copy of a file can be loaded.
"""

import importlib
import importlib.abc
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

from linnet.as_flax.table import COMING, MODULES, VERSION
from linnet.base.errors import FlaxAlreadyImportedError, near

_ROOT = "flax"


class _AliasLoader(importlib.abc.Loader):
    """Loads a module of Flax by handing out the module of Linnet that stands for it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._own: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Returns the module of Linnet."""
        module = importlib.import_module(self._target)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Runs nothing: the module has run. Gives it back the spec that Python has replaced."""
        module.__spec__ = self._own


class _Distribution(importlib.metadata.Distribution):
    """What ``importlib.metadata`` says of Flax: its name and version, and no files."""

    def read_text(self, filename: str) -> str | None:
        """Returns the text of a metadata file, of which there is one."""
        if filename != "METADATA":
            return None
        return f"Metadata-Version: 2.1\nName: {_ROOT}\nVersion: {VERSION}\n"

    def locate_file(self, path: "str | os.PathLike[str]") -> NoReturn:
        """Raises, for there are no files.

        Raises:
            FileNotFoundError: always.
        """
        raise FileNotFoundError(
            f"{os.fspath(path)!r} is looked for among the files of Flax, but linnet.as_flax stands "
            "in for it and has no such files"
        )


class _AliasFinder(importlib.metadata.DistributionFinder):
    """Finds ``flax`` and every module below it in the table, and nothing else."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Returns a spec for a module of Flax, ``None`` for every other module.

        Raises:
            ModuleNotFoundError: it is a module of Flax that Linnet does not have.
        """
        if fullname != _ROOT and not fullname.startswith(f"{_ROOT}."):
            return None
        if fullname not in MODULES:
            raise _unknown(fullname)
        package = any(name.startswith(f"{fullname}.") for name in MODULES)
        loader = _AliasLoader(MODULES[fullname])
        return ModuleSpec(fullname, loader, origin=MODULES[fullname], is_package=package)

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """Returns Flax's distribution if it may be among those asked for."""
        name = None if context is None else context.name
        return [_Distribution()] if name is None or name.lower() == _ROOT else []


def _unknown(fullname: str) -> ModuleNotFoundError:
    parent, _, name = fullname.rpartition(".")
    beside = [each.rpartition(".") for each in MODULES]
    suggestion = near(name, [last for package, _, last in beside if package == parent])
    missing = f"No module named {fullname!r} in Linnet"
    if fullname in COMING:
        missing = f"{missing} yet"
    return ModuleNotFoundError(
        f"{missing}, which linnet.as_flax has put in the place of Flax {VERSION}.{suggestion}",
        name=fullname,
    )


_finder = _AliasFinder()


def install() -> None:
    """Makes ``import flax`` and every ``flax.…`` give Linnet's modules, in this process.

    Installing it again changes nothing.

    Raises:
        FlaxAlreadyImportedError: Flax itself was imported before, so that parts of the program
            hold its classes already.
    """
    if _finder in sys.meta_path:
        return
    held = _loaded()
    if held:
        raise FlaxAlreadyImportedError(held)
    sys.meta_path.insert(0, _finder)
    importlib.invalidate_caches()


def uninstall() -> None:
    """Takes ``install`` back: later imports of ``flax`` are looked for as usual.

    What was imported stays with whoever holds it.
    """
    if _finder not in sys.meta_path:
        return
    sys.meta_path.remove(_finder)
    for name in _loaded():
        del sys.modules[name]


def _loaded() -> list[str]:
    return sorted(name for name in sys.modules if name == _ROOT or name.startswith(f"{_ROOT}."))
