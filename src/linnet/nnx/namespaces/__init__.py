"""Modules that programs know by Flax's names, where the names in them live in several of ours.

They only gather: ``nnx.variablelib.Param`` is ``nnx.Param``. ``linnet.nnx`` loads one when it is
first asked for, and so does the alias in ``linnet.as_flax``.
"""
