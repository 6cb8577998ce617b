"""The registry of kinds pairs names with types."""

import pytest

from linnet.base.errors import KindError
from linnet.state import kinds


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(kinds, "_kinds", dict(kinds._kinds))


class Buffer:
    """A type of variable."""


class Other:
    """Another."""


def test_registered_pairs_are_found_both_ways():
    """Name to type and type to name; what a kind holds is kept."""
    kinds.register_kind("batch_stats", Buffer, overwrite=True)
    assert kinds.type_of_kind("batch_stats") is Buffer
    assert kinds.name_of_type(Buffer) == "batch_stats"
    assert "statistics" in kinds.kind_named("batch_stats").holds


def test_registering_the_same_pair_again_is_fine():
    """A module may be imported twice."""
    kinds.register_kind("buffers", Buffer)
    kinds.register_kind("buffers", Buffer)


def test_conflicts_are_errors_unless_overwritten():
    """One name, one type; one type, one name."""
    kinds.register_kind("buffers", Buffer)
    with pytest.raises(KindError, match="'buffers' is registered for Buffer"):
        kinds.register_kind("buffers", Other)
    with pytest.raises(KindError, match="Buffer is registered as kind 'buffers'"):
        kinds.register_kind("others", Buffer)
    kinds.register_kind("others", Buffer, overwrite=True)
    assert kinds.name_of_type(Buffer) == "others"
    with pytest.raises(KindError):
        kinds.type_of_kind("buffers")


def test_unknown_names_and_types():
    """The message lists what is registered and suggests the near name."""
    kinds.register_kind("buffers", Buffer)
    with pytest.raises(KindError, match="Did you mean 'buffers'"):
        kinds.type_of_kind("bufers")
    with pytest.raises(KindError, match="register_kind"):
        kinds.name_of_type(Other)
    assert kinds.kind_named("mine") == kinds.Kind("mine")
