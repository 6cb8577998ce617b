"""Print the lower bounds of `pyproject.toml` as exact versions, for pip: `jax>=0.10` as `jax==0.10`.

What they constrain is installed by `make lowest`, which runs the core of the suite on it.
"""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lower_bounds() -> list[str]:
    """Return what the project and its extras require, each at the oldest version allowed."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    required = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    bounds = (re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in required)
    return sorted({f"{bound[1]}=={bound[2]}" for bound in bounds if bound})


if __name__ == "__main__":
    print("\n".join(lower_bounds()))
