"""Gradients of functions of objects, and checkpointing."""

import dataclasses
import functools
from collections.abc import Hashable, Sequence
from typing import Any

from linnet.lift import grad as gradients
from linnet.lift.engine import Group, Plan, Pure
from linnet.nnx.graph.split import clone
from linnet.nnx.graph.states import from_flat_state
from linnet.nnx.graph.update import update
from linnet.nnx.objects.kinds import Param
from linnet.nnx.objects.variable import Variable
from linnet.nnx.transforms.arguments import Within, put_objects
from linnet.nnx.transforms.jit import unbound
from linnet.nnx.transforms.modes import hands_structure_out
from linnet.nnx.transforms.store import ObjectStore
from linnet.state.filters import Everything, Filter, to_predicate

_MISSING: Any = object()


@dataclasses.dataclass(frozen=True)
class DiffState:
    """Which variables of an argument a gradient is taken with respect to.

    Attributes:
        argnum: the number of the argument.
        filter: which of its variables.
    """

    argnum: int
    filter: Filter


def value_and_grad(
    f: Any = _MISSING,
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
    options = {"holomorphic": holomorphic, "allow_int": allow_int}
    if f is _MISSING:
        return functools.partial(
            value_and_grad,
            argnums=argnums,
            has_aux=has_aux,
            **options,
            graph=graph,
            graph_updates=graph_updates,
        )
    f = unbound(f, "value_and_grad")
    if reduce_axes:
        raise NotImplementedError(
            f"reduce_axes={reduce_axes!r} was given; JAX no longer has it. Sum the gradients with "
            "jax.lax.psum."
        )

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        whole = not hands_structure_out(graph, graph_updates)
        return _differentiate(f, args, kwargs, argnums, whole, has_aux, options)

    return wrapper


def _differentiate(
    f: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    argnums: Any,
    whole: bool,
    has_aux: bool,
    options: dict[str, Any],
) -> Any:
    single = isinstance(argnums, int | DiffState)
    wanted = [
        _differentiated(each, len(args), whole) for each in ([argnums] if single else argnums)
    ]
    groups = [Group(Within((n,), to_predicate(picks)), "differentiated") for n, picks in wanted]
    plan = Plan((*groups, Group(Everything(), "not differentiated")), "nnx.grad")
    store = ObjectStore()
    taken = store.snapshot(plan, args, kwargs)
    pure = Pure(f, taken.structure, plan)
    fixed_args, fixed_kwargs = taken.arguments
    rest = taken.groups[-1]

    def run(differentiated: Any) -> Any:
        values, arrays = differentiated
        inner = list(fixed_args)
        for (number, _), array in zip(wanted, arrays, strict=True):
            inner[number] = array
        return pure((*values, rest), (tuple(inner), fixed_kwargs))

    inputs = (taken.groups[:-1], [fixed_args[number] for number, _ in wanted])
    changes, result, grads = gradients.value_and_grad(run, inputs, has_aux=has_aux, **options)
    result = store.publish(changes, result)
    by_argument = [
        _gradient(number, values, arrays, store, taken.structure, place, whole)
        for place, ((number, _), values, arrays) in enumerate(zip(wanted, *grads, strict=True))
    ]
    return result, by_argument[0] if single else tuple(by_argument)


def _differentiated(argnum: Any, count: int, whole: bool) -> tuple[int, Any]:
    number, picks = (
        (argnum.argnum, argnum.filter) if isinstance(argnum, DiffState) else (argnum, Param)
    )
    if not -count <= number < count:
        raise ValueError(
            f"argnums={number} names an argument that was not given: the function was called with "
            f"{count} positional arguments, numbered from 0."
        )
    return number % count, ... if whole else picks


def _gradient(
    number: int,
    values: list[Any],
    arrays: Any,
    store: ObjectStore,
    structure: Any,
    place: int,
    whole: bool,
) -> Any:
    """Return the gradient of one argument: a state for each object in it."""
    layout, homes = store.layout, structure.homes
    cells = [
        (path, leaf)
        for path, leaf, at in zip(layout.paths, layout.leaves(), structure.places, strict=True)
        if at == place
    ]
    states: dict[int, Any] = {}
    by_root: dict[int, list[Any]] = {
        root: [] for root, home in enumerate(homes) if home[:1] == (number,)
    }
    for (path, leaf), grad in zip(cells, values, strict=True):
        made = leaf.replace(grad) if isinstance(leaf, Variable) else grad
        by_root[path[0]].append((path[1:], made))
    for root, pairs in by_root.items():
        if whole and not isinstance(store.roots[root], Variable):
            states[root] = clone(store.roots[root])
            update(states[root], from_flat_state(pairs))
        elif pairs and pairs[0][0] == ():
            states[root] = pairs[0][1]
        else:
            states[root] = from_flat_state(pairs)
    return put_objects(arrays, states)


def grad(
    f: Any = _MISSING,
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
    options: dict[str, Any] = {
        "argnums": argnums,
        "has_aux": has_aux,
        "holomorphic": holomorphic,
        "allow_int": allow_int,
        "reduce_axes": reduce_axes,
        "graph": graph,
        "graph_updates": graph_updates,
    }
    if f is _MISSING:
        return functools.partial(grad, **options)
    f = unbound(f, "grad")
    with_value = value_and_grad(f, **options)

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result, grads = with_value(*args, **kwargs)
        return (grads, result[1]) if has_aux else grads

    return wrapper
