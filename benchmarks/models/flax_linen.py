"""The transformer in Flax's Linen."""

import flax.linen as nn

from benchmarks.models import linen
from benchmarks.models.transformer import Contender, Sizes


def build(sizes: Sizes) -> Contender:
    """The model on ``flax.linen``."""
    return linen.contender(nn, sizes)
