"""What happens when an optional package is there, and when it is not."""

import sys

import pytest

from linnet.base.optional import require


def test_require_returns_the_module():
    """A package that is installed is imported and returned, submodules included."""
    assert require("json.decoder", for_="tabulate") is sys.modules["json.decoder"]


def test_require_names_the_package():
    """What is missing is named, with its purpose and the command that installs it."""
    message = (
        r"tabulate needs the package 'absent_package', which is not installed; "
        r"run: pip install absent_package$"
    )
    with pytest.raises(ModuleNotFoundError, match=message):
        require("absent_package.table", for_="tabulate")


def test_require_lets_a_broken_package_speak(tmp_path, monkeypatch):
    """A package that lacks a dependency of its own is not reported as missing itself."""
    (tmp_path / "broken_package.py").write_text("import absent_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'absent_dependency'"):
        require("broken_package", for_="tabulate")
