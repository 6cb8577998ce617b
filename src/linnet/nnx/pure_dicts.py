"""States as nested dictionaries of values, without variables, and back."""

from collections.abc import Callable
from typing import Any

from linnet.base import errors
from linnet.nnx.graph.states import (
    Path,
    from_flat_state,
    items_of,
    raw,
)
from linnet.nnx.objects.variable import (
    Variable,
)


def to_pure_dict(state: Any, extract_fn: Callable[[Any], Any] | None = None) -> dict[Any, Any]:
    """Return a state as nested dictionaries of values, without variables.

    Args:
        state: the state.
        extract_fn: what to take of each leaf; by default the value of a variable.

    >>> from linnet import nnx
    >>> nnx.to_pure_dict(nnx.State({"a": nnx.Param(1)}))
    {'a': 1}
    """

    def value_of(leaf: Any) -> Any:
        return leaf.get_value() if isinstance(leaf, Variable) else leaf

    extract = extract_fn or value_of
    return from_flat_state([(p, extract(leaf)) for p, leaf in items_of(state)], cls=dict)


def replace_by_pure_dict(
    state: Any, pure_dict: Any, replace_fn: Callable[[Any, Any], Any] | None = None
) -> None:
    """Put the values of nested dictionaries into a state; variables keep type and metadata.

    The state gets new variables: a model that shares the old ones does not change. Pass the state
    to ``nnx.update`` for that.

    Args:
        state: the state to change.
        pure_dict: nested dictionaries; keys that are integers may be written as strings.
        replace_fn: makes the new leaf of the old one and the value.

    Raises:
        ValueError: the dictionaries have a path that the state has not.
    """

    def with_value(leaf: Any, value: Any) -> Any:
        return leaf.replace(value) if isinstance(leaf, Variable) else value

    replace = replace_fn or with_value
    current = dict(items_of(state))
    news: list[tuple[Path, Any]] = []
    missing: list[Path] = []
    for path, value in items_of(pure_dict):
        found = path if path in current else _with_int_keys(path)
        if found in current:
            news.append((found, value))
        else:
            missing.append(path)
    if missing:
        raise ValueError(
            f"The pure dictionary has {', '.join(map(errors.path_text, missing))}, which "
            "is not available in the state. The state has "
            f"{', '.join(map(errors.path_text, list(current)[:12]))}"
            f"{' …' if len(current) > 12 else ''}."
        )
    for path, value in news:
        level = raw(state)
        for key in path[:-1]:
            level = raw(level[key])
        level[path[-1]] = replace(current[path], value)


def _with_int_keys(path: Path) -> Path:
    return tuple(int(k) if isinstance(k, str) and k.isdigit() else k for k in path)


def restore_int_paths(pure_dict: Any) -> Any:
    """Return nested dictionaries with keys that are numbers in letters as numbers.

    Formats such as JSON know no keys that are numbers.

    >>> from linnet import nnx
    >>> nnx.restore_int_paths({"layers": {"0": 1}})
    {'layers': {0: 1}}
    """
    flat = [(_with_int_keys(path), value) for path, value in items_of(pure_dict)]
    return from_flat_state(flat, cls=dict)


def create_path_filters(state: Any) -> dict[Any, Any]:
    """Return for each value in a state a filter for the paths at which it stands."""
    from linnet.state.filters import PathIn

    by_value: dict[Any, list[Path]] = {}
    for path, value in items_of(state):
        by_value.setdefault(value, []).append(path)
    return {PathIn(*paths): value for value, paths in by_value.items()}
