"""States: what a model holds, as nested mappings from paths to variables.

A :class:`State` has the shape of the model it was taken from, with variables (and arrays) for
leaves. The variables are the model's own, so a state costs no copies; ``nnx.clone`` makes some.
JAX takes a state for a pytree of the values. :class:`FlatState` is the same as a sequence of pairs
(path, leaf).

The functions here take states apart and put them together, in inverse pairs: ``split_state`` and
``merge_state``, ``to_flat_state`` and ``from_flat_state``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from linnet.base import errors
from linnet.display import notebook
from linnet.display.outline import Outline, pair_key, repr_key, text_of
from linnet.nnx.objects.nodes import sort_key
from linnet.nnx.objects.variable import Variable, value_of, with_value
from linnet.state.filters import Filter, PathIn, sorted_into

K = TypeVar("K")
V = TypeVar("V")
Path = tuple[Any, ...]


class State(MutableMapping[Any, V], Generic[K, V]):
    """A nested mapping from keys to variables; entries are attributes, too.

    >>> import jax.numpy as jnp
    >>> from linnet import nnx
    >>> state = nnx.state(nnx.Dict(a=nnx.Param(jnp.ones(2))))
    >>> print(state["a"][...], state.a is state["a"])
    [1. 1.] True
    """

    __slots__ = ("__dict__",)
    _mapping: dict[Any, Any]

    def __init__(self, mapping: Any, /, *, _copy: bool = True) -> None:
        items = mapping if isinstance(mapping, dict) and not _copy else dict(mapping)
        self.__dict__["_mapping"] = items

    @property
    def raw_mapping(self) -> dict[Any, Any]:
        """The dictionary inside."""
        return self._mapping

    # --- as a mapping ------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        value = self._mapping[key]
        return State(value, _copy=False) if type(value) is dict else value

    def __setitem__(self, key: Any, value: Any) -> None:
        self._mapping[key] = raw(value)

    def __delitem__(self, key: Any) -> None:
        del self._mapping[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._mapping)

    def __len__(self) -> int:
        return len(self._mapping)

    def __getattr__(self, key: str) -> Any:
        mapping = self.__dict__.get("_mapping", {})
        if key not in mapping:
            raise AttributeError(
                f"This state has no entry {key!r}; it has {errors.listing(mapping)}."
                f"{errors.near(key, [str(k) for k in mapping])}"
            )
        return self[key]

    def __setattr__(self, key: str, value: Any) -> None:
        self[key] = value

    def __delattr__(self, key: str) -> None:
        del self[key]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return _equal(self._mapping, raw(other))

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: "State[K, V]") -> "State[K, V]":
        return merge_state(self, other) if other else self

    def __sub__(self, other: "State[K, V]") -> "State[K, V]":
        return diff(self, other) if other else self

    def __repr__(self) -> str:
        return text_of(self)

    def _outline_(self) -> Outline:
        return Outline("State({", self._mapping.items(), "})", keys=repr_key)

    def __treescope_repr__(self, path: Any, subtree_renderer: Any) -> Any:
        return notebook.mapping(type(self), self._mapping, path, subtree_renderer)

    def __getstate__(self) -> Any:
        return self._mapping

    def __setstate__(self, state: Any) -> None:
        self.__dict__["_mapping"] = state

    # --- the functions of this file as methods -----------------------------------------------

    def map(self, f: Callable[[Path, V], Any]) -> "State[K, Any]":
        """See ``nnx.map_state``."""
        return map_state(f, self)

    def flat_state(self) -> "FlatState[V]":
        """See ``nnx.to_flat_state``."""
        return to_flat_state(self)

    @classmethod
    def from_flat_path(cls, flat_state: Any, /) -> "State[Any, Any]":
        """See ``nnx.from_flat_state``."""
        return from_flat_state(flat_state, cls=cls)

    def to_pure_dict(self, extract_fn: Any = None) -> dict[Any, Any]:
        """See ``nnx.to_pure_dict``."""
        return to_pure_dict(self, extract_fn)

    def replace_by_pure_dict(self, pure_dict: Any, replace_fn: Any = None) -> None:
        """See ``nnx.replace_by_pure_dict``."""
        replace_by_pure_dict(self, pure_dict, replace_fn)

    def split(self, first: Filter, /, *filters: Filter) -> Any:
        """See ``nnx.split_state``."""
        return split_state(self, first, *filters)

    def filter(self, first: Filter, /, *filters: Filter) -> Any:
        """See ``nnx.filter_state``."""
        return filter_state(self, first, *filters)

    @staticmethod
    def merge(state: Mapping[Any, Any], /, *states: Mapping[Any, Any]) -> "State[Any, Any]":
        """See ``nnx.merge_state``."""
        return merge_state(state, *states)


def raw(value: Any) -> Any:
    """Return the dictionary inside a state; anything else as it is."""
    return value._mapping if isinstance(value, State) else value


def _equal(one: Any, two: Any) -> bool:
    one, two = raw(one), raw(two)
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(_equal(one[key], two[key]) for key in one)
    if one is two:
        return True
    if isinstance(one, Variable) and isinstance(two, Variable):
        same = type(one) is type(two) and one.get_metadata() == two.get_metadata()
        return same and _equal(one.get_raw_value(), two.get_raw_value())
    return _equal_leaves(one, two)


def _equal_leaves(one: Any, two: Any) -> bool:
    if hasattr(one, "shape") or hasattr(two, "shape"):
        return np.shape(one) == np.shape(two) and bool((one == two).all())
    return bool(one == two)


def _flatten(state: State[Any, Any]) -> tuple[list[Any], tuple[Any, ...]]:
    mapping = state._mapping
    keys = tuple(sorted(mapping, key=sort_key))
    return [mapping[key] for key in keys], keys


def _flatten_with_keys(state: State[Any, Any]) -> Any:
    children, keys = _flatten(state)
    entries = map(jax.tree_util.DictKey, keys)
    return list(zip(entries, children, strict=True)), keys


def _unflatten(keys: tuple[Any, ...], children: Any) -> State[Any, Any]:
    return State(dict(zip(keys, children, strict=True)), _copy=False)


jax.tree_util.register_pytree_with_keys(State, _flatten_with_keys, _unflatten, _flatten)


class FlatState(Sequence[tuple[Path, V]], Generic[V]):
    """A state as a sequence of pairs (path, leaf).

    Attributes:
        paths: the paths.
        leaves: the leaves, in the same order.
    """

    __slots__ = ("_leaves", "_paths")

    def __init__(self, items: Iterable[tuple[Path, V]], /, *, sort: bool) -> None:
        pairs = list(items)
        if sort:
            pairs.sort(key=lambda pair: tuple(map(sort_key, pair[0])))
        self._paths = tuple(tuple(path) for path, _ in pairs)
        self._leaves = [leaf for _, leaf in pairs]

    @classmethod
    def from_sorted_keys_values(cls, keys: Any, values: list[V], /) -> "FlatState[V]":
        """Make a flat state of paths that are sorted already, and leaves."""
        made = cls.__new__(cls)
        made._paths, made._leaves = tuple(keys), values
        return made

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths."""
        return self._paths

    @property
    def leaves(self) -> list[V]:
        """The leaves, in the order of the paths."""
        return self._leaves

    def __len__(self) -> int:
        return len(self._leaves)

    def __iter__(self) -> Iterator[tuple[Path, V]]:
        return zip(self._paths, self._leaves, strict=True)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return list(zip(self._paths[index], self._leaves[index], strict=True))
        return self._paths[index], self._leaves[index]

    def __repr__(self) -> str:
        return text_of(self)

    def _outline_(self) -> Outline:
        return Outline("FlatState([", self, "])", keys=pair_key)

    def to_nested_state(self) -> State[Any, V]:
        """Return the state that this is the flat form of."""
        return from_flat_state(self)

    def split(self, first: Filter, /, *filters: Filter) -> Any:
        """Return one flat state for each filter; see ``nnx.split_state``."""
        parts = sorted_into(self, (first, *filters), exhaustive=True)
        flats = [FlatState(part, sort=False) for part in parts]
        return tuple(flats) if filters else flats[0]

    def filter(self, first: Filter, /, *filters: Filter) -> Any:
        """Return one flat state for each filter; what none matches is left out."""
        parts = sorted_into(self, (first, *filters), exhaustive=False)
        flats = [FlatState(part, sort=False) for part in parts]
        return tuple(flats) if filters else flats[0]

    @staticmethod
    def merge(flat_state: Any, /, *flat_states: Any) -> "FlatState[Any]":
        """Return one flat state of several."""
        return FlatState([pair for each in (flat_state, *flat_states) for pair in each], sort=True)


jax.tree_util.register_pytree_with_keys(
    FlatState,
    lambda flat: (
        [(jax.tree_util.SequenceKey(i), leaf) for i, leaf in enumerate(flat.leaves)],
        flat.paths,
    ),
    lambda paths, leaves: FlatState.from_sorted_keys_values(paths, list(leaves)),
)


# --- nested and flat -------------------------------------------------------------------------


def items_of(state: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Iterate over the leaves of nested mappings, in sorted order."""
    mapping = raw(state)
    for key in sorted(mapping, key=sort_key):
        value = raw(mapping[key])
        if isinstance(value, Mapping):
            yield from items_of(value, (*path, key))
        else:
            yield (*path, key), value


def to_flat_state(state: Any) -> FlatState[Any]:
    """Return a state as a sequence of pairs (path, leaf), sorted by path.

    >>> from linnet import nnx
    >>> nnx.to_flat_state(nnx.State({"a": {"b": 1}})).paths
    (('a', 'b'),)
    """
    return FlatState(items_of(state), sort=False)


def from_flat_state(flat_state: Any, *, cls: Any = State) -> Any:
    """Return the nested form of a flat state, of pairs (path, leaf), or of a mapping of paths.

    The nested form of one leaf at the path ``()`` is the leaf.

    Args:
        flat_state: the pairs.
        cls: the type of the result.
    """
    pairs = flat_state.items() if isinstance(flat_state, Mapping) else flat_state
    tree: dict[Any, Any] = {}
    for path, leaf in pairs:
        if not path:
            return leaf
        level = tree
        for key in path[:-1]:
            level = level.setdefault(key, {})
        level[path[-1]] = leaf
    return tree if cls is dict else cls(tree)


def map_state(f: Callable[[Path, Any], Any], state: Any) -> Any:
    """Return a state with ``f(path, leaf)`` in the place of each leaf.

    >>> from linnet import nnx
    >>> nnx.to_pure_dict(nnx.map_state(lambda path, x: len(path), nnx.State({"a": {"b": 5}})))
    {'a': {'b': 2}}
    """

    def mapped(path: Path, level: Any) -> dict[Any, Any]:
        return {
            key: mapped((*path, key), raw(value))
            if isinstance(raw(value), Mapping)
            else f((*path, key), value)
            for key, value in level.items()
        }

    made = mapped((), raw(state))
    return State(made, _copy=False) if isinstance(state, State) else made


# --- filters ---------------------------------------------------------------------------------


def split_state(state: Any, first: Filter, /, *filters: Filter) -> Any:
    """Split a state by filters, each leaf going to the first that matches it.

    Args:
        state: the state.
        first: a filter: a type, a tag, a predicate ``(path, leaf)``, ``...``, ``Any(...)``, ...
        *filters: further ones.

    Returns:
        The state for the filter, or a tuple with one for each of several.

    Raises:
        ValueError: a leaf is matched by none, or ``...`` stands before another filter.

    >>> from linnet import nnx
    >>> params, rest = nnx.split_state(nnx.State({"a": nnx.Param(1), "b": 2}), nnx.Param, ...)
    >>> list(params), list(rest)
    (['a'], ['b'])
    """
    parts = sorted_into(items_of(state), (first, *filters), exhaustive=True)
    return _as_states(parts, single=not filters)


def filter_state(state: Any, first: Filter, /, *filters: Filter) -> Any:
    """Return the parts of a state that filters match, as :func:`split_state` without the rest."""
    parts = sorted_into(items_of(state), (first, *filters), exhaustive=False)
    return _as_states(parts, single=not filters)


def _as_states(parts: list[list[tuple[Path, Any]]], *, single: bool) -> Any:
    states = [from_flat_state(part) for part in parts]
    return states[0] if single else tuple(states)


def merge_state(state: Any, /, *states: Any, cls: Any = State) -> Any:
    """Return one state of several; where they share a path, the last one counts.

    >>> from linnet import nnx
    >>> nnx.to_pure_dict(nnx.merge_state(nnx.State({"a": 1}), nnx.State({"b": 2})))
    {'a': 1, 'b': 2}
    """
    if not states:
        return state if isinstance(state, cls) else cls(state)
    flat = {path: leaf for each in (state, *states) for path, leaf in items_of(each)}
    return from_flat_state(flat, cls=cls)


def diff(state: Any, other: Any) -> Any:
    """Return the leaves of a state at paths that another does not have."""
    have = {path for path, _ in items_of(other)}
    return from_flat_state([pair for pair in items_of(state) if pair[0] not in have])


# --- pure dictionaries -------------------------------------------------------------------------


def to_pure_dict(state: Any, extract_fn: Callable[[Any], Any] | None = None) -> dict[Any, Any]:
    """Return a state as nested dictionaries of values, without variables.

    Args:
        state: the state.
        extract_fn: what to take of each leaf; by default the value of a variable.

    >>> from linnet import nnx
    >>> nnx.to_pure_dict(nnx.State({"a": nnx.Param(1)}))
    {'a': 1}
    """
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
    by_value: dict[Any, list[Path]] = {}
    for path, value in items_of(state):
        by_value.setdefault(value, []).append(path)
    return {PathIn(*paths): value for value, paths in by_value.items()}
