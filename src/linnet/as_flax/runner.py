"""Running a program as ``python`` itself would, with ``flax`` resolved to Linnet.

The program finds what it would find without us: its own ``sys.argv``, ``__main__``, ``__file__``
and ``sys.path[0]``. An exception that escapes it is reported from its first line on, without the
frames that lead there.
"""

import importlib.machinery
import importlib.util
import io
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

from linnet.as_flax.finder import install

_USAGE = """usage: python -m linnet.as_flax program.py [args]
       python -m linnet.as_flax -m module [args]

Runs a program written for Flax with Linnet in Flax's place."""

_INTERRUPTED = 130


class _CannotRunError(Exception):
    """There is no such program; the second argument is the exit status."""


def main(arguments: Sequence[str]) -> int:
    """Runs the program that a command line names.

    Args:
        arguments: the command line after ``python -m linnet.as_flax``.

    Returns:
        The exit status.

    Raises:
        SystemExit: the program raised it.
    """
    install()
    try:
        match arguments:
            case ["-h" | "--help"]:
                sys.stdout.write(f"{_USAGE}\n")
                return 0
            case ["-m", name, *rest]:
                code, program = _module(name)
                sys.argv[:] = [program.__file__ or "-m", *rest]
            case [path, *rest] if not path.startswith("-"):
                code, program = _script(path)
                sys.argv[:] = [path, *rest]
            case _:
                return _complain(_USAGE, 2)
        # For good: what runs at exit, and what is pickled there, looks for it under this name.
        sys.modules["__main__"] = program
        exec(code, program.__dict__)  # noqa: S102 - running a program is what was asked for
    except _CannotRunError as error:
        return _complain(*error.args)
    except Exception as error:  # noqa: BLE001 - reported as Python would
        _report(error)
        return 1
    except KeyboardInterrupt as error:
        _report(error)
        return _INTERRUPTED
    return 0


def _complain(message: str, status: int) -> int:
    sys.stderr.write(f"{message}\n")
    return status


def _script(path: str) -> tuple[CodeType, ModuleType]:
    """Returns the compiled script and an empty module for it to run in."""
    file = Path(path).absolute()
    try:
        with io.open_code(str(file)) as opened:
            source = opened.read()
    except OSError as error:
        raise _CannotRunError(
            f"{sys.executable}: can't open file {str(file)!r}: "
            f"[Errno {error.errno}] {error.strerror}",
            2,
        ) from None
    if not sys.flags.safe_path:
        sys.path[0] = str(file.resolve().parent)
    program = ModuleType("__main__")
    program.__file__ = str(file)
    program.__loader__ = importlib.machinery.SourceFileLoader("__main__", str(file))
    return compile(source, str(file), "exec", dont_inherit=True), program


def _module(name: str) -> tuple[CodeType, ModuleType]:
    """Returns the compiled module, or the ``__main__`` of a package, and a module to run it in."""
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except (ImportError, ValueError) as error:
        raise _CannotRunError(
            f"{sys.executable}: Error while finding module specification for {name!r} "
            f"({type(error).__name__}: {error})",
            1,
        ) from None
    code = None if spec is None else _code_of(spec)
    if spec is None or code is None:
        raise _CannotRunError(f"{sys.executable}: No module named {name}", 1)
    program = ModuleType("__main__")
    program.__file__ = spec.origin
    program.__loader__ = spec.loader
    program.__package__ = spec.parent
    program.__spec__ = spec
    return code, program


def _code_of(spec: ModuleSpec) -> CodeType | None:
    loader = spec.loader
    return loader.get_code(spec.name) if isinstance(loader, InspectLoader) else None


def _report(error: BaseException) -> None:
    """Prints an exception that escaped the program, from the program's first frame on."""
    ours = (__file__, importlib.util.__file__, "<frozen importlib")
    entry = error.__traceback__
    while entry is not None and entry.tb_frame.f_code.co_filename.startswith(ours):
        entry = entry.tb_next
    sys.excepthook(type(error), error.with_traceback(entry), entry)
