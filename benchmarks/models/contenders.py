"""Who is measured, under which name, and what each must import."""

import importlib
from typing import NamedTuple

from benchmarks.models.transformer import Contender, Sizes


class Entry(NamedTuple):
    """Where a contender's model stands, and which import its users pay for."""

    module: str
    imports: str | None


ENTRIES = {
    "Linnet": Entry("linnet_linen", "linnet.linen"),
    "Flax": Entry("flax_linen", "flax.linen"),
    "Equinox": Entry("equinox", "equinox"),
    "Haiku": Entry("haiku", "haiku"),
    "hand-written": Entry("handwritten", None),
}
NAMES = tuple(ENTRIES)


def build(name: str, sizes: Sizes) -> Contender:
    """The model of the named contender; imports its library."""
    return importlib.import_module(f"benchmarks.models.{ENTRIES[name].module}").build(sizes)
