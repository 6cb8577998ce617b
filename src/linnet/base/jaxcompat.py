"""The only doorway to the internals of JAX.

What JAX has not made public, and Linnet cannot do without, is imported here and nowhere else; when
a new version of JAX moves something, this file changes and no other.
"""

from contextlib import AbstractContextManager
from typing import Any

import jax
from jax._src import core, source_info_util, traceback_util
from jax._src.interpreters import ad


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
    tainted = set(jaxpr.invars[:unknown])
    for eqn in jaxpr.eqns:
        if any(isinstance(v, core.Var) and v in tainted for v in eqn.invars):
            tainted.update(eqn.outvars)
    known = [not (isinstance(v, core.Var) and v in tainted) for v in jaxpr.outvars]
    wanted = {
        v for v, ok in zip(jaxpr.outvars, known, strict=True) if ok and isinstance(v, core.Var)
    }
    needed: list[Any] = []
    for eqn in reversed(jaxpr.eqns):
        if wanted.intersection(eqn.outvars):
            needed.append(eqn)
            wanted.update(v for v in eqn.invars if isinstance(v, core.Var))
    outvars = [v for v, ok in zip(jaxpr.outvars, known, strict=True) if ok]
    info = jaxpr.debug_info._replace(arg_names=(), result_paths=("",) * len(outvars))
    part = jaxpr.replace(eqns=needed[::-1], invars=[], outvars=outvars, debug_info=info)
    values = iter(core.eval_jaxpr(part, closed_jaxpr.consts))
    return [
        next(values) if ok else jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype)
        for v, ok in zip(jaxpr.outvars, known, strict=True)
    ]


def differentiating_trace(value: Any) -> Any:
    """Returns the trace of ``jax.grad`` and its kin that a value belongs to, if there is one."""
    return value._trace if isinstance(value, ad.LinearizeTracer | ad.JVPTracer) else None
