"""Pytrees: immutable dicts, flattening by path, sizes."""
