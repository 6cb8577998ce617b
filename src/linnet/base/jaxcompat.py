"""The only doorway to the internals of JAX.

What JAX has not made public, and Linnet cannot do without, is imported here and nowhere else; when
a new version of JAX moves something, this file changes and no other.
"""

import functools
from contextlib import AbstractContextManager
from typing import Any

import jax
import numpy as np
from jax._src import core, source_info_util, traceback_util
from jax._src.interpreters import ad, batching, partial_eval
from jax._src.lib import xla_client  # pyright: ignore[reportPrivateImportUsage]

NORMAL_IS_COMPILED = jax.__version_info__ >= (0, 12)
"""Whether ``jax.nn.initializers.normal`` is compiled as a whole, which rounds once less."""


def register_exclusion(path: str) -> None:
    """Has JAX pass over the frames of a file or folder in tracebacks and in source locations.

    Args:
        path: a file, or a prefix that the paths of the files share.
    """
    traceback_util.register_exclusion(path)
    source_info_util.register_exclusion(path)


def shows_internal_frames() -> bool:
    """Says whether JAX has been asked to leave tracebacks whole."""
    # The attributes of jax.config are made at run time, out of sight of the type checker.
    return getattr(jax.config, "jax_traceback_filtering", None) == "off"


def current_trace() -> Any:
    """Returns the trace that JAX operations run in now, one object for each level of tracing."""
    return core.trace_ctx.trace


def is_tracing() -> bool:
    """Says whether operations are being traced, not executed."""
    return core.trace_ctx.trace is not core.eval_trace


def at_trace(trace: Any) -> AbstractContextManager[Any]:
    """Runs the operations of a ``with`` block in a trace that was entered earlier and is open.

    What is computed there belongs to that trace: it may be used in it after every inner one has
    ended. Values of inner traces may not be used in the block; JAX raises
    ``jax.errors.UnexpectedTracerError``.

    Args:
        trace: what ``current_trace`` returned at that level.
    """
    return core.set_current_trace(trace)


def trace_of(value: Any) -> Any:
    """Returns the trace that a tracer belongs to; ``None`` for every other value."""
    return value._trace if isinstance(value, core.Tracer) else None


def evaluate_known(closed_jaxpr: Any, unknown: int) -> list[Any]:
    """Evaluates the outputs of a jaxpr that do not depend on its leading inputs.

    Args:
        closed_jaxpr: what ``jax.make_jaxpr`` returned; it has ``unknown`` inputs.
        unknown: how many inputs it has, none of which has a value.

    Returns:
        For each output its value or, where it does depend on the inputs, its abstract value as a
        ``jax.ShapeDtypeStruct``.
    """
    jaxpr = closed_jaxpr.jaxpr
    known = _known_outputs(jaxpr, unknown)
    # this also takes unknown inputs out of inner jaxprs, those of ``jax.jit`` and ``jax.lax.scan``
    part, _ = partial_eval.dce_jaxpr(jaxpr, known, instantiate=False)
    info = part.debug_info._replace(arg_names=(), result_paths=("",) * len(part.outvars))
    part = part.replace(invars=[], debug_info=info)
    values = iter(core.eval_jaxpr(part, closed_jaxpr.consts))
    return [
        next(values) if ok else jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype)
        for v, ok in zip(jaxpr.outvars, known, strict=True)
    ]


def evaluate(closed_jaxpr: Any, inputs: list[Any]) -> list[Any]:
    """Evaluate what ``jax.make_jaxpr`` returned, as far as its outputs need.

    Args:
        closed_jaxpr: what to evaluate.
        inputs: a value for each of its inputs.
    """
    jaxpr = closed_jaxpr.jaxpr
    part, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), instantiate=True)
    return core.eval_jaxpr(part, closed_jaxpr.consts, *inputs)


def _known_outputs(jaxpr: Any, unknown: int) -> list[bool]:
    """Tells of each output whether it depends on none of the leading inputs."""
    tainted = set(jaxpr.invars[:unknown])
    for eqn in jaxpr.eqns:
        if any(isinstance(v, core.Var) and v in tainted for v in eqn.invars):
            tainted.update(eqn.outvars)
    known = [not (isinstance(v, core.Var) and v in tainted) for v in jaxpr.outvars]
    doubtful = [place for place, ok in enumerate(known) if not ok]
    for place in doubtful:
        # an equation may hold a jaxpr of its own, of whose outputs only some depend on its inputs
        alone = [other == place for other in range(len(known))]
        used = partial_eval.dce_jaxpr(jaxpr, alone, instantiate=False)[1]
        known[place] = not any(used[:unknown])
    return known


def differentiating_trace(value: Any) -> Any:
    """Returns the trace of ``jax.grad`` and its kin that a value belongs to, if there is one."""
    return value._trace if isinstance(value, ad.LinearizeTracer | ad.JVPTracer) else None


def is_mapped(value: Any) -> bool:
    """Says whether a value differs between the instances of the ``jax.vmap`` that is running."""
    return isinstance(value, batching.BatchTracer) and value._trace is current_trace()


def to_device(array: "np.ndarray[Any, Any]") -> jax.Array:
    """Returns an array of numpy as one of JAX: ``jax.device_put``, at a tenth of its overhead.

    Args:
        array: of a dtype that JAX has in its present configuration.
    """
    if getattr(jax.config, "jax_default_device", None) is not None or is_tracing():
        return jax.device_put(array)
    device = jax.local_devices()[0]
    aval, sharding = _where(array.shape, array.dtype, device)
    return xla_client.batched_device_put(aval, sharding, [array], [device], False)


@functools.lru_cache(maxsize=4096)
def _where(shape: tuple[int, ...], dtype: Any, device: Any) -> tuple[Any, Any]:
    return core.ShapedArray(shape, dtype), jax.sharding.SingleDeviceSharding(device)


def is_jax_initializer(function: Any) -> bool:
    """Tell whether a function is one of ``jax.nn.initializers``, or was made by one."""
    home = getattr(function, "__module__", None)
    return home in {"jax._src.nn.initializers", "jax.nn.initializers"}
