"""Lifted transformations: JAX's transformations, for functions that use Linen modules.

JAX transforms pure functions, and a method of a module is none: it reads and writes variables and
draws keys. Here each of them is lifted over what a module holds: ``nn.vmap`` says along which axis
the instances lie in its variables, ``nn.scan`` which of them go from step to step, and so on.

The files, from what is general to what is particular: ``blueprint.py`` takes modules out of their
place and builds them again; ``store.py`` is the store of the engine (``linnet.lift.engine``) over a
tree of scopes; ``plans.py`` turns arguments into plans; ``targets.py`` applies a transformation to
classes, methods and functions; the others hold the transformations.

To add one: write a frozen dataclass of its options with a ``name``, whose call takes a ``Call``:
make a plan, choose what runs the pure function in ``linnet.lift``, and ``call.carry`` both. Then a
function with the public signature that hands it to ``transformed`` (for what is applied) or
``call_function`` (for what is called).
"""

from linnet.linen.modules.name_scope import named_call as named_call
from linnet.linen.transforms.grad import grad as grad, value_and_grad as value_and_grad
from linnet.linen.transforms.jit import jit as jit
from linnet.linen.transforms.remat import checkpoint as checkpoint, remat as remat
from linnet.linen.transforms.scan import scan as scan
from linnet.linen.transforms.vjp import vjp as vjp
from linnet.linen.transforms.vmap import vmap as vmap
