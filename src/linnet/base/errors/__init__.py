"""Every error that Linnet raises on purpose, in one tree under :class:`LinnetError`.

A message answers three questions, in this order: what was done, with which values; why that cannot
work; which line to write instead. A class here builds its own message from the facts of the case,
so that one mistake reads the same wherever it is made, and tests hold each message to its three
answers. Paths are written as they lie in the variables: ``/encoder/layers_3/mlp``.

Where Flax has an error for the mistake, the class bears Flax's name, and code that catches it by
name goes on working. Two rules follow from that: names here are not ours to tidy, and a class that
Flax raises as a plain ``ValueError``, ``TypeError`` or ``AttributeError`` inherits from that too.
"""

# each of these modules holds errors and what words them, and nothing else
# ruff: noqa: F403
from linnet.base.errors.data import *
from linnet.base.errors.lifting import *
from linnet.base.errors.modules import *
from linnet.base.errors.streams import *
from linnet.base.errors.transforms import *
from linnet.base.errors.variables import *
from linnet.base.errors.words import *
from linnet.base.errors.words import LinnetError

FlaxError = LinnetError
