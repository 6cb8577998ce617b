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
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import jax

from linnet.base import errors
from linnet.base.config import config
from linnet.base.static_keys import static_key
from linnet.base.typing import Path
from linnet.lift.arguments import reveal_static
from linnet.lift.engine import Changes, Groups, Plan, Snapshot
from linnet.linen.modules.context import context
from linnet.linen.modules.scope import Counts, Scope, Store, variables_below
from linnet.linen.modules.structure import ModuleStructure
from linnet.linen.modules.variable import Variable
from linnet.linen.transforms.blueprint import build, describe_module, is_blueprint, place_of
from linnet.state.collection_filters import (
    NO_COLLECTIONS,
    CollectionFilter,
    InCollections,
    collections_of,
)
from linnet.state.logical import get_logical_axis_rules
from linnet.state.metadata import add_axis, remove_axis, same_boxed
from linnet.tree.paths import outermost, unflatten_mapping

# what stands for the variable when a group is asked whether it takes a collection, or a stream
VARIABLES, STREAMS = "variables", "streams"


@dataclasses.dataclass(frozen=True)
class Picks:
    """Picks the variables of some collections, or random streams by the same filters."""

    what: str
    names: InCollections

    def __call__(self, path: Path, what: Any) -> bool:
        """Tell whether the collection, or stream, that a path begins with is one of them."""
        return what is self.what and path[0] in self.names


def variables_in(filter_like: CollectionFilter) -> Picks:
    """Read a filter of collections."""
    return Picks(VARIABLES, collections_of(filter_like))


def streams_in(filter_like: CollectionFilter) -> Picks:
    """Read a filter of streams."""
    return Picks(STREAMS, collections_of(filter_like))


def picked(plan: Plan, what: str, *, leaving: bool = False) -> InCollections:
    """Return which collections, or streams, the groups of a plan pick; or just those leaving."""
    names = NO_COLLECTIONS
    for group in plan.groups:
        picks: Any = group.picks
        if picks.what is what and (group.leaves or not leaving):
            names |= picks.names
    return names


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


class ScopeStore:
    """The store of one call of a transformed function.

    Args:
        module: the module that it is called on; bound.
        cls: the class that the module has inside; by default its own.
        relative: give the roots base keys of their own. That of the module is drawn from its
            stream, so that a compiled function does not depend on where the module is.
        declares_only: the call is one that finds out what variables there are, and another one
            like it follows: modules outside do not come any further by it.
    """

    def __init__(
        self,
        module: Any,
        cls: type | None = None,
        *,
        relative: bool = False,
        declares_only: bool = False,
    ) -> None:
        self.module = module
        self.cls = cls
        self.relative = relative
        self.declares_only = declares_only
        self.outer: Store = module.scope.store
        self.plan = Plan((), "")
        self.modules: list[ModuleStructure] = []
        self.roots: list[Scope] = []

    # --- the way in --------------------------------------------------------------------------

    def snapshot(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Snapshot:
        """Take variables and keys out of the scopes, and the modules out of the arguments."""
        arguments = self._take_modules((args, kwargs))
        crossing = tuple([] if g.picks.what is STREAMS else {} for g in plan.groups)  # type: ignore[attr-defined]
        outer = self.outer
        structure = ScopeStructure(
            roots=tuple(self._take_root(scope, plan, crossing) for scope in self.roots),
            mutable=outer.mutable & picked(plan, VARIABLES, leaving=True),
            initializing=outer.initializing,
            resolves_later=outer.resolves_later,
            capture=outer.capture,
            interceptors=context.interceptors,
            settings=static_key(settings()),
        )
        self.plan = plan
        # boxes lose their axis, and get it back, out here, where their values have it
        return Snapshot(tuple(_through(remove_axis, plan, crossing)), arguments, structure)

    def _take_modules(self, arguments: Any) -> Any:
        """Put blueprints in the places of modules, and find the roots."""
        leaves, treedef = jax.tree.flatten(arguments)
        memo: dict[int, Any] = {}
        for place, leaf in enumerate(leaves):
            if isinstance(leaf, Variable):
                leaves[place] = memo[id(leaf)] = place_of(leaf)
        places = [n for n, leaf in enumerate(leaves) if isinstance(leaf, ModuleStructure)]
        self.modules = [leaves[place] for place in places]
        # variables are written in the order in which modules are met, and the target comes last
        for place in sorted(places, key=lambda place: leaves[place] is self.module):
            module = leaves[place]
            leaves[place] = describe_module(
                module, memo, self.cls if module is self.module else None
            )
        paths = [each.path for each in memo.values() if each.path is not None]
        self.roots = [self.outer.root.at(path) for path in outermost(paths)]
        return jax.tree.unflatten(treedef, leaves)

    def _take_root(self, scope: Scope, plan: Plan, crossing: Groups) -> Root:
        store = self.outer
        scope.check_open()
        for col in {**dict.fromkeys(store.given), **dict.fromkeys(store.tree)}:
            number = _taker(plan, col, VARIABLES)
            if number is not None and plan.groups[number].enters:
                crossing[number].update(variables_below(scope.collection(col), (col, *scope.path)))
        slots: list[tuple[str, tuple[int, int]]] = []
        draws = self.relative and scope.path == self.module.scope.path[: len(scope.path)]
        for name in scope.keys:
            number = _taker(plan, name, STREAMS)
            if number is None:
                continue
            key, keys = scope.make_rng(name) if draws else scope.keys[name], crossing[number]
            place = next((n for n, other in enumerate(keys) if other is key), len(keys))
            keys[place:] = keys[place:] or [key]
            slots.append((name, (number, place)))
        drawn_at = () if self.relative else scope.drawn_at
        return Root(scope.path, drawn_at, scope.counts_below(), tuple(slots))

    # --- the way out -------------------------------------------------------------------------

    def publish(self, changes: Changes, result: Any) -> Any:
        """Write variables and counts back to the scopes, and progress to the modules."""
        all_counts, all_progress = changes.description  # type: ignore[misc]
        groups = _through(add_axis, self.plan, changes.groups)
        for scope, counts in zip(self.roots, all_counts, strict=True):
            scope.count_on_from(counts)
        changed = [item for group in groups for item in sorted(group.items(), key=_path)]
        for root in self.roots:
            depth = len(root.path)
            for (col, *path), value in changed:
                if tuple(path[:depth]) == root.path and col in self.outer.mutable:
                    root.put_at(col, path[depth:], value)
        for module, progress in zip(self.modules, all_progress, strict=True):
            if progress[0] and module.scope is not None and not self.declares_only:
                module._state.resume(progress)
        return result


@dataclasses.dataclass(frozen=True)
class ScopeStructure:
    """What is static about a snapshot of scopes, and all else that a trace may depend on."""

    roots: tuple[Root, ...]
    mutable: InCollections
    initializing: bool
    resolves_later: bool
    capture: Any
    interceptors: tuple[Any, ...]
    settings: Hashable

    def key(self) -> Hashable:
        """Return all of it as a key."""
        return tuple([getattr(self, field.name) for field in dataclasses.fields(self)])

    def enter(self, plan: Plan, groups: Groups, arguments: Any) -> "ScopeInside":
        """Make a store of the values, and build the modules in it."""
        flat: dict[Path, Any] = {}
        for group, values in zip(plan.groups, groups, strict=True):
            if group.enters and isinstance(values, dict):
                flat.update(values)
        store = Store(
            unflatten_mapping(flat),
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
            scope.count_on_from(root.counts)
        memo: dict[int, Any] = {}
        leaves, treedef = jax.tree.flatten(arguments, is_leaf=is_blueprint)
        leaves = [build(x, store, memo) if is_blueprint(x) else x for x in leaves]
        modules = [leaf for leaf in leaves if isinstance(leaf, ModuleStructure)]
        args, kwargs = jax.tree.unflatten(treedef, leaves)
        return ScopeInside(self.roots, plan, groups, store, modules, args, kwargs)


@dataclasses.dataclass
class ScopeInside:
    """A store inside a transformation, with the modules built in it."""

    roots: tuple[Root, ...]
    plan: Plan
    entered: Groups
    store: Store
    modules: list[Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def call(self, function: Callable[..., Any]) -> Any:
        """Call the function on the modules and the other arguments."""
        args, kwargs = reveal_static(self.args, self.kwargs)
        return function(*args, **kwargs)

    def leave(self, result: Any) -> tuple[Changes, Any]:
        """Close the store; return what changed in it.

        The description has the counts of keys by root, and the progress by module.
        """
        for leaf in jax.tree.leaves(result):
            if isinstance(leaf, ModuleStructure | Variable):
                raise errors.TransformedMethodReturnValueError(leaf)
        counts = tuple(self.store.root.at(root.path).counts_below() for root in self.roots)
        progress = tuple(module._state.progress() for module in self.modules)
        whole = zip(self.plan.groups, self.entered, strict=True)
        changed: list[dict[Path, Any]] = [dict(old) if g.whole else {} for g, old in whole]
        for path, value in variables_below(self.store.tree, ()):
            number = _taker(self.plan, path[0], VARIABLES)
            if number is None or not self.plan.groups[number].leaves:
                continue
            if not same_boxed(self.entered[number].get(path, _ABSENT), value):
                changed[number][path] = value
        self.store.close()
        return Changes(tuple(changed), (counts, progress)), result


_ABSENT: Any = object()


# --- small steps -----------------------------------------------------------------------------


def _through(change: Any, plan: Plan, groups: Iterable[Any]) -> Iterator[Any]:
    """Tell the boxes of mapped variables that they lose their axis, or get it back."""
    for group, values in zip(plan.groups, groups, strict=True):
        loses = group.loses_axis and isinstance(values, dict)
        yield change(values, group.placement, group.axis_metadata) if loses else values


def _path(item: tuple[Path, Any]) -> Path:
    return item[0]


def settings() -> Any:
    """Return the settings, of a thread or the process, that a model reads while it is traced."""
    flags = config.flax_fix_rng_separator, config.flax_preserve_adopted_names
    return flags, get_logical_axis_rules()


def _taker(plan: Plan, name: str, what: str) -> int | None:
    """Return the number of the group that takes a collection or a stream; None stays outside."""
    return next((n for n, g in enumerate(plan.groups) if g.picks((name,), what)), None)
