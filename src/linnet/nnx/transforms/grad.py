"""Gradients of functions of objects."""

import dataclasses
import sys
from collections.abc import Hashable, Sequence
from typing import Any

from linnet.base import errors
from linnet.base.typing import MISSING, Path
from linnet.lift import grad as lift
from linnet.lift.engine import Group, carry
from linnet.nnx.graph.graphdef import rebuild
from linnet.nnx.graph.states import from_flat_state
from linnet.nnx.objects.kinds import Param
from linnet.nnx.objects.variable import with_value
from linnet.nnx.transforms import captured
from linnet.nnx.transforms.arguments import Within, by_position, put_objects
from linnet.nnx.transforms.modes import hands_structure_out
from linnet.nnx.transforms.store import ObjectStore
from linnet.nnx.transforms.wrapping import transform
from linnet.state.filters import Everything, Filter, Predicate, to_predicate


@dataclasses.dataclass(frozen=True)
class DiffState:
    """Which variables of an argument a gradient is taken with respect to.

    Attributes:
        argnum: the number of the argument.
        filter: which of the variables in objects; those that are leaves of the argument, as in a
            state, are all differentiated.
    """

    argnum: int
    filter: Filter


@transform
def value_and_grad(
    f: Any = MISSING,
    *,
    argnums: int | DiffState | Sequence[int | DiffState] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    reduce_axes: Sequence[Hashable] = (),
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Make a function return its value and its gradients.

    What the function does to its arguments, such as updating statistics, is done to the caller's.

    Args:
        f: a function that returns a scalar.
        argnums: the arguments to differentiate with respect to. Of a module, the gradient is taken
            with respect to its ``Param`` variables; a :class:`DiffState` says which ones instead.
            Of a state, and of variables in lists and dictionaries, it is taken by all of them.
        has_aux: whether ``f`` returns ``(value, other output)``.
        holomorphic: as for ``jax.grad``.
        allow_int: as for ``jax.grad``.
        reduce_axes: as for ``jax.grad``: must be empty.
        graph: taken for Flax's sake.
        graph_updates: with ``False``, gradients are taken with respect to everything in the
            arguments, and have the form of the arguments.

    Returns:
        A function that returns ``(value, gradients)``, or ``((value, other output), gradients)``.
        The gradient of a module is a state.

    Raises:
        TypeError: ``f`` is a method of an object.

    Example:
    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> model = nnx.Dict(w=nnx.Param(jnp.array(3.0)), n=nnx.Variable(jnp.array(0)))
    >>> def loss(model):
    ...     model.n[...] += 1
    ...     return model.w[...] ** 2
    >>> value, grads = nnx.value_and_grad(loss)(model)
    >>> print(value, grads.w[...], model.n[...])
    9.0 6.0 1
    """
    if reduce_axes:
        raise errors.ReduceAxesError(reduce_axes)
    single = isinstance(argnums, int | DiffState)
    wanted: Any = [argnums] if single else argnums

    numbers = [each.argnum if isinstance(each, DiffState) else each for each in wanted]
    by_filter = next((each for each in wanted if isinstance(each, DiffState)), None)
    # from the end it is counted with all that have defaults
    count = sys.maxsize if any(n < 0 for n in numbers) else max(numbers, default=-1) + 1

    def call(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = by_position(f, args, kwargs, count)
        whole = not hands_structure_out(graph, graph_updates)
        if whole and isinstance(by_filter, DiffState):
            raise errors.WholeArgumentError(by_filter)
        by = Differentiated(wanted, len(args), "nnx.grad", whole=whole)
        run = lift.value_and_grad(
            by.places, has_aux=has_aux, holomorphic=holomorphic, allow_int=allow_int
        )
        result, taken = carry(by.store, by.plan, f, args, kwargs, run)
        grads = by.gradients(taken)
        return result, grads[0] if single else grads

    return call


@dataclasses.dataclass(frozen=True)
class _LeafOr:
    """Picks variables that are leaves of an argument, and those in objects that a filter picks."""

    picks: Predicate

    def __call__(self, path: Path, value: Any) -> bool:
        return not path or self.picks(path, value)


class Differentiated:
    """The arguments of one call that are differentiated, and their gradients.

    Args:
        argnums: the arguments, by number or as ``DiffState``.
        count: how many positional arguments there are.
        transform: the name of the transformation.
        whole: take gradients by everything in them, in the form of the arguments.

    Raises:
        ArgumentNumberError: an argument is not there.
    """

    def __init__(self, argnums: Any, count: int, transform: str, *, whole: bool) -> None:
        pairs = [(e.argnum, e.filter) if isinstance(e, DiffState) else (e, Param) for e in argnums]
        for number, _ in pairs:
            if not -count <= number < count:
                raise errors.ArgumentNumberError(number, count)
        self.places = [number % count for number, _ in pairs]
        groups = [
            Group(
                Within((number % count,), _LeafOr(to_predicate(... if whole else picks))),
                lift.differentiated,
            )
            for number, picks in pairs
        ]
        self.plan = captured.plan((*groups, Group(Everything())), transform)
        self.whole = whole
        self.store = ObjectStore()

    def gradients(self, taken: lift.Derivatives) -> tuple[Any, ...]:
        """Return the gradients by argument: of objects states, or objects if ``whole``."""
        structure = self.store.structure
        grads = [iter(group) for group in taken.groups]
        # what is not differentiated stands in no gradient
        values = [next(grads[place]) if place < len(grads) else None for place in structure.places]
        if self.whole:
            made, _ = rebuild(structure.graphdef, values)
            objects = [made] * len(grads)
        else:
            objects = [self._states(number, values) for number in range(len(grads))]
        return tuple(map(put_objects, taken.arguments, objects))

    def _states(self, number: int, values: list[Any]) -> list[Any]:
        """Return the state of gradients of each object, for one of the arguments."""
        layout = self.store.layout
        found: list[Any] = [[] for _ in self.store.roots]
        rows = zip(self.store.structure.places, layout.paths, layout.cells, values, strict=True)
        for place, path, cell, grad in rows:
            if place == number:
                found[path[0]].append((path[1:], with_value(cell, grad)))
        return list(map(from_flat_state, found))


@transform
def grad(
    f: Any = MISSING,
    *,
    argnums: int | DiffState | Sequence[int | DiffState] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    reduce_axes: Sequence[Hashable] = (),
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Make a function return its gradients, or ``(gradients, other output)`` with ``has_aux``.

    Args are those of :func:`value_and_grad`.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> print(nnx.grad(lambda p: p[...] ** 2)(nnx.Param(jnp.array(3.0)))[...])
    6.0
    """
    with_value = value_and_grad(**locals())

    def call(*args: Any, **kwargs: Any) -> Any:
        result, grads = with_value(*args, **kwargs)
        return (grads, result[1]) if has_aux else grads

    return call
