"""From a module to a pure function: ``init`` and ``apply``.

A module with its variables set apart is a pure function ``(variables, inputs) → (outputs, changed
variables)``. :func:`run` is that, once: it makes a store of the variables and keys, binds a copy of
the module to it, calls the function, and closes the store. ``init`` and ``apply``, as methods of a
module or as functions that take one, differ in what they put into the store and in which part of
the result they return.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from linnet.base import errors, jaxcompat
from linnet.base.traceback import hide_internal_frames
from linnet.base.typing import PRNGKey
from linnet.linen.modules.describe import describe
from linnet.linen.modules.scope import Store
from linnet.linen.modules.trained import check_differentiated
from linnet.state.collection_filters import CollectionFilter, DenyList, union_filters
from linnet.state.streams import is_key
from linnet.tree.leaves import take_leaves

CaptureIntermediates = bool | Callable[[Any, str], bool]

# what `init` makes by default: everything but what a call merely shows of itself
INIT_COLLECTIONS: CollectionFilter = DenyList(deny="intermediates")


def capture_call_intermediates(_: Any, method_name: str) -> bool:
    """Capture the results of ``__call__``: what ``capture_intermediates=True`` stands for."""
    return method_name == "__call__"


def run(
    fn: Callable[..., Any], module: Any, store: Store, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call ``fn`` on a copy of ``module`` bound to ``store``, and close the store."""
    try:
        return fn(module.clone(parent=store.root), *args, **kwargs)
    except Exception as error:
        if isinstance(error, errors.MisfitError) and not store.initializing:
            from linnet.linen.modules.misfit import explain

            explain(error, fn, module, store, args, kwargs)
        hide_internal_frames(error)
        raise
    finally:
        store.close()


def store_for_apply(
    module: Any,
    variables: Mapping[str, Any],
    rngs: Any,
    mutable: CollectionFilter,
    capture: CaptureIntermediates = False,
) -> Store:
    """Make the store of a call of ``apply``, after a look at what was passed."""
    check_variables(variables)
    keys = {} if rngs is None else check_keys(rngs, module, "apply")
    if capture:
        mutable = union_filters(mutable, "intermediates")
    store = Store(variables, keys, mutable, capture=_capture_filter(capture))
    if store.tree:
        check_differentiated(variables, store.mutable)
    return store


def store_for_init(
    module: Any, rngs: Any, mutable: CollectionFilter, capture: CaptureIntermediates = False
) -> Store:
    """Make the store of a call of ``init``: empty."""
    if capture:
        mutable = union_filters(mutable, "intermediates")
    keys = check_keys(rngs, module, "init")
    return Store({}, keys, mutable, initializing=True, capture=_capture_filter(capture))


def with_changes(
    result: Any, store: Store, mutable: CollectionFilter, capture: CaptureIntermediates
) -> Any:
    """Return what ``apply`` returns: the result and, if any could be written, the collections."""
    return (result, store.take()) if capture or mutable is not False else result


def _capture_filter(capture: CaptureIntermediates) -> Callable[[Any, str], bool] | None:
    if capture is True:
        return capture_call_intermediates
    return capture or None


# --- what is passed in -----------------------------------------------------------------------


def check_variables(variables: Any) -> None:
    """Raise unless ``variables`` is a dictionary of collections.

    Raises:
        ApplyScopeInvalidVariablesTypeError: it is something else, such as the parameters alone.
        ApplyScopeInvalidVariablesStructureError: it holds ``params`` inside ``params``.
    """
    if not isinstance(variables, Mapping):
        raise errors.ApplyScopeInvalidVariablesTypeError(describe(variables))
    for name, collection in variables.items():
        if not isinstance(name, str):
            raise errors.ApplyScopeInvalidVariablesTypeError(f"the key {name!r}")
        if not isinstance(collection, Mapping):
            raise errors.ApplyScopeInvalidVariablesTypeError(
                f"{name!r}: {describe(collection)}", params_like=not isinstance(collection, str)
            )
    params = variables.get("params")
    if params is not None and "params" in params and len(params) == 1:
        raise errors.ApplyScopeInvalidVariablesStructureError(variables)


def check_keys(rngs: Any, module: Any, call: str) -> Mapping[str, PRNGKey]:
    """Return ``rngs`` as stream → key; a single key feeds the stream ``params``.

    Raises:
        InvalidRngError: it is neither a key nor a dictionary of keys.
    """
    keys = rngs if isinstance(rngs, Mapping) else {"params": rngs}
    for name, key in keys.items():
        if not (isinstance(name, str) and is_key(key)):
            raise errors.InvalidRngError(_not_a_key(name, key, rngs, module, call))
    return keys


def _not_a_key(name: Any, key: Any, rngs: Any, module: Any, call: str) -> str:
    cls = type(module).__name__
    first = "" if call == "init" else "variables, ..., rngs="
    which = f"rngs[{name!r}] is {describe(key)}" if isinstance(rngs, Mapping) else describe(key)
    if hasattr(key, "shape") and len(key.shape) > 0:
        why = "; a batch of keys is not a key: pass one of them, `keys[0]`, or use jax.vmap"
        cure = why if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else ""
    else:
        cure = ""
    streams = "{'params': key, 'dropout': other_key}"
    return (
        f"{cls}.{call} was given {which} where a random key is expected, in its argument "
        f"{'rngs' if call == 'apply' else '`rngs`, the first one'}{cure}. Write "
        f"`model.{call}({first}jax.random.key(0){', x' if call == 'init' else ''})`, or a "
        f"dictionary from streams to keys, `{streams}`."
    )


def unbound_method(module: Any, method: Any) -> Callable[..., Any]:
    """Return what ``method=`` stands for, as a function whose first argument is the module.

    Raises:
        AttributeError: it is the name of something that does not exist.
        TypeError: it is the name of something that cannot be called.
        ApplyModuleInvalidMethodError: it is neither a name nor something to call.
    """
    if method is None:
        if not callable(module):
            raise AttributeError(
                f"{type(module).__name__!r} object has no attribute '__call__'. Define it, or say "
                "which method to run: `method='encode'`."
            )
        return type(module).__call__
    if isinstance(method, str):
        return lambda bound, /, *args, **kwargs: _named(bound, method)(*args, **kwargs)
    if hasattr(method, "__func__"):
        return method.__func__
    if not callable(method) or _takes_nothing(method):
        raise errors.ApplyModuleInvalidMethodError(method)
    return method


def _takes_nothing(method: Any) -> bool:
    """Tell whether a function has no argument that the module could be passed as."""
    code = getattr(method, "__code__", None)
    return code is not None and not code.co_argcount and not code.co_flags & inspect.CO_VARARGS


def _named(bound: Any, name: str) -> Callable[..., Any]:
    found = getattr(bound, name)
    if not callable(found):
        raise TypeError(
            f"method={name!r} names {type(bound).__name__}.{name}, which is "
            f"{describe(found)} and cannot be called."
        )
    return found


# --- init without inputs ---------------------------------------------------------------------


def run_abstractly(
    fn: Callable[..., Any], module: Any, store: Store, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Run ``fn`` as :func:`run` does, but compute only variables, not outputs.

    The call is traced with the inputs that are ``jax.ShapeDtypeStruct`` left abstract; variables
    are made at the level of the store, that is outside the trace, with real values. What was
    written as an inner tracer gets its value afterwards. What depends on those inputs gets the
    value that zeros in their place give, and is warned of.
    """
    inputs, rebuild = take_leaves(
        (args, kwargs), lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)
    )
    store.resolves_later = True
    pending: list[tuple[dict[str, Any], str, str]] = []

    def traced(inputs: list[Any]) -> list[Any]:
        inner_args, inner_kwargs = rebuild(inputs)
        run(fn, module, store, inner_args, inner_kwargs)
        pending.extend(_tracers(store.tree, store.trace))
        return [holder[key] for holder, key, _ in pending]

    jaxpr = jax.make_jaxpr(traced)(inputs)
    values = jaxcompat.evaluate_known(jaxpr, len(inputs))
    unknown = [
        path
        for (_, _, path), value in zip(pending, values, strict=True)
        if isinstance(value, jax.ShapeDtypeStruct)
    ]
    if unknown:
        warnings.warn(errors.made_of_zeros(unknown), errors.LinnetWarning, stacklevel=4)
        values = jaxcompat.evaluate(jaxpr, [jnp.zeros(x.shape, x.dtype) for x in inputs])
    for (holder, key, _), value in zip(pending, values, strict=True):
        holder[key] = value


def _tracers(tree: dict[str, Any], trace: Any, path: str = "") -> Any:
    """List where a tree holds tracers of an inner trace, as (dictionary, key, path)."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _tracers(value, trace, f"{path}/{key}")
        elif jaxcompat.trace_of(value) not in {None, trace}:
            yield tree, key, f"{path}/{key}"


# --- functions of functions ------------------------------------------------------------------


def apply(
    fn: Callable[..., Any],
    module: Any,
    mutable: CollectionFilter = False,
    capture_intermediates: CaptureIntermediates = False,
) -> Callable[..., Any]:
    """Make a pure function of a function of a bound module.

    Args:
        fn: called with a bound copy of ``module`` and the remaining arguments.
        module: the module.
        mutable: which collections ``fn`` may write: a bool for all or none, a name, names, or
            a `DenyList`.
        capture_intermediates: store the results of ``__call__``, or of the methods that a
            function ``(module, method_name) -> bool`` picks, in collection ``intermediates``.

    Returns:
        A function ``(variables, *args, rngs=None, **kwargs)`` that returns what ``fn`` returns, or
        ``(result, changed variables)`` if any collection is mutable.

    Example:
    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> double = nn.apply(lambda dense, x: 2 * dense(x), nn.Dense(3))
    >>> variables = nn.Dense(3).init(jax.random.key(0), jnp.ones((1, 2)))
    >>> jax.jit(double)(variables, jnp.ones((1, 2))).shape
    (1, 3)
    """

    def apply_fn(variables: Mapping[str, Any], *args: Any, rngs: Any = None, **kwargs: Any) -> Any:
        store = store_for_apply(module, variables, rngs, mutable, capture_intermediates)
        result = run(fn, module, store, args, kwargs)
        return with_changes(result, store, mutable, capture_intermediates)

    return apply_fn


def init_with_output(
    fn: Callable[..., Any],
    module: Any,
    mutable: CollectionFilter = INIT_COLLECTIONS,
    capture_intermediates: CaptureIntermediates = False,
) -> Callable[..., Any]:
    """Make an initializer, that returns outputs too, of a function of a bound module.

    Args:
        fn: called with a bound copy of ``module`` and the remaining arguments.
        module: the module.
        mutable: which collections are made; all but ``intermediates`` by default.
        capture_intermediates: as for :func:`apply`.

    Returns:
        A function ``(rngs, *args, **kwargs)`` that returns ``(result, variables)``.
    """

    def init_fn(rngs: Any, *args: Any, **kwargs: Any) -> Any:
        store = store_for_init(module, rngs, mutable, capture_intermediates)
        return run(fn, module, store, args, kwargs), store.take()

    return init_fn


def init(
    fn: Callable[..., Any],
    module: Any,
    mutable: CollectionFilter = INIT_COLLECTIONS,
    capture_intermediates: CaptureIntermediates = False,
) -> Callable[..., Any]:
    """Make an initializer of a function of a bound module.

    Args:
        fn: called with a bound copy of ``module`` and the remaining arguments.
        module: the module.
        mutable: which collections are made; all but ``intermediates`` by default.
        capture_intermediates: as for :func:`apply`.

    Returns:
        A function ``(rngs, *args, **kwargs)`` that returns the variables.

    Example:
    >>> import jax, jax.numpy as jnp, linnet.linen as nn
    >>> init = nn.init(lambda dense, x: dense(x), nn.Dense(3))
    >>> jax.tree.map(jnp.shape, init(jax.random.key(0), jnp.ones((1, 2))))
    {'params': {'bias': (3,), 'kernel': (2, 3)}}
    """
    with_output = init_with_output(fn, module, mutable, capture_intermediates)
    return lambda rngs, *args, **kwargs: with_output(rngs, *args, **kwargs)[1]
