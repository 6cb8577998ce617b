"""The page for contributors holds what it shows."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.mark.flax
def test_the_differential_test_on_the_page_passes():
    """The test file that the page shows is one, and passes."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(program, names)
    tests = [test for name, test in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()


def test_the_modules_on_the_page_are_those_that_there_are():
    """The table names every module of `tests/differential`, and no other."""
    cells = re.findall(r"^\| (`.*?) \|", PAGE.read_text(), re.MULTILINE)
    shown = re.findall(r"`(\w+)`", "".join(cells))
    folder = PAGE.parent / "tests" / "differential"
    assert set(shown) == {path.stem for path in folder.glob("*.py")}
