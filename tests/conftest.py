"""The environment every test runs in, set before JAX starts.

Eight CPU devices, so that meshes and shardings are exercised without an accelerator. One thread
per computation: the tests run in parallel processes, and arrays here are too small to share out.

Compiling is most of what the tests cost, and what is compiled runs once, on a few numbers. So XLA
optimises little, for both libraries alike, unless ``XLA_FLAGS`` in the environment has a level of
optimisation; and compiled programs, more than a megabyte each, go when there are too many.
"""

import ctypes
import gc
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
_given = os.environ.get("XLA_FLAGS", "")
_FLAGS = {
    "xla_force_host_platform_device_count": "8",
    "xla_cpu_multi_thread_eigen": "false",
}
if "xla_backend_optimization_level" not in _given:
    _FLAGS["xla_cpu_parallel_codegen_split_count"] = "1"
    if platform.machine() in {"x86_64", "AMD64"}:
        # With the instructions of AVX2, which round a product and a sum once, unoptimised programs
        # draw normal numbers that differ by 4 units in the last place from one to another; before
        # AVX2, and optimised, by 2.
        _FLAGS |= {"xla_backend_optimization_level": "0", "xla_cpu_max_isa": "AVX"}
    else:
        _FLAGS["xla_backend_optimization_level"] = "1"
    if importlib.metadata.version("jaxlib").startswith("0.10."):
        # what they emit takes twice as long to compile; later releases have no such choice, and
        # refuse to start with a flag that they do not know
        _FLAGS["xla_cpu_use_fusion_emitters"] = "false"
os.environ["XLA_FLAGS"] = " ".join(
    [_given, *(f"--{name}={value}" for name, value in _FLAGS.items() if name not in _given)]
).strip()
for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_pool, "1")


def pytest_addoption(parser):
    parser.addoption(
        "--without-flax", action="store_true", help="run what needs no Flax, with Flax hidden"
    )


def pytest_configure(config):
    if config.getoption("without_flax"):
        from without_flax import WithoutFlax

        config.pluginmanager.register(WithoutFlax())


def pytest_collection_finish():
    """Spare the garbage collector the thousands of tests, whenever it looks for what is free."""
    gc.freeze()


MEMORY = 512 * 2**20  # bytes that a process may hold when it begins with a module of tests


@pytest.fixture(scope="module", autouse=True)
def _memory_stays_bounded():
    """Let go of what a module of tests compiled, where it was much."""
    yield
    if "jax" in sys.modules and _resident() > MEMORY:
        sys.modules["jax"].clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)  # the freed pieces would stay with the process


def _resident():
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return MEMORY + 1
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
