"""One transformer, written in the idiom of each library."""

from benchmarks.models.contenders import NAMES, build

__all__ = ["NAMES", "build"]
