"""How a Linen module crosses a transformation: the store of the engine, over a tree of scopes.

A transformed function is given a bound module, and perhaps others among its arguments. What it can
reach is what lies below them: the *roots* are the paths of these modules, and of those that stand
in their fields, less those that lie below another one. The snapshot takes the variables and the
random streams below the roots; inside, a fresh ``Store`` is made of them, in which the modules are
built again from their blueprints, each at its path. So a module that is reached in two ways is one
module inside too, with one set of variables.

Variables cross as flat dictionaries ``(collection, *path) → value``, paths being those of the whole
model, so that messages, JAX's too, name them. Streams cross as lists of base keys. The counts of
keys drawn are Python integers, part of the structure on the way in and of the description on the
way out.
"""

import dataclasses
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, TypeAlias

import jax

from linnet.base import errors
from linnet.base.config import config
from linnet.base.typing import Path
from linnet.lift.engine import Changes, Groups, Plan, Snapshot
from linnet.linen.modules.context import context
from linnet.linen.modules.scope import Scope, Store
from linnet.linen.modules.structure import ModuleStructure
from linnet.linen.modules.variable import Variable
from linnet.linen.transforms.blueprint import Blueprint, Progress, build, describe_module, key_of
from linnet.state.collection_filters import (
    NO_COLLECTIONS,
    CollectionFilter,
    InCollections,
    collections_of,
)
from linnet.state.logical import get_logical_axis_rules

Counts: TypeAlias = tuple[tuple[tuple[str, ...], tuple[tuple[str, int], ...]], ...]

# what stands for the variable when a group is asked whether it takes a collection, or a stream
COLLECTION, STREAM = "a collection", "a stream"


@dataclasses.dataclass(frozen=True)
class Variables:
    """Picks the variables of some collections."""

    collections: InCollections

    def __call__(self, path: Path, what: Any) -> bool:
        """Tell whether the collection that a path begins with is one of them."""
        return what is COLLECTION and path[0] in self.collections


@dataclasses.dataclass(frozen=True)
class Streams:
    """Picks random streams, by the same filters as collections."""

    streams: InCollections

    def __call__(self, path: Path, what: Any) -> bool:
        """Tell whether the stream that a path names is one of them."""
        return what is STREAM and path[0] in self.streams


def variables_in(filter_like: CollectionFilter) -> Variables:
    """Read a filter of collections."""
    return Variables(collections_of(filter_like))


def streams_in(filter_like: CollectionFilter) -> Streams:
    """Read a filter of streams."""
    return Streams(collections_of(filter_like))


@dataclasses.dataclass(frozen=True)
class Root:
    """A place below which a transformed function can reach.

    Attributes:
        path: where it is.
        drawn_at: the path that its keys are folded from.
        counts: how many keys were drawn there and further down.
        keys: stream → the group its base key crosses in, and the place there.
    """

    path: tuple[str, ...]
    drawn_at: tuple[str, ...]
    counts: Counts
    keys: tuple[tuple[str, tuple[int, int]], ...]


@dataclasses.dataclass(frozen=True)
class Description:
    """What is known of a call when it has been traced: counts by root, and progress by module."""

    counts: tuple[Counts, ...]
    progress: tuple[Progress, ...]


class ScopeStore:
    """The store of one call of a transformed function.

    Args:
        module: the module that it is called on; bound.
        relative: give the roots base keys of their own. That of the module is drawn from its
            stream, so that a compiled function does not depend on where the module is.
        cls: the class that the module has inside.
    """

    def __init__(self, module: Any, *, relative: bool = False, cls: type | None = None) -> None:
        self.module = module
        self.relative = relative
        self.cls = cls
        self.outer: Store = module.scope.store
        self.modules: list[ModuleStructure] = []
        self.roots: list[Scope] = []

    # --- the way in --------------------------------------------------------------------------

    def snapshot(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Snapshot:
        """Take variables and keys out of the scopes, and the modules out of the arguments."""
        arguments, blueprints = self._take_modules((args, kwargs))
        values: list[dict[Path, Any]] = [{} for _ in plan.groups]
        keys: list[list[Any]] = [[] for _ in plan.groups]
        roots = tuple(self._take_root(scope, plan, values, keys) for scope in self.roots)
        outer = self.outer
        leaving = NO_COLLECTIONS
        for group in plan.groups:
            if group.leaves and isinstance(group.picks, Variables):
                leaving |= group.picks.collections
        structure = ScopeStructure(
            roots=roots,
            modules=blueprints,
            mutable=outer.mutable & leaving,
            initializing=outer.initializing,
            resolves_later=outer.resolves_later,
            capture=outer.capture,
            interceptors=context.interceptors,
            settings=key_of(_settings()),
        )
        crossing = tuple(
            key if isinstance(group.picks, Streams) else value
            for group, value, key in zip(plan.groups, values, keys, strict=True)
        )
        return Snapshot(crossing, arguments, structure)

    def _take_modules(self, arguments: Any) -> tuple[Any, tuple[tuple[int, Blueprint], ...]]:
        """Put None in the places of modules, and find the roots.

        Returns:
            The arguments, and the modules as (number of the leaf, blueprint).
        """
        leaves, treedef = jax.tree.flatten(arguments, is_leaf=_is_none)
        memo: dict[int, Any] = {}
        taken: list[tuple[int, Blueprint]] = []
        self.modules = []
        numbers = [i for i, leaf in enumerate(leaves) if isinstance(leaf, ModuleStructure)]
        # variables are written in the order in which modules are met, and the target comes last
        for number in sorted(numbers, key=lambda number: leaves[number] is self.module):
            module = leaves[number]
            cls = self.cls if module is self.module else None
            taken.append((number, describe_module(module, memo, cls)))
            leaves[number] = None
            self.modules.append(module)
        paths = [blueprint.path for blueprint in memo.values() if blueprint.path is not None]
        self.roots = [self.outer.root.at(path) for path in _outermost(paths)]
        return jax.tree.unflatten(treedef, leaves), tuple(taken)

    def _take_root(
        self, scope: Scope, plan: Plan, values: list[dict[Path, Any]], keys: list[list[Any]]
    ) -> Root:
        store = self.outer
        scope.check_open()
        for col in {**dict.fromkeys(store.given), **dict.fromkeys(store.tree)}:
            number = _taker(plan, col, COLLECTION)
            if number is not None and plan.groups[number].enters:
                values[number].update(_flat(scope.collection(col), (col, *scope.path)))
        slots: list[tuple[str, tuple[int, int]]] = []
        is_target = scope.path == self.module.scope.path[: len(scope.path)]
        for name in scope.keys:
            number = _taker(plan, name, STREAM)
            if number is None:
                continue
            draws = self.relative and is_target
            key = scope.make_rng(name) if draws else scope.keys[name]
            found = next((i for i, other in enumerate(keys[number]) if other is key), None)
            if found is None:
                found = len(keys[number])
                keys[number].append(key)
            slots.append((name, (number, found)))
        drawn_at = () if self.relative else scope.drawn_at
        return Root(scope.path, drawn_at, _counts(scope), tuple(slots))

    # --- the way out -------------------------------------------------------------------------

    def publish(self, changes: Changes, result: Any) -> Any:
        """Write variables and counts back to the scopes, and progress to the modules."""
        self.publish_state(changes)
        description: Any = changes.description
        for module, progress in zip(self.modules, description.progress, strict=True):
            if progress.method and module.scope is not None:
                progress.resume(module)
        return result

    def publish_state(self, changes: Changes) -> None:
        """Write variables and counts back, as after a run that only finds out what there is."""
        description: Any = changes.description
        for scope, counts in zip(self.roots, description.counts, strict=True):
            for path, drawn in counts:
                scope.at(path).counts.update(drawn)
        changed = [item for group in changes.groups for item in sorted(group.items(), key=_path)]
        for root in self.roots:
            depth = len(root.path)
            for (col, *path), value in changed:
                if tuple(path[:depth]) == root.path and col in self.outer.mutable:
                    _write(root, col, path[depth:], value)


@dataclasses.dataclass(frozen=True)
class ScopeStructure:
    """What is static about a snapshot of scopes, and all else that a trace may depend on."""

    roots: tuple[Root, ...]
    modules: tuple[tuple[int, Blueprint], ...]
    mutable: InCollections
    initializing: bool
    resolves_later: bool
    capture: Any
    interceptors: tuple[Any, ...]
    settings: Hashable

    def enter(self, plan: Plan, groups: Groups, arguments: Any) -> "ScopeInside":
        """Make a store of the values, and build the modules in it."""
        variables: dict[str, Any] = {}
        for group, values in zip(plan.groups, groups, strict=True):
            if group.enters and isinstance(group.picks, Variables):
                for path, value in values.items():
                    _put(variables, path, value)
        store = Store(
            variables,
            {},
            self.mutable.spelled(),
            initializing=self.initializing,
            capture=self.capture,
        )
        store.resolves_later = self.resolves_later
        for root in self.roots:
            scope = store.root.at(root.path)
            scope.drawn_at = root.drawn_at
            scope.keys = {name: groups[number][place] for name, (number, place) in root.keys}
            for path, counts in root.counts:
                scope.at(path).counts = dict(counts)
        memo: dict[int, Any] = {}
        leaves, treedef = jax.tree.flatten(arguments, is_leaf=_is_none)
        modules = [(number, build(blueprint, store, memo)) for number, blueprint in self.modules]
        for number, module in modules:
            leaves[number] = module
        args, kwargs = jax.tree.unflatten(treedef, leaves)
        built = [module for _, module in modules]
        return ScopeInside(self, plan, groups, store, built, args, kwargs)


@dataclasses.dataclass
class ScopeInside:
    """A store inside a transformation, with the modules built in it."""

    structure: ScopeStructure
    plan: Plan
    entered: Groups
    store: Store
    modules: list[Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def leave(self, result: Any) -> tuple[Changes, Any]:
        """Close the store; return what changed in it."""
        _check_result(result)
        scopes = [self.store.root.at(root.path) for root in self.structure.roots]
        description: Hashable = Description(
            tuple(map(_counts, scopes)), tuple(map(Progress.of, self.modules))
        )
        groups: list[dict[Path, Any]] = [{} for _ in self.plan.groups]
        for number, group in enumerate(self.plan.groups):
            if group.whole:
                groups[number] = dict(self.entered[number])
        for path, value in _flat(self.store.tree, ()):
            number = _taker(self.plan, path[0], COLLECTION)
            if number is None or not self.plan.groups[number].leaves:
                continue
            if not _unchanged(self.entered[number], path, value):
                groups[number][path] = value
        self.store.close()
        return Changes(tuple(groups), description), result


# --- small steps -----------------------------------------------------------------------------


def _path(item: tuple[Path, Any]) -> Path:
    return item[0]


def _write(scope: Scope, col: str, path: list[str], value: Any) -> None:
    name, *rest = path
    for key in reversed(rest):
        value = {key: value}
    scope.put_variable(col, name, value)


def _is_none(value: Any) -> bool:
    return value is None


def _settings() -> Any:
    """Return the settings, of a thread or the process, that a model reads while it is traced."""
    flags = config.flax_fix_rng_separator, config.flax_preserve_adopted_names
    return flags, get_logical_axis_rules()


def _taker(plan: Plan, name: str, what: str) -> int | None:
    """Return the number of the group that takes a collection or a stream; None stays outside."""
    for number, group in enumerate(plan.groups):
        if group.picks((name,), what):
            return number
    return None


def _outermost(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leave out the paths that lie below another one."""
    return [
        path
        for path in dict.fromkeys(paths)
        if not any(path != other and path[: len(other)] == other for other in paths)
    ]


def _flat(tree: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    """List the variables of nested dictionaries; an empty dictionary is a value."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, (*path, key))
        else:
            yield (*path, key), value


def _put(tree: dict[str, Any], path: Path, value: Any) -> None:
    *parents, name = path
    for key in parents:
        tree = tree.setdefault(key, {})
    tree[name] = value


def _counts(scope: Scope) -> Counts:
    return tuple((path, tuple(counts.items())) for path, counts in scope.counts_below())


def _unchanged(entered: Mapping[Path, Any], path: Path, value: Any) -> bool:
    """Tell whether a variable is what came in: the same objects in the same boxes."""
    if path not in entered:
        return False
    before = entered[path]
    if before is value:
        return True
    one, other = jax.tree.structure(before), jax.tree.structure(value)
    if one != other:
        return False
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(value), strict=True)
    return all(old is new for old, new in pairs)


def _check_result(result: Any) -> None:
    for leaf in jax.tree.leaves(result):
        if isinstance(leaf, ModuleStructure | Variable):
            raise errors.TransformedMethodReturnValueError(leaf)
