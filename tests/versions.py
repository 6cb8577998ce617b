"""Which version of Flax is the reference here: 0.12.12 where Python allows it, else 0.12.8.

Run as a program, this says which versions the tests run with.

Where the two differ Linnet follows the newer one. What only that one has, or does, is compared
with it alone; beside such a test stands one that needs no reference.
"""

import platform
from importlib.metadata import version

import jax
import pytest

# read from its metadata, which is there where Flax itself is hidden
REFERENCE = version("flax")
FLAX = tuple(int(part) for part in REFERENCE.split(".")[:3])

NEWEST = FLAX >= (0, 12, 12)

# Units in the last place by which drawn numbers may differ. With JAX 0.10 those are what Flax's own
# eager and compiled initialisation differ by. From 0.12 on XLA rounds a draw on a CPU one way or
# the other by its shape: by 3 between Flax's own two, and by 4 between draws of two shapes.
DRAWN_ULP = 2 if jax.__version_info__ < (0, 12) else 4

since_newest = pytest.mark.skipif(
    not NEWEST, reason=f"Flax 0.12.12 does this; the reference here is {REFERENCE}"
)


if __name__ == "__main__":
    packages = ["jax", "flax", "numpy"]
    others = [f"{package} {version(package)}" for package in packages]
    print(", ".join([f"Python {platform.python_version()}", *others]))
