"""JAX's transformations for functions of objects, over the one engine in ``lift``."""

from linnet.base import names as _names

# the modules that Flax has here, which gather their names
_MODULES = "linnet.nnx.transforms: autodiff compilation iteration transforms"
__getattr__, __dir__ = _names.on_demand(globals(), _MODULES)
