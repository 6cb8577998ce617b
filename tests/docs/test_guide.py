"""The guides run, and print what they say they print."""

import contextlib
import io
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = sorted((DOCS / "guide").glob("*.md"))


def blocks(page):
    """Return the Python blocks of a page, in order."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


def promised(block):
    """Return what a block says it prints: the comments that follow a print at the margin."""
    return re.findall(r"^ *print\(.*\)\n# (.*)$", block, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_runs_and_prints_what_it_says(page):
    """Block after block in one namespace; an ellipsis ends a line that is longer."""
    names = {"__name__": page.stem}
    for block in blocks(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, str(page), "exec"), names)
        for line in promised(block):
            start = line.removesuffix("...").rstrip()
            assert start in printed.getvalue(), f"{page.name} promises {line!r}"
