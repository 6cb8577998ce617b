"""The front page holds what it shows."""

import re
from pathlib import Path

import pytest

import linnet.linen

README = Path(__file__).parents[2] / "README.md"


def programs():
    """Return the Python programs of the front page: in Linen, and in NNX."""
    linen, nnx = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return linen, nnx


@pytest.mark.parametrize(
    "library", ["linnet.linen", pytest.param("flax.linen", marks=pytest.mark.flax)]
)
def test_the_program_runs_under_both_libraries(library):
    """It is a Flax program but for one import."""
    names = {}
    exec(programs()[0].replace("linnet.linen", library), names)
    assert names["logits"].shape == (8, 10)
    assert set(names["updates"]) == {"batch_stats"}


@pytest.mark.parametrize("library", ["linnet", pytest.param("flax", marks=pytest.mark.flax)])
def test_the_program_in_nnx_runs_under_both_libraries(library):
    """It is a Flax program, too, but for the plain list of modules."""
    text = programs()[1].replace("from linnet", f"from {library}")
    if library == "flax":
        text = re.sub(r"self.heads = (\[.*\])", r"self.heads = nnx.List(\1)", text)
    names = {}
    exec(text, names)
    assert 2 < float(names["value"]) < 4
    assert int(names["optimizer"].step[...]) == 1


def test_the_pages_it_links_to_exist():
    """No link leads nowhere."""
    links = re.findall(r"\]\((docs/[^)#]+)\)", README.read_text())
    assert links
    missing = [link for link in links if not (README.parent / link).exists()]
    assert missing == []


def test_the_version_is_that_of_the_package():
    """`__version__` is what the package says it is."""
    from importlib.metadata import version

    assert linnet.__version__ == version("linnet-jax")
