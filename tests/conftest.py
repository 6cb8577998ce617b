"""The environment every test runs in, set before JAX starts.

Eight CPU devices, so that meshes and shardings are exercised without an accelerator. One thread
per computation: the tests run in parallel processes, and arrays here are too small to share out.

Compiling is most of what the tests cost, and what is compiled runs once, on a few numbers. So XLA
optimises little, for both libraries alike; a program that any worker compiled is read from a folder
by the others; and what is in memory goes when a module of tests is through. ``XLA_FLAGS`` in the
environment has the last word.
"""

import atexit
import ctypes
import gc
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
_FLAGS = {
    "xla_force_host_platform_device_count": "8",
    "xla_cpu_multi_thread_eigen": "false",
    "xla_cpu_parallel_codegen_split_count": "1",
}
if platform.machine() in {"x86_64", "AMD64"}:
    # Without optimisation the compiler fuses a product and a sum, which rounds once instead of
    # twice, in one program and not in the other: machines before AVX2 cannot.
    _FLAGS |= {"xla_backend_optimization_level": "0", "xla_cpu_max_isa": "AVX"}
else:
    _FLAGS["xla_backend_optimization_level"] = "1"
if importlib.metadata.version("jaxlib").startswith("0.10."):
    # twice as much to compile with them; later releases have no choice, and stop at the flag
    _FLAGS["xla_cpu_use_fusion_emitters"] = "false"
_given = os.environ.get("XLA_FLAGS", "")
os.environ["XLA_FLAGS"] = " ".join(
    [_given, *(f"--{name}={value}" for name, value in _FLAGS.items() if name not in _given)]
).strip()
for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_pool, "1")

if (
    "JAX_COMPILATION_CACHE_DIR" not in os.environ
):  # workers have it from the process that starts them
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="linnet-compiled-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


@pytest.fixture(scope="module", autouse=True)
def _compiled_programs_go():
    """Let go of what a module of tests compiled; a program takes more than a megabyte."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)  # else the freed pieces stay with the process
