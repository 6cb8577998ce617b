"""All that does not fit between a model and the variables passed to it, found in one go.

``apply`` stops at the first parameter that is missing or has another shape. When it does, the
variables that the model would make for these inputs are worked out abstractly and compared with
what was passed, so that the error can list every difference. Nothing of this runs on a call that
succeeds.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

from linnet.base import errors
from linnet.base.errors import shape_text
from linnet.linen.modules.scope import Store
from linnet.state.metadata import is_axis_metadata, unbox

_MOST = 20


def explain(
    error: Exception, fn: Callable[..., Any], module: Any, store: Store, args: Any, kwargs: Any
) -> None:
    """Note on an error all differences between the variables passed and those of the model."""
    try:
        expected = _variables_of(fn, module, store, args, kwargs)
    except Exception:  # noqa: BLE001 - the model cannot be initialised: the error stands as it is
        return
    differences = list(_differences(expected, store.given))
    if len(differences) > 1:
        rest = len(differences) - _MOST
        more = [f"... and {rest} more"] if rest > 0 else []
        lines = "\n  ".join([*differences[:_MOST], *more])
        error.add_note(
            f"All differences between the variables passed and those of the model:\n  {lines}"
        )


def _variables_of(
    fn: Callable[..., Any], module: Any, store: Store, args: Any, kwargs: Any
) -> dict[str, Any]:
    """Return the variables that a call would make, abstractly."""

    def init(key: Any) -> Any:
        made = Store({}, {"params": key, **store.keys}, mutable=True, initializing=True)
        fn(module.clone(parent=made.root), *args, **kwargs)
        return unbox(made.tree)

    return jax.eval_shape(init, jax.random.key(0))


def _differences(expected: Mapping[str, Any], passed: Mapping[str, Any]) -> Iterator[str]:
    wanted, given = dict(_leaves(expected)), dict(_leaves(passed))
    for path, value in wanted.items():
        where = errors.path_text(path)
        if path not in given:
            if path[0] != "perturbations":
                yield f"missing  {where}  {shape_text(value)}"
        elif getattr(given[path], "shape", value.shape) != value.shape:
            now = shape_text(given[path])
            yield f"shape    {where}  passed {now}, the model makes {shape_text(value)}"
    for path, value in given.items():
        if path not in wanted and path[0] in expected:
            text = shape_text(value) if hasattr(value, "shape") else repr(value)
            yield f"unknown  {errors.path_text(path)}  {text}"


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, unbox(tree) if is_axis_metadata(tree) else tree
