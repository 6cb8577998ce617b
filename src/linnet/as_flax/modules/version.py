"""The names of ``flax.version``: which version of Flax Linnet stands in for."""
