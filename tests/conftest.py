"""The environment every test runs in, set before JAX starts.

Eight CPU devices, so that meshes and shardings are exercised without an accelerator. One thread
per computation: the tests run in parallel processes, and arrays here are too small to share out.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
_FLAGS = {
    "xla_force_host_platform_device_count": "8",
    "xla_cpu_multi_thread_eigen": "false",
}
_given = os.environ.get("XLA_FLAGS", "")
os.environ["XLA_FLAGS"] = " ".join(
    [_given, *(f"--{name}={value}" for name, value in _FLAGS.items() if name not in _given)]
).strip()
for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_pool, "1")
