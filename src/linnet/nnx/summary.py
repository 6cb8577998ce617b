"""Looking at a model without running it: its table.

The model is called abstractly, while a watcher writes down every call of a module in it. For the
count of operations each call is then repeated on its own.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from linnet.display.flops import count_flops, count_vjp_flops
from linnet.display.table import Listed, Row, render
from linnet.nnx.graph.layout import layout_of
from linnet.nnx.graph.split import clone, merge, split
from linnet.nnx.objects.call_hooks import methods_observed, watching
from linnet.nnx.objects.module import Module
from linnet.nnx.objects.nodes import iter_graph
from linnet.nnx.objects.pytree import Pytree
from linnet.nnx.objects.sizes import family
from linnet.nnx.objects.variable import Variable
from linnet.nnx.random.streams import Rngs, RngStream
from linnet.nnx.transforms.eval_shape import eval_shape
from linnet.tree.leaves import abstract, is_array, take_leaves


@dataclasses.dataclass
class CallInfo:
    """One call of a module.

    Attributes:
        path: where the module is, and the method, if it is another than ``__call__``.
        object: the module, with abstract values.
        type: its class.
        args: the arguments, arrays as shapes and dtypes.
        kwargs: the keyword arguments.
        outputs: what it returned.
    """

    path: tuple[Any, ...]
    object: Any
    type: type
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any = None
    method: str = "__call__"

    @property
    def place(self) -> tuple[Any, ...]:
        """Where the module is."""
        return self.path if self.method == "__call__" else self.path[:-1]


def filter_rng_streams(row: CallInfo) -> bool:
    """Tell whether a call is to be shown: all but those of random streams."""
    return not issubclass(row.type, Rngs | RngStream)


def tabulate(
    obj: Any,
    *input_args: Any,
    depth: int | None = None,
    method: str = "__call__",
    row_filter: Callable[[CallInfo], bool] = filter_rng_streams,
    table_kwargs: Mapping[str, Any] = MappingProxyType({}),
    column_kwargs: Mapping[str, Any] = MappingProxyType({}),
    console_kwargs: Mapping[str, Any] = MappingProxyType({}),
    compute_flops: bool = False,
    compute_vjp_flops: bool = False,
    **input_kwargs: Any,
) -> str:
    """Return a table of a model: its modules, what goes in and comes out, and its variables.

    Args:
        obj: the model.
        *input_args: the arguments of the call: arrays, or shapes and dtypes.
        depth: how many levels of modules to show.
        method: the method to call.
        row_filter: which calls to show.
        table_kwargs: for ``rich.table.Table``.
        column_kwargs: for its columns.
        console_kwargs: for ``rich.console.Console``.
        compute_flops: count the operations of each forward pass.
        compute_vjp_flops: count those of each forward and backward pass.
        **input_kwargs: the keyword arguments of the call.

    Raises:
        ModuleNotFoundError: ``rich`` is not installed.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    >>> table = nnx.tabulate(model, jnp.ones((1, 2)), console_kwargs={"width": 80})
    >>> "kernel: float32[2,3]" in table
    True
    """
    calls = _record(obj, method, input_args, input_kwargs)
    calls = [c for c in calls if (depth is None or len(c.path) <= depth) and row_filter(c)]
    # what is counted stands in one row: that of the first method of a module
    first = {call.place: call for call in reversed(calls)}
    rows = [
        _row(call, obj, first, forward=compute_flops, backward=compute_vjp_flops) for call in calls
    ]
    return render(
        type(obj).__name__,
        rows,
        kind="type",
        console_kwargs=console_kwargs,
        table_kwargs=table_kwargs,
        column_kwargs=column_kwargs,
    )


def _record(obj: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[CallInfo]:
    """Call a model abstractly; return the first call of each method of each module, in order."""
    calls: list[CallInfo] = []
    seen: set[tuple[int, str]] = set()

    def run(model: Any, *args: Any, **kwargs: Any) -> Any:
        parts = [(path, part) for path, part in iter_graph(model) if isinstance(part, Pytree)]
        paths = {id(part): path for path, part in parts}

        def watch(function: Any, module: Any, args: Any, kwargs: Any) -> Any:
            key = id(module), function.__name__
            if id(module) not in paths or key in seen:
                return function(module, *args, **kwargs)
            seen.add(key)
            call = _call(paths[id(module)], function.__name__, module, args, kwargs)
            calls.append(call)
            result = function(module, *args, **kwargs)
            call.outputs = abstract(result)
            return result

        classes = {type(part) for _, part in parts if isinstance(part, Module)}
        with watching(watch), methods_observed(classes, but=dir(Module)):
            getattr(model, method)(*args, **kwargs)

    copy = clone(obj)
    inputs, rebuild = take_leaves((args, kwargs), is_array)

    def run_on(copy: Any, inputs: list[Any]) -> None:
        inner_args, inner_kwargs = rebuild(inputs)
        run(copy, *inner_args, **inner_kwargs)

    eval_shape(run_on, copy, inputs)
    return calls


def _call(path: Any, method: str, module: Any, args: Any, kwargs: Any) -> CallInfo:
    path = path if method == "__call__" else (*path, method)
    return CallInfo(path, abstract(module), type(module), *abstract((args, kwargs)), method=method)


def _inputs(call: CallInfo) -> Any:
    """Return the arguments of a call as the table shows them: those by name stand below."""
    if len(call.args) == 1 and not call.kwargs:
        return call.args[0]
    return Listed([part for part in (list(call.args), call.kwargs) if part])


def _described(variable: Any) -> Any:
    """Return the value of a variable, with its metadata if it has any."""
    metadata = {k: v for k, v in variable.get_metadata().items() if k != "eager_sharding"}
    value = variable.get_raw_value()
    return {**metadata, "value": value} if metadata else value


def _row(
    call: CallInfo, obj: Any, first: Mapping[Any, CallInfo], *, forward: bool, backward: bool
) -> Row:
    own: dict[str, dict[str, Any]] = {}
    counted: dict[str, list[Any]] = {}
    below: dict[str, list[Any]] = {}
    layout = layout_of(obj)
    depth = len(call.place)
    for path, leaf in zip(layout.paths, layout.leaves(), strict=True):
        if not isinstance(leaf, Variable) or path[:depth] != call.place:
            continue
        nearest = max((p for p in first if path[: len(p)] == p), key=len)
        kind = family(type(leaf))
        below.setdefault(kind, []).append(leaf.get_raw_value())
        if first[nearest] is call:
            counted.setdefault(kind, []).append(leaf.get_raw_value())
        if nearest == call.place and len(path) == depth + 1:
            own.setdefault(kind, {})[str(path[-1])] = _described(leaf)
    flops: dict[str, int] = {}
    if forward or backward:
        structure, state = split(call.object)
        inputs, rebuild = take_leaves((call.args, call.kwargs), is_array)

        def run(state: Any, inputs: list[Any]) -> Any:
            model = merge(structure, state)
            args, kwargs = rebuild(inputs)
            result = getattr(model, call.method)(*args, **kwargs)
            return result, split(model)[1]

        if forward:
            flops["flops"] = count_flops(run, state, inputs)
        if backward:
            flops["vjp_flops"] = count_vjp_flops(run, state, inputs)
    return Row(
        path=tuple(map(str, call.path)),
        module=call.type.__name__,
        inputs=_inputs(call),
        outputs=call.outputs,
        own=own,
        counted=counted,
        shown=below,
        **flops,
    )
