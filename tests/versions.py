"""Which version of Flax is the reference here: 0.12.12 where Python allows it, else 0.12.8.

Where the two differ Linnet follows the newer one. What only that one has, or does, is compared
with it alone; beside such a test stands one that needs no reference.
"""

import flax
import pytest

FLAX = tuple(int(part) for part in flax.__version__.split(".")[:3])

NEWEST = FLAX >= (0, 12, 12)

since_newest = pytest.mark.skipif(
    not NEWEST, reason=f"Flax 0.12.12 does this; the reference here is {flax.__version__}"
)
