"""Packages that Linnet uses only when asked to, imported where they are needed.

No module of Linnet imports one of them at its top: ``import linnet.linen`` stays light, and a
program that never prints a table needs no table library. What is missing is named together with
the command that installs it.
"""

import importlib
from types import ModuleType
from typing import Any

from linnet.base.errors import short


def require(module: str, *, for_: str) -> ModuleType:
    """Imports an optional package, or says how to install it.

    Args:
        module: the module to import, as ``import`` would spell it.
        for_: what it is needed for, as the user would call it.

    Returns:
        The module.

    Raises:
        ModuleNotFoundError: the package is not installed.

    >>> require("json", for_="tabulate").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        # A package that is there but lacks one of its own dependencies has another cure.
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ModuleNotFoundError(
            f"{for_} needs the package {package!r}, which is not installed; "
            f"run: pip install {package}",
            name=error.name,
        ) from None


def check_transformation(tx: Any, form: str) -> None:
    """Check that a transformation of optax is one.

    Args:
        tx: what was given for it.
        form: how the call should look.

    Raises:
        TypeError: it is none.
    """
    if isinstance(tx, type) or not callable(getattr(tx, "init", None)):
        raise TypeError(
            f"{form.partition('(')[0]} was given {short(tx)} for tx, which is no "
            f"transformation of gradients: it has no init. Write {form}."
        )
