"""On what the figures were taken."""

import datetime as dt
import os
import platform
from importlib.metadata import version
from pathlib import Path

import jax

PACKAGES = ("linnet-jax", "jax", "jaxlib", "flax", "equinox", "dm-haiku", "numpy")


def describe() -> dict[str, object]:
    """The machine, its devices and the versions of what was measured."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.process_cpu_count() if hasattr(os, "process_cpu_count") else os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "devices": [device.device_kind for device in jax.devices()],
        "packages": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
