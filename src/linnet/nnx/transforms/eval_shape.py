"""What a function of objects would return, without computing it."""

from collections.abc import Callable
from typing import Any

import jax

from linnet.lift.engine import Group, Plan, Pure
from linnet.nnx.transforms.store import ObjectStore, abstract_result
from linnet.state.filters import Everything

_PLAN = Plan((Group(Everything()),), "nnx.eval_shape")


def eval_shape(
    f: Callable[..., Any],
    *args: Any,
    graph: bool | None = None,
    graph_updates: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Return what a call would return, with ``jax.ShapeDtypeStruct`` in the place of arrays.

    Nothing is computed, and the arguments do not change. Objects in the result are new.

    Args:
        f: the function.
        *args: its arguments: objects, arrays, ``jax.ShapeDtypeStruct``, pytrees of these.
        graph: taken for Flax's sake.
        graph_updates: taken for Flax's sake.
        **kwargs: its keyword arguments.

    >>> from linnet import nnx
    >>> model = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    >>> model.kernel[...]
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """
    del graph, graph_updates
    return shapes_of(f, args, kwargs)


def shapes_of(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a call would return; static arguments may be hidden."""
    taken = ObjectStore().snapshot(_PLAN, args, kwargs)
    pure = Pure(f, taken.structure, _PLAN)
    changes, result = jax.eval_shape(pure, taken.groups, taken.arguments)
    abstract = jax.tree.map(jax.typeof, taken.groups)
    structure: Any = taken.structure
    return abstract_result(structure, _as_structs(abstract), changes, result)


def _as_structs(groups: Any) -> Any:
    return jax.tree.map(lambda aval: jax.ShapeDtypeStruct(aval.shape, aval.dtype), groups)
