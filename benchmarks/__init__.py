"""Benchmarks: Linnet beside Flax, Equinox, dm-haiku and hand-written JAX (``make bench``)."""
