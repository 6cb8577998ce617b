"""Print the lower bounds of `pyproject.toml` as exact versions: `jax>=0.10` as `jax==0.10`.

`make lowest` installs just these and runs the core of the suite on them.
"""

import itertools
import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lower_bounds() -> list[str]:
    """Return what the project and its extras require, each in the oldest version allowed."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    extras = itertools.chain.from_iterable(project["optional-dependencies"].values())
    required = [*project["dependencies"], *extras]
    bounds = (re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in required)
    return sorted({f"{bound[1]}=={bound[2]}" for bound in bounds if bound})


if __name__ == "__main__":
    print("\n".join(lower_bounds()))
