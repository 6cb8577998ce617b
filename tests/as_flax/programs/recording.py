"""What a program hands over to be compared: named arrays, in one file."""

import sys

import jax
import numpy as np


def record(parameters, outputs):
    """Writes parameters and outputs to the file that the command line names."""
    named = {}
    for kind, tree in (("parameter", parameters), ("output", outputs)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            named[f"{kind} {jax.tree_util.keystr(path)}"] = np.asarray(leaf)
    np.savez(sys.argv[1], **named)
