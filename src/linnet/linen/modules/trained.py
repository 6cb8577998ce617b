"""A warning for one silent mistake: training what is not a parameter.

``jax.grad`` with respect to all variables, and an optimizer made by ``tx.init(variables)``, treat
running statistics and counters as parameters. Nothing fails: the statistics drift with the noise of
their gradients. The mistake shows in ``apply``: a collection that the call may write comes in as
something that is being differentiated.

It may do so for a good reason, too: an earlier ``apply`` inside the same differentiated function
computed it from the parameters. Such a trace is remembered by its first call, and not warned of.
"""

import warnings
from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import jax

from linnet.base import errors, jaxcompat

# written on purpose by those who differentiate, or only by this call
_DIFFERENTIABLE = frozenset({"params", "perturbations", "intermediates"})

_updating: "WeakSet[Any]" = WeakSet()


def check_differentiated(variables: Mapping[str, Any], mutable: Any) -> None:
    """Warn if a collection that may be written is differentiated as an input."""
    state = [col for col in variables if col in mutable and col not in _DIFFERENTIABLE]
    if not state:
        return
    trace = _trace_of_any(variables.get("params"))
    for col in state:
        by = _trace_of_any(variables[col])
        if by is not None and by not in _updating:
            warnings.warn(errors.differentiated_state(col), errors.LinnetWarning, stacklevel=4)
    if trace is not None:
        _updating.add(trace)


def _trace_of_any(tree: Any) -> Any:
    for leaf in jax.tree.leaves(tree):
        trace = jaxcompat.differentiating_trace(leaf)
        if trace is not None:
            return trace
    return None
