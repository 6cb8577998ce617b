"""Small models, and what is compared of them, for programs that run under both libraries."""

import functools

import jax
import jax.numpy as jnp

import linnet.nnx


@functools.cache
def classes(nnx):
    """The classes of the models here, made once for each library."""

    class Layer(nnx.Module):
        """A linear layer without randomness: a kernel that counts up, a bias of zeros."""

        def __init__(self, d=2, **metadata):
            self.kernel = nnx.Param(jnp.arange(float(d * d)).reshape(d, d) / 7, **metadata)
            self.bias = nnx.Param(jnp.zeros(d))
            self.size = d

        def __call__(self, x):
            return x @ self.kernel[...] + self.bias[...]

    class Model(nnx.Module):
        """Layers, a count, an array attribute, a static one, and a shared layer."""

        def __init__(self):
            self.first = Layer()
            self.layers = nnx.List([Layer(), Layer()])
            self.count = nnx.BatchStat(jnp.zeros(()))
            self.scale = jnp.ones(2)
            self.name = "model"
            self.shared = self.first

        def __call__(self, x):
            self.count[...] += 1
            x = self.first(x) * self.scale
            for each in self.layers:
                x = each(x)
            return self.shared(x)

    return Layer, Model


# so that they can be pickled
Layer, Model = classes(linnet.nnx)
for _class in (Layer, Model):
    _class.__module__, _class.__qualname__ = __name__, _class.__name__


def layer(nnx, d=2, **metadata):
    """A linear layer."""
    return classes(nnx)[0](d, **metadata)


def model(nnx):
    """A model with a shared layer."""
    return classes(nnx)[1]()


def values(node):
    """The values of a model or state by path, as nested dictionaries with sorted keys."""
    return _plain(node)


def _plain(state):
    if hasattr(state, "get_value"):
        return state.get_value()
    if hasattr(state, "items") or hasattr(state, "raw_mapping"):
        return {str(k): _plain(v) for k, v in sorted(dict(state).items(), key=lambda i: str(i[0]))}
    return state


def kinds(state):
    """The types of the leaves of a state, by path."""
    leaves = jax.tree_util.tree_leaves_with_path(state, is_leaf=lambda x: hasattr(x, "get_value"))
    return {jax.tree_util.keystr(path): type(leaf).__name__ for path, leaf in leaves}
