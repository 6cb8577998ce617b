"""Runs each program on Flax and on Linnet and compares what it recorded.

Prints a table and fails if a parameter is more than 2 ulp from Flax's, the distance by which Flax's
own eager and jitted initialisation differ, or an output more than 1e-5 of the largest of its array.
"""

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
# program → the package it is about, and what of it
PROGRAMS = {
    "jax_resnet_classifier": ("jax_resnet", "ResNet18, ResNeSt50Fast (Linen)"),
    "tunix_gemma": ("google-tunix", "Gemma, Gemma3 trained for 3 steps, score head (NNX)"),
    "numpyro_regression": ("numpyro", "SVI with Linen, NNX and Bayesian networks"),
}
ULPS, RELATIVE = 2.0, 1e-5


def recorded(program, folder, *python):
    """Runs a program and returns the arrays that it recorded."""
    file = Path(folder) / f"{program}.npz"
    command = [sys.executable, *python, str(HERE / f"{program}.py"), str(file)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore"}
    subprocess.run(command, check=True, env=environment)
    with np.load(file) as arrays:
        found = dict(arrays)
    # a number that is none is neither near another nor far from it
    assert all(np.isfinite(wide(array)).all() for array in found.values()), program
    return found


def wide(array):
    return np.asarray(array, np.float64)


def ulps(ours, theirs):
    """The largest distance of two arrays in units of the last place."""
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return float("inf")
    if not np.issubdtype(ours.dtype, np.floating):
        return 0.0 if np.array_equal(ours, theirs) else float("inf")
    return float(np.max(np.abs(wide(ours) - wide(theirs)) / np.spacing(np.abs(theirs)), initial=0))


def relative(ours, theirs):
    """The largest difference of two arrays, relative to the largest value."""
    scale = max(float(np.max(np.abs(wide(theirs)), initial=0)), 1e-30)
    return float(np.max(np.abs(wide(ours) - wide(theirs)), initial=0)) / scale


def main():
    print("| package | what | parameters | apart | outputs | apart |\n|---|---|---|---|---|---|")
    failed = False
    for program, (package, what) in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as folder:
            theirs = recorded(program, folder)
            ours = recorded(program, folder, "-m", "linnet.as_flax")
        assert sorted(ours) == sorted(theirs), set(ours) ^ set(theirs)
        parameters = [name for name in theirs if name.startswith("parameter")]
        outputs = [name for name in theirs if name.startswith("output")]
        far = max(ulps(ours[name], theirs[name]) for name in parameters)
        off = max(relative(ours[name], theirs[name]) for name in outputs)
        failed |= far > ULPS or off > RELATIVE
        print(
            f"| `{package}` {importlib.metadata.version(package)} | {what} "
            f"| {len(parameters)} arrays, {sum(theirs[n].size for n in parameters):,} numbers "
            f"| {far:.0f} ulp | {len(outputs)} arrays | {off:.1e} |",
            flush=True,
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
