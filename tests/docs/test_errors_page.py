"""A wrong program is told where it went wrong and what to write; `docs/errors.md` shows it."""

import pytest
from tests.docs.errors_page import EVERY, outcome, render, without_flax
from tests.docs.write_errors_page import PAGE

from versions import NEWEST

each_mistake = pytest.mark.parametrize(("chapter", "mistake"), EVERY)


@each_mistake
def test_our_message_names_the_place_and_the_line_to_write(chapter, mistake):
    """Every part that the message must contain is in it, or in the notes on it."""
    said = outcome(chapter, mistake, "linnet").said
    assert said, "nothing was raised or warned of"
    for part in mistake.says:
        assert part in said, said


@pytest.mark.flax
@each_mistake
def test_what_flax_does(chapter, mistake):
    """Flax raises, or does silently what the page says it does."""
    theirs = outcome(chapter, mistake, "flax")
    silently = mistake.silently and (NEWEST or not mistake.raised_before)
    assert theirs.raised == (not silently), theirs.said
    if silently:
        assert eval(mistake.proof, theirs.names)


def test_the_page_is_up_to_date():
    """`docs/errors.md` is what the programs of today give.

    Write it anew with `python -m tests.docs.write_errors_page`, where Flax is the newest. The words
    of an older Flax are not compared.
    """
    page, rendered = PAGE.read_text(encoding="utf-8"), render()
    if not NEWEST:
        page, rendered = without_flax(page), without_flax(rendered)
    assert page == rendered
