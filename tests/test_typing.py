"""What a type checker sees of a user's modules: their constructors, their methods, their typos."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import jax
import jax.numpy as jnp
import linnet.linen as nn


class Model(nn.Module):
    features: int
    depth: int = 2

    def setup(self) -> None:
        self.layers = [nn.Dense(self.features) for _ in range(self.depth)]

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return nn.relu(x)


model = Model(3, depth=1, name="model")
variables = model.init(jax.random.key(0), jnp.ones((1, 2)))
bound: Model = model.bind(variables)
outputs: jax.Array = bound(jnp.ones((1, 2)), train=True)
copied: Model = model.clone(depth=3)
nn.Dense(3, use_bias=False, kernel_init=nn.initializers.normal(0.1), dtype=jnp.bfloat16)
Model("three")  # wrong: features is an int
Model(3, depht=1)  # wrong: no such field
model.featurs  # wrong: no such attribute
nn.Densee(3)  # wrong: no such layer
"""


@pytest.mark.slow
def test_a_type_checker_finds_the_mistakes_and_nothing_else(tmp_path):
    """Constructors are those of dataclasses; a mistyped attribute or layer is found."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    run = subprocess.run(
        [*command, str(file)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    report = json.loads(run.stdout)
    wrong = {i for i, line in enumerate(PROGRAM.splitlines()) if "# wrong" in line}
    found = {
        entry["range"]["start"]["line"]
        for entry in report["generalDiagnostics"]
        if entry["severity"] == "error"
    }
    assert Path(report["generalDiagnostics"][0]["file"]).name == "program.py"
    assert found == wrong
