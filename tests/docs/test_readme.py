"""The front page holds what it shows."""

import re
from pathlib import Path

import pytest

import linnet.linen

README = Path(__file__).parents[2] / "README.md"


def program():
    """Return the Python program of the front page."""
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return block


@pytest.mark.parametrize("library", ["linnet.linen", "flax.linen"])
def test_the_program_runs_under_both_libraries(library):
    """It is a Flax program but for one import."""
    names = {}
    exec(program().replace("linnet.linen", library), names)
    assert names["logits"].shape == (8, 10)
    assert set(names["updates"]) == {"batch_stats"}


def test_the_pages_it_links_to_exist():
    """No link leads nowhere."""
    links = re.findall(r"\]\((docs/[^)#]+)\)", README.read_text())
    assert links
    missing = [link for link in links if not (README.parent / link).exists()]
    assert missing == []


def test_the_version_is_that_of_the_package():
    """`__version__` is what the package says it is."""
    from importlib.metadata import version

    assert linnet.__version__ == version("linnet")
