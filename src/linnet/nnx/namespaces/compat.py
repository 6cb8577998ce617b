"""The names of ``flax.nnx.compat``: functions that see graphs whatever the flags say."""

import functools

from linnet import nnx
from linnet.nnx import rng_changes

backup_keys = functools.partial(rng_changes.backup_keys, graph=True)
clone = functools.partial(nnx.clone, graph=True)
flatten = functools.partial(nnx.flatten, graph=True)
get_abstract_model = functools.partial(nnx.get_abstract_model, graph=True)
graphdef = functools.partial(nnx.graphdef, graph=True)
iter_children = functools.partial(nnx.iter_children, graph=True)
iter_graph = functools.partial(nnx.iter_graph, graph=True)
iter_modules = functools.partial(nnx.iter_modules, graph=True)
recursive_map = functools.partial(nnx.recursive_map, graph=True)
reseed = functools.partial(nnx.reseed, graph=True)
split = functools.partial(nnx.split, graph=True)
state = functools.partial(nnx.state, graph=True)
view = functools.partial(nnx.view, graph=True)
view_info = functools.partial(nnx.view_info, graph=True)

cached_partial = functools.partial(nnx.cached_partial, graph=True, graph_updates=True)
eval_shape = functools.partial(nnx.eval_shape, graph=True, graph_updates=True)
fork_rngs = functools.partial(nnx.fork_rngs, graph=True, graph_updates=True)
grad = functools.partial(nnx.grad, graph=True, graph_updates=True)
jit = functools.partial(nnx.jit, graph=True, graph_updates=True)
remat = functools.partial(nnx.remat, graph=True, graph_updates=True)
scan = functools.partial(nnx.scan, graph=True, graph_updates=True)
split_rngs = functools.partial(nnx.split_rngs, graph=True, graph_updates=True)
value_and_grad = functools.partial(nnx.value_and_grad, graph=True, graph_updates=True)
vmap = functools.partial(nnx.vmap, graph=True, graph_updates=True)
