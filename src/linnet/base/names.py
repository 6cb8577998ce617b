"""Modules and names that stand elsewhere than programs look for them.

Programs know modules by the names that Flax gives them; here their parts live in rooms of their
own. A *table* says, for the modules of one package, where the parts are. An entry is text:

* ``"linnet.ops.dtypes"``: the module is that one.
* lines ``"linnet.nnx: Param Variable"``: the module gathers these names from there. ``new=old``
  gives a name another one; ``linnet.base: errors`` may name a module, too.

Nothing is imported before it is asked for. :func:`publish` makes the modules of a table importable,
:func:`on_demand` makes the names of one text attributes of a module.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeAlias

from linnet.base.errors import no_such_name

Sources: TypeAlias = dict[str, tuple[str, str]]
"""For each name the module that has it, and its name there."""


def read(text: str) -> Sources:
    """Read the lines of an entry.

    >>> read("linnet.base.typing: Key PathParts=Path")
    {'Key': ('linnet.base.typing', 'Key'), 'PathParts': ('linnet.base.typing', 'Path')}
    """
    found: Sources = {}
    home = ""
    for word in text.split():
        if word.endswith(":"):
            home = word[:-1]
        else:
            name, _, old = word.partition("=")
            found[name] = home, old or name
    return found


def fetch(asking: str, home: str, name: str) -> Any:
    """Return a name of a module, which may be a module inside it.

    Args:
        asking: the module that is asked for the name; its own names are modules inside it.
        home: the module that has it.
        name: the name there.
    """
    module = importlib.import_module(home)
    if home != asking and hasattr(module, name):
        return getattr(module, name)
    return importlib.import_module(f"{home}.{name}")


class TableFinder(MetaPathFinder, Loader):
    """Finds the modules of a table below a package."""

    def __init__(self, package: str, table: Mapping[str, str]) -> None:
        self.table = {f"{package}.{name}": entry for name, entry in table.items()}
        self._own: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a module of the table, ``None`` for every other one."""
        if fullname not in self.table:
            return None
        inside = any(name.startswith(f"{fullname}.") for name in self.table)
        return ModuleSpec(fullname, self, is_package=inside)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module that an entry names, or one that gathers."""
        entry = self.table[spec.name]
        if ":" in entry:
            made = ModuleType(spec.name, "Names of other modules, gathered.")
            vars(made)["__getattr__"], vars(made)["__dir__"] = on_demand(vars(made), entry)
            return made
        module = importlib.import_module(entry)
        self._own[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Forget what was fetched; give a module that lives elsewhere its own spec back."""
        name = getattr(module.__spec__, "name", "")
        if ":" in self.table[name]:
            for each in read(self.table[name]):
                vars(module).pop(each, None)
        else:
            module.__spec__ = self._own.pop(name)


def publish(package: str, table: Mapping[str, str]) -> None:
    """Make the modules of a table importable below a package, after the package's own files."""
    sys.meta_path.append(TableFinder(package, table))


def on_demand(
    namespace: dict[str, Any],
    text: str,
    modules: Mapping[str, str] = {},
    coming: Iterable[str] = (),
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a module some of whose names are fetched late.

    Args:
        namespace: the ``globals()`` of the module.
        text: where the names are, as in a table.
        modules: the table of the modules below it, which are attributes, too.
        coming: names that Flax has and Linnet has not yet.
    """
    package: str = namespace["__name__"]
    sources = read(text)
    inner = {name for name in modules if "." not in name}

    def find(name: str) -> Any:
        if name in sources:
            found = fetch(package, *sources[name])
        elif name in inner:
            entry = modules[name]
            found = importlib.import_module(f"{package}.{name}" if ":" in entry else entry)
        else:
            raise AttributeError(no_such_name(package, name, names(), coming))
        namespace[name] = found
        return found

    def names() -> list[str]:
        return sorted({*namespace, *sources, *inner})

    return find, names
