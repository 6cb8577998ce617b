"""Which frames a user sees when an exception leaves the library."""

import traceback

import jax
import pytest

from linnet.base import traceback as filtering
from linnet.base.config import config

LIBRARY = """
from linnet.base.traceback import hide_internal_frames

def apply(f):
    try:
        return inner(f)
    except Exception as error:
        hide_internal_frames(error)
        raise

def inner(f):
    return f()
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library whose frames are excluded, with a boundary around a call of the user's function."""
    monkeypatch.setattr(filtering, "_excluded", list(filtering._excluded))
    path = tmp_path / "library.py"
    filtering.register_exclusion(str(path))
    module = {}
    exec(compile(LIBRARY, str(path), "exec"), module)
    return module


def shown(library, f=None):
    """Names the functions in the traceback of a call that fails."""

    def fails():
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost") as caught:
        library["apply"](f or fails)
    return [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_internal_frames_are_hidden(library):
    """Only the caller's line and the line of the user's function are left."""
    assert shown(library) == ["shown", "fails"]


def test_nested_boundaries(library):
    """A call within a call hides the frames of both."""

    def fails():
        raise KeyError("lost")

    assert shown(library, lambda: library["apply"](fails)) == ["shown", "<lambda>", "fails"]


def test_frames_are_shown_on_request(library):
    """`show_flax_in_tracebacks` brings all frames back and `hide_flax_in_tracebacks` hides them."""
    try:
        filtering.show_flax_in_tracebacks()
        assert config.flax_filter_frames is False
        assert shown(library) == ["shown", "apply", "inner", "fails"]
    finally:
        filtering.hide_flax_in_tracebacks()
    assert shown(library) == ["shown", "fails"]


def test_jax_without_filtering_shows_all(library):
    """Who asks JAX for whole tracebacks gets whole tracebacks from Linnet too."""
    before = jax.config.jax_traceback_filtering
    try:
        jax.config.update("jax_traceback_filtering", "off")
        assert shown(library) == ["shown", "apply", "inner", "fails"]
    finally:
        jax.config.update("jax_traceback_filtering", before)


def test_exception_itself_is_kept(library):
    """The cause and the notes of an exception survive the rebuilding of its traceback."""

    def fails():
        error = KeyError("lost")
        error.add_note("a note")
        raise error from ValueError("the cause")

    with pytest.raises(KeyError) as caught:
        library["apply"](fails)
    assert caught.value.__notes__ == ["a note"]
    assert isinstance(caught.value.__cause__, ValueError)


def test_traceback_with_no_other_frame_is_left_whole(library):
    """An exception is never left without a traceback."""
    program = compile("raise KeyError('lost')", filtering._excluded[-1], "exec")
    try:
        exec(program, {})
    except KeyError as error:
        inside = error.__traceback__.tb_next
        alone = KeyError("lost").with_traceback(inside)
        filtering.hide_internal_frames(alone)
        assert alone.__traceback__ is inside
