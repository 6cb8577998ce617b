"""Running programs written for Flax: ``flax`` resolves to Linnet.

From the command line, with the program as it is::

    python -m linnet.as_flax program.py [args]
    python -m linnet.as_flax -m module [args]

or in code, before anything imports Flax::

    import linnet.as_flax
    linnet.as_flax.install()

From then on ``import flax`` and every ``flax.…`` give Linnet's own module objects: one object
under both names, so that what is patched, pickled or reloaded under one is so under the other.
It does not matter whether Flax is installed. The table in ``table`` says which module stands for
which; a module of Flax that has no line there cannot be imported, and the error names it.
"""

from linnet.as_flax.finder import install as install, uninstall as uninstall
