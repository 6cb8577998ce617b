"""The second table: what stateful modules cost, ``python -m benchmarks.nnx``."""
