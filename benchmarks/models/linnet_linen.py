"""The transformer in Linnet's Linen."""

import linnet.linen as nn
from benchmarks.models import linen
from benchmarks.models.transformer import Contender, Sizes


def build(sizes: Sizes) -> Contender:
    """The model on ``linnet.linen``."""
    return linen.contender(nn, sizes)
