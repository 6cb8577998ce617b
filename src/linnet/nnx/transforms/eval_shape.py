"""What a function of objects would return, without computing it."""

from collections.abc import Callable
from typing import Any

import jax

from linnet.lift import eval_shape as lift
from linnet.lift.engine import Changes, Group, Plan, Snapshot, carry
from linnet.nnx.graph.build import new_variable
from linnet.nnx.graph.definitions import VariableDef, cells_of
from linnet.nnx.graph.graphdef import rebuild
from linnet.nnx.objects.sharding import sharding_of
from linnet.nnx.transforms.arguments import put_objects
from linnet.nnx.transforms.store import ObjectStore
from linnet.state.filters import Everything
from linnet.tree.leaves import struct_of

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

    On a mesh, one of a variable or the current one, the value of a variable says how it would lie.

    >>> from linnet import nnx
    >>> model = nnx.eval_shape(lambda: nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    >>> model.kernel[...]
    ShapeDtypeStruct(shape=(2, 3), dtype=float32)
    """
    return shapes_of(f, args, kwargs)


def shapes_of(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a call would return; static arguments may be hidden."""
    return carry(AbstractStore(), _PLAN, f, args, kwargs, lift.run)


class AbstractStore(ObjectStore):
    """The store of a call that is not carried out: the objects in its result are all new."""

    def snapshot(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Snapshot:
        """Take the objects out of the arguments; keep their values in abstract form."""
        taken = super().snapshot(plan, args, kwargs)
        self.entered = jax.tree.map(struct_of, taken.groups)
        return taken

    def _captures_outside(self) -> bool:
        return False

    def publish(self, changes: Changes, result: Any) -> Any:
        """Return the result with new objects, of whatever values came in and out."""
        outcome: Any = changes.description
        values = before = self.structure.in_cell_order(self.entered)
        if outcome.graphdef is not None:
            known = self.structure.of_variables(before)
            values = [
                known.get(outcome.origins[each.index]) if isinstance(each, VariableDef) else None
                for _, each in cells_of(outcome.graphdef.root)
            ]
        for number, value in outcome.values(changes.groups):
            values[number] = value
        roots, _ = rebuild(outcome.graphdef or self.structure.graphdef, values, _laid_out)
        return put_objects(result, roots) if outcome.returns_objects else result


def _laid_out(definition: VariableDef, value: Any) -> Any:
    """Make the variable of a definition; say of its value how it lies, where that is known."""
    made = new_variable(definition, value)
    kept = made.get_metadata()

    def laid_out(leaf: Any) -> Any:
        return struct_of(leaf, leaf.sharding or sharding_of(kept))

    return made.from_metadata(jax.tree.map(laid_out, made.get_raw_value()), kept)
