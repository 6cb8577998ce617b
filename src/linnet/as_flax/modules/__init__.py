"""Façades: the names of one module of Flax, gathered from the modules that have them here."""
