"""Looking at a model without running it: its table and the paths of its modules.

The model is initialised abstractly, with an interceptor that writes down every call. For the count
of operations each call is then repeated on its own, with abstract variables, at the place where it
was made.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import jax

from linnet.base.errors import shape_text
from linnet.display.flops import count_flops, count_vjp_flops
from linnet.display.table import Row, arguments, render
from linnet.linen.modules.functional import INIT_COLLECTIONS
from linnet.linen.modules.methods import InterceptorContext, intercept_methods
from linnet.linen.modules.scope import Store, thaw
from linnet.linen.modules.structure import transplant
from linnet.state.collection_filters import CollectionFilter
from linnet.state.metadata import is_axis_metadata
from linnet.state.partitioning import Partitioned
from linnet.tree.leaves import abstract, is_array, take_leaves


@dataclasses.dataclass
class _Call:
    """One call of a method, as the interceptor saw it; arrays are abstract."""

    path: tuple[str, ...]
    module: Any
    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any = None


def _record(
    module: Any, rngs: Any, args: Any, kwargs: dict[str, Any], mutable: CollectionFilter
) -> tuple[list[_Call], dict[str, Any]]:
    """Initialise a module abstractly; return the calls, in order, and the abstract variables."""
    calls: list[_Call] = []

    def watch(next_fun: Any, args: Any, kwargs: Any, context: InterceptorContext) -> Any:
        bound = context.module
        if bound.scope is None or context.method_name == "setup":
            return next_fun(*args, **kwargs)
        given = abstract((args, dict(kwargs)))
        call = _Call(bound.scope.path, bound, context.method_name, *given)
        calls.append(call)
        result = next_fun(*args, **kwargs)
        call.outputs = abstract(result)
        return result

    inputs, rebuild = take_leaves((args, kwargs), is_array)

    def init(rngs: Any, inputs: list[Any]) -> Any:
        inner_args, inner_kwargs = rebuild(inputs)
        with intercept_methods(watch):
            return module.init(rngs, *inner_args, mutable=mutable, **inner_kwargs)

    variables = jax.eval_shape(init, rngs, inputs)
    return calls, thaw(variables)


def module_paths(
    module: Any,
    rngs: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    show_repeated: bool,
    mutable: CollectionFilter,
) -> dict[str, Any]:
    """Return the modules that ``init`` runs by path; see ``Module.module_paths``."""
    calls, _ = _record(module, rngs, args, kwargs, mutable)
    found: dict[str, Any] = {}
    for call in calls:
        path = "/".join(call.path)
        if path not in found:
            found[path] = call.module.clone(_deep_clone=True, name=None)
    return found


def tabulate(
    module: Any,
    rngs: Any,
    depth: int | None = None,
    show_repeated: bool = False,
    mutable: CollectionFilter = INIT_COLLECTIONS,
    console_kwargs: Mapping[str, Any] | None = None,
    table_kwargs: Mapping[str, Any] = MappingProxyType({}),
    column_kwargs: Mapping[str, Any] = MappingProxyType({}),
    compute_flops: bool = False,
    compute_vjp_flops: bool = False,
    **kwargs: Any,
) -> Callable[..., str]:
    """Make a function of inputs that returns the table of a module.

    Args:
        module: the module.
        rngs: a key, or keys by stream, as for ``init``.
        depth: how many levels of submodules to show.
        show_repeated: show each call of a module, not only its first.
        mutable: the collections that ``init`` makes.
        console_kwargs: for ``rich.console.Console``.
        table_kwargs: for ``rich.table.Table``.
        column_kwargs: for its columns.
        compute_flops: count the operations of each forward pass.
        compute_vjp_flops: count those of each forward and backward pass.
        **kwargs: more arguments for ``__call__``.

    Returns:
        A function ``(*args, **kwargs)`` that returns the table as text.

    Example:
    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> table = nn.tabulate(nn.Dense(3), jax.random.key(0), console_kwargs={"width": 80})
    >>> "kernel: float32[2,3]" in table(jnp.ones((1, 2)))
    True
    """

    def table_fn(*call_args: Any, **call_kwargs: Any) -> str:
        calls, variables = _record(module, rngs, call_args, {**kwargs, **call_kwargs}, mutable)
        rows = _rows(calls, variables, depth, show_repeated=show_repeated)
        if compute_flops or compute_vjp_flops:
            keys = rngs if isinstance(rngs, Mapping) else {"params": rngs}
            rows = [
                _with_flops(
                    row,
                    call,
                    variables,
                    keys,
                    forward=compute_flops,
                    backward=compute_vjp_flops,
                )
                for row, call in rows
            ]
        else:
            rows = [row for row, _ in rows]
        table = render(
            type(module).__name__,
            rows,
            console_kwargs=console_kwargs,
            table_kwargs=table_kwargs,
            column_kwargs=column_kwargs,
        )
        return f"\n{table}\n"

    return table_fn


def _rows(
    calls: list[_Call], variables: dict[str, Any], depth: int | None, *, show_repeated: bool
) -> list[tuple[Row, _Call]]:
    modules = {call.path for call in calls}
    shown = {path for path in modules if depth is None or len(path) <= depth}
    rows: list[tuple[Row, _Call]] = []
    seen: set[tuple[str, ...]] = set()
    for call in calls:
        repeated = call.path in seen
        if call.path not in shown or (repeated and not show_repeated):
            continue
        seen.add(call.path)
        cls = type(call.module).__name__
        own = {} if repeated else _below(variables, call.path, modules)
        counted = {} if repeated else _below(variables, call.path, shown)
        row = Row(
            path=call.path,
            module=cls if call.method == "__call__" else f"{cls} ({call.method})",
            inputs=arguments(call.args, call.kwargs),
            outputs=call.outputs,
            own={
                col: {name: _variable_text(v) for name, v in tree.items()}
                for col, tree in own.items()
            },
            counted=counted,
        )
        rows.append((row, call))
    return rows


def _below(
    variables: dict[str, Any], path: tuple[str, ...], others: set[tuple[str, ...]]
) -> dict[str, Any]:
    """Return the variables below a path, by collection, without those of ``others`` below it."""
    found: dict[str, Any] = {}
    for col, collection in variables.items():
        tree = collection
        for key in path:
            tree = tree.get(key, {}) if isinstance(tree, dict) else {}
        if kept := _without(tree, path, others):
            found[col] = kept
    return found


def _without(tree: dict[str, Any], path: tuple[str, ...], others: set[tuple[str, ...]]) -> Any:
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        inner = (*path, key)
        if inner in others:
            continue
        if isinstance(value, dict) and any(other[: len(inner)] == inner for other in others):
            if below := _without(value, inner, others):
                kept[key] = below
        else:
            kept[key] = value
    return kept


def _variable_text(value: Any) -> Any:
    """Write a variable as the table lists it: a partitioned one with the names of its axes."""
    if isinstance(value, Partitioned):
        names = ", ".join(map(str, value.names))
        return f"{shape_text(value.value)} P({names}{',' * (len(value.names) == 1)})"
    return value.unbox() if is_axis_metadata(value) else value


def _with_flops(
    row: Row,
    call: _Call,
    variables: dict[str, Any],
    keys: Mapping[str, Any],
    *,
    forward: bool,
    backward: bool,
) -> Row:
    inputs, rebuild = take_leaves((call.args, call.kwargs), is_array)

    def run(variables: Any, keys: Any, inputs: list[Any]) -> Any:
        args, kwargs = rebuild(inputs)
        store = Store(variables, keys, mutable=True)
        bound = transplant(call.module, store)
        result = getattr(bound, call.method)(*args, **kwargs)
        # what the module holds is part of the result, as in `apply(..., mutable=True)`
        return result, [bound.scope.collection(col) for col in store.tree]

    args = (variables, dict(keys), inputs)
    return dataclasses.replace(
        row,
        flops=count_flops(run, *args) if forward else None,
        vjp_flops=count_vjp_flops(run, *args) if backward else None,
    )
