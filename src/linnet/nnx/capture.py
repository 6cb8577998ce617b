"""Capturing: collect what a model sows, or would be perturbed by, during one call.

Nothing stays on the model; ``objects/sown.py`` says where the values go, and
``transforms/captured.py`` how they come out of transformations.
"""

import functools
from collections.abc import Callable
from typing import Any

from linnet.nnx.graph.states import State, filter_state, from_flat_state
from linnet.nnx.objects import sown
from linnet.nnx.objects.call_hooks import methods_observed
from linnet.nnx.objects.module import Module, iter_modules
from linnet.nnx.objects.variable import Variable


def capture(
    fn: Any, *var_types: Any, init: Any = None, method_outputs: Any = None
) -> Callable[..., Any]:
    """Make a function return also what the modules it gets sow during the call.

    That includes what they sow inside of transformations: ``nnx.vmap`` and ``nnx.scan`` stack it.

    Args:
        fn: a module, a bound method of one, or a function that gets modules as arguments. A
            variable type instead makes a decorator.
        *var_types: which types of variables to capture.
        init: a state of captured values to start from, such as the perturbations at which a
            gradient is taken, of whatever types.
        method_outputs: a variable type; the result of every method of every module is captured,
            too, under the name of the method and as this type.

    Returns:
        A function that returns ``(result, state)``, or ``(result, state, state, ...)`` with one
        state for each of several types.

    Example:
    >>> from linnet import nnx
    >>> class Double(nnx.Module):
    ...     def __call__(self, x):
    ...         self.sow(nnx.Intermediate, "seen", x)
    ...         return 2 * x
    >>> result, seen = nnx.capture(Double(), nnx.Intermediate)(3.0)
    >>> result, nnx.to_pure_dict(seen)
    (6.0, {'seen': (3.0,)})
    """
    if isinstance(fn, type) and issubclass(fn, Variable):
        types = (fn, *var_types)
        return lambda fn: capture(fn, *types, init=init, method_outputs=method_outputs)
    if not var_types and method_outputs is None:
        raise TypeError(
            "nnx.capture was not told what to capture. Name the variable types: "
            "nnx.capture(model, nnx.Intermediate)."
        )

    @functools.wraps(fn if hasattr(fn, "__name__") else type(fn).__call__)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        owner = getattr(fn, "__self__", fn)
        roots = [owner] if isinstance(owner, Module) else [*args, *kwargs.values()]
        modules = _modules_of(roots)
        if not modules:
            raise ValueError(
                f"nnx.capture(fn, ...) captures what modules sow, but fn, {fn!r}, is no module and "
                "was called without one among its arguments. Pass the module as an argument."
            )
        return _run(fn, args, kwargs, modules, var_types, init, method_outputs)

    return wrapper


def _run(
    fn: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    modules: list[tuple[Any, Any]],
    types: tuple[Any, ...],
    init: Any,
    outputs: Any,
) -> Any:

    asked = types if outputs is None or outputs in types else (*types, outputs)
    starts = [_initial(init, path) for path, _ in modules]
    # what there is to start from is used, too, if only what comes of it is asked for
    given = [type(variable) for start in starts for variable in start.values()]
    running = sown.Capture(tuple(dict.fromkeys((*asked, *given))), outputs)
    for (_, module), start in zip(modules, starts, strict=True):
        running.add(module, start)
    classes = {type(module) for _, module in modules} if outputs else ()
    methods = methods_observed(classes, but=set(dir(Module)) - {"__call__"})
    with sown.running(running), methods:
        result = fn(*args, **kwargs)
    flat = [
        ((*path, name), variable)
        for path, module in modules
        for name, variable in running.kept(module).items()
        if type(variable) in asked
    ]
    state = from_flat_state(flat) if flat else State({})
    if len(asked) == 1:
        return result, state
    split = filter_state(state, *asked)
    return (result, *split)


def _modules_of(roots: list[Any]) -> list[tuple[Any, Any]]:
    """List all modules with their paths; those of several roots lie side by side."""
    found: dict[int, tuple[Any, Any]] = {}
    for root in roots:
        for path, module in iter_modules(root):
            found.setdefault(id(module), (path, module))
    return list(found.values())


def _initial(init: Any, path: tuple[Any, ...]) -> dict[str, Any]:
    if init is None:
        return {}
    level = init
    for key in path:
        if key not in level:
            return {}
        level = level[key]
    # a copy: what is captured must not change the state that was passed
    return {name: v.copy() for name, v in level.items() if isinstance(v, Variable)}
