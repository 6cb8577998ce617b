"""Where Linen's variables live during a call.

Linen is functional: a module owns no arrays. ``apply`` receives all variables as a dictionary
``collection → path → value``, makes a :class:`Store` that owns them for the length of that call,
and hands the module the store's root :class:`Scope`. A scope is a view of the store at one path;
each submodule gets the scope one name further down. When the call ends, the store gives back the
collections that were mutable, and is closed.

Three invariants:

* *What was passed in is never changed.* A mutable collection is copied, dictionary by dictionary,
  when the store is made; the others are only read.
* *One path, one scope.* The scopes of a store form a tree without duplicates, so a count kept on a
  scope (the keys drawn there, law 4) is the count of that path, however many module objects pass
  through it.
* *Variables belong to the level of the call.* A store remembers the JAX trace in which it was made.
  A variable that is first needed inside an inner ``jax.jit``, ``jax.grad`` or ``jax.lax.scan`` is
  made at the store's level, not the inner one; and an inner tracer is never stored, because it
  would be dead when the call ends. ``lazy_init`` rests on the same invariant: it makes the store
  outside, traces the call with abstract inputs, and finds the variables made with real values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import jax
import numpy as np

from linnet.base import errors, jaxcompat
from linnet.base.config import config
from linnet.base.typing import Path, PRNGKey
from linnet.linen.modules.shapes import shapes_made
from linnet.linen.modules.variable import Variable, is_array, unboxed
from linnet.ops.keys import DeferredKey, takes_deferred_key
from linnet.state import kinds
from linnet.state.collection_filters import CollectionFilter, InCollections, collections_of
from linnet.state.streams import key_at
from linnet.tree.frozen_dict import freeze

T = TypeVar("T")

Counts: TypeAlias = tuple[tuple[tuple[str, ...], tuple[tuple[str, int], ...]], ...]
"""How many keys were drawn: path → stream → number, as pairs."""

EMPTY: Mapping[str, Any] = MappingProxyType({})


class Store:
    """The variables, random keys and settings of one call of ``apply`` or ``init``."""

    __slots__ = (
        "adopted",
        "capture",
        "given",
        "initializing",
        "keys",
        "mutable",
        "open",
        "resolves_later",
        "root",
        "trace",
        "tree",
    )

    def __init__(
        self,
        variables: Mapping[str, Any],
        keys: Mapping[str, PRNGKey],
        mutable: CollectionFilter,
        *,
        initializing: bool = False,
        capture: Callable[[Any, str], bool] | None = None,
    ) -> None:
        self.mutable: InCollections = collections_of(mutable)
        self.given = variables
        self.tree: dict[str, dict[str, Any]] = {
            col: thaw(variables[col]) for col in variables if col in self.mutable
        }
        self.keys = keys
        self.initializing = initializing
        self.capture = capture
        self.trace = jaxcompat.current_trace()
        # lazy_init lets inner tracers be stored, and gives them values when the trace has ended
        self.resolves_later = False
        # modules that came from outside → their bound copies; see linen/modules/structure.py
        self.adopted: dict[int, tuple[Any, Any]] = {}
        self.open = True
        self.root = Scope(self, None, "")

    def level(self) -> Any:
        """Return a context in which arrays are made at the level of the call, not an inner one."""
        if jaxcompat.current_trace() is self.trace:
            return _HERE
        return jaxcompat.at_trace(self.trace)

    def take(self) -> Mapping[str, Any]:
        """Give the mutable collections away as they are now, as ``apply`` returns them."""
        tree, self.tree = self.tree, {}
        return freeze(tree) if config.flax_return_frozendict else tree

    def close(self) -> None:
        """End the call: what still refers to the store gets an error from now on.

        The arrays are let go at once. Modules and scopes refer to one another, so without this the
        variables of a call would live until Python next looks for cycles.
        """
        self.open = False
        self.given, self.keys = EMPTY, {}
        self.adopted.clear()
        scopes = [self.root]
        while scopes:
            scope = scopes.pop()
            scope.keys = {}
            scope._read.clear()
            scopes.extend(scope._children.values())


_HERE = nullcontext()


def thaw(tree: Any) -> Any:
    """Copy nested mappings into plain dictionaries; values stay the same objects."""
    if isinstance(tree, Mapping):
        return {key: thaw(value) for key, value in tree.items()}
    return tree


def variables_below(tree: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """List the variables of nested dictionaries by path; an empty dictionary is a value.

    Args:
        tree: the dictionaries.
        path: what every path begins with.
    """
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from variables_below(value, (*path, key))
        else:
            yield (*path, key), value


class Scope:
    """The variables and random keys of a store as seen from one path."""

    __slots__ = (
        "_children",
        "_read",
        "counts",
        "declared_by",
        "drawn_at",
        "keys",
        "name",
        "names",
        "owner",
        "parent",
        "path",
        "store",
    )

    def __init__(self, store: Store, parent: "Scope | None", name: str) -> None:
        self.store = store
        self.parent = parent
        self.name = name
        self.path: tuple[str, ...] = () if parent is None else (*parent.path, name)
        # the path that keys are folded from: the first one, where `share_scope` has moved a module
        self.drawn_at: tuple[str, ...] = () if parent is None else (*parent.drawn_at, name)
        # stream → base key; a lifted transformation may give a part of the model keys of its own
        self.keys: Mapping[str, PRNGKey] = store.keys if parent is None else parent.keys
        self.owner: str | None = None
        self.counts: dict[str, int] = {}
        # name → the collections that use it, None standing for a submodule
        self.names: dict[str, set[str | None]] = {}
        # (name, collection) → the module that declared it, kept where modules share this scope
        self.declared_by: dict[tuple[str, str | None], Any] | None = None
        self._children: dict[str, Scope] = {}
        self._read: dict[str, Mapping[str, Any]] = {}

    def __repr__(self) -> str:
        return f"Scope({errors.place(self.path, self.owner)})"

    # Two scopes are the same when they are the same object: one path, one scope.

    def push(self, name: str) -> "Scope":
        """Return the scope one name further down, ready for a module that starts anew there."""
        child = self._children.get(name)
        if child is None:
            child = self._children[name] = Scope(self.store, self, name)
        else:
            child.names, child.declared_by = {}, None
        return child

    def at(self, path: tuple[str, ...]) -> "Scope":
        """Return the scope at a path below this one, as it is."""
        scope = self
        for name in path:
            scope = scope._children.get(name) or scope.push(name)
        return scope

    def counts_below(self) -> Counts:
        """Return how many keys were drawn at this path and further down, by path from here."""
        found: list[tuple[tuple[str, ...], Scope]] = [((), self)]
        for path, scope in found:  # which grows while it is read
            found += [((*path, name), child) for name, child in scope._children.items()]
        return tuple((path, tuple(at.counts.items())) for path, at in found if at.counts)

    def count_on_from(self, counts: Counts) -> None:
        """Take over how many keys were drawn, as :meth:`counts_below` returned it."""
        for path, drawn in counts:
            self.at(path).counts.update(drawn)

    @property
    def root(self) -> "Scope":
        """The scope at the root of the store."""
        return self.store.root

    @property
    def path_text(self) -> str:
        """The path as messages write it, ``/encoder/mlp``."""
        return errors.path_text(self.path)

    @property
    def invalid(self) -> bool:
        """Whether the call that this scope belongs to has ended."""
        return not self.store.open

    # --- names -------------------------------------------------------------------------------

    def name_taken(self, name: str, col: str | None) -> bool:
        """Tell whether ``name`` would collide in collection ``col``; ``None`` for a submodule."""
        uses = self.names.get(name)
        return uses is not None and (col is None or None in uses or col in uses)

    def reserve(self, name: str, col: str | None) -> None:
        """Use up a name in a collection, or for a submodule."""
        self.names.setdefault(name, set()).add(col)

    # --- reading and writing -----------------------------------------------------------------

    def collection(self, col: str) -> Mapping[str, Any]:
        """Return the variables of a collection at this path; read only."""
        found = self._read.get(col)
        if found is not None:
            return found
        self.check_open()
        store, parent = self.store, self.parent
        if parent is None:
            found = store.tree.get(col) if col in store.mutable else store.given.get(col)
        else:
            found = parent.collection(col).get(self.name)
        if not isinstance(found, Mapping):
            return EMPTY
        self._read[col] = found
        return found

    def has_variable(self, col: str, name: str) -> bool:
        """Tell whether a variable exists at this path."""
        return name in self.collection(col)

    def get_variable(self, col: str, name: str, default: Any = None) -> Any:
        """Return the value of a variable at this path, boxed as it is, or ``default``."""
        return self.collection(col).get(name, default)

    def put_variable(self, col: str, name: str, value: Any) -> None:
        """Write a variable at this path; a dictionary is written entry by entry into one there.

        Raises:
            ModifyScopeVariableError: the collection is not mutable in this call.
            JaxTransformError: the value is a tracer of an inner JAX transformation.
        """
        store = self.store
        self.check_open()
        if col not in store.mutable:
            raise errors.ModifyScopeVariableError(
                col, name, self.path, owner=self.owner, mutable=repr(store.mutable.spelled())
            )
        if jaxcompat.current_trace() is not store.trace and not store.resolves_later:
            self._check_level(col, name, value)
        siblings = self._writable(col)
        siblings[name] = _merged(siblings.get(name), value) if isinstance(value, Mapping) else value
        if name in self._children:
            # what was written here is where a submodule's variables are from now on
            self._children[name]._forget(col)

    def _forget(self, col: str) -> None:
        """Look a collection up anew, here and further down, at the next use."""
        self._read.pop(col, None)
        for child in self._children.values():
            child._forget(col)

    def _check_level(self, col: str, name: str, value: Any) -> None:
        traces = map(jaxcompat.trace_of, jax.tree.leaves(value))
        if any(trace is not None and trace is not self.store.trace for trace in traces):
            what = f"writes variable {name!r} of collection {col!r}"
            raise errors.JaxTransformError(what, self.path, self.owner)

    def _writable(self, col: str) -> dict[str, Any]:
        """Return the dictionary of a mutable collection at this path, made if need be."""
        siblings: dict[str, Any] = (
            self.store.tree if self.parent is None else self.parent._writable(col)
        )
        key = col if self.parent is None else self.name
        found = siblings.get(key)
        if found is None:
            found = siblings[key] = {}
        self._read[col] = found
        return found

    def put_at(self, col: str, path: Sequence[str], value: Any) -> None:
        """Write a variable further down, given its path from here."""
        name, *rest = path
        for key in reversed(rest):
            value = {key: value}
        self.put_variable(col, name, value)

    def is_mutable_collection(self, col: str) -> bool:
        """Tell whether a collection may be written in this call."""
        return col in self.store.mutable

    def is_collection_empty(self, col: str) -> bool:
        """Tell whether a collection holds nothing anywhere in the store."""
        return not self.root.collection(col)

    def variables(self) -> Mapping[str, Any]:
        """Return all collections as seen from this path; read only."""
        self.check_open()
        cols = {**dict.fromkeys(self.store.given), **dict.fromkeys(self.store.tree)}
        return {col: self.collection(col) for col in cols if self.collection(col)}

    def check_open(self) -> None:
        """Raise if the call that this scope belongs to has ended."""
        if not self.store.open:
            raise errors.InvalidScopeError(self.path_text, owner=self.owner)

    # --- streams -----------------------------------------------------------------------------

    def has_rng(self, name: str) -> bool:
        """Tell whether a key was passed for a stream."""
        return name in self.keys

    def make_rng(self, name: str = "params") -> PRNGKey:
        """Draw the next key of a stream at this path.

        Raises:
            InvalidRngError: there is neither such a stream nor a stream ``params``.
        """
        key = self._next_key(name)
        with self.store.level():
            return key.draw()

    def _next_key(self, name: str) -> DeferredKey:
        keys = self.keys
        self.check_open()
        stream = name if name in keys else "params"
        if stream not in keys:
            raise errors.InvalidRngError(_no_stream(name, self, list(keys)))
        count = self.counts[stream] = self.counts.get(stream, 0) + 1
        return key_at(keys[stream], (*self.drawn_at, count))

    # --- declaring variables -----------------------------------------------------------------

    def param(
        self,
        name: str,
        init_fn: Callable[..., T],
        *init_args: Any,
        unbox: bool = True,
        **kwargs: Any,
    ) -> T:
        """Return a parameter, made by ``init_fn(key, ...)`` if it does not exist yet.

        Raises:
            ScopeParamShapeError: it exists with another shape than ``init_fn`` would give it.
            ScopeParamNotFoundError: it does not exist and may not be made.
        """
        params = self.collection("params")
        if name in params:
            value = params[name]
            self._check_shapes(name, value, init_fn, init_args, kwargs)
        else:
            self.check_open()
            if not self.is_mutable_collection("params"):
                self._raise_missing_param(name)
            value = self._initial(
                "params", name, init_fn, (self._next_key("params"), *init_args), kwargs
            )
            self.put_variable("params", name, value)
        return unboxed(value) if unbox else value

    def _check_shapes(
        self, name: str, value: Any, init_fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        expected = shapes_made(init_fn, args, kwargs)
        found = (value,) if is_array(value) else jax.tree.leaves(value)
        for given, shape in zip(found, expected, strict=False):
            passed = given.shape if hasattr(given, "shape") else np.shape(given)
            if passed != shape:
                raise errors.ScopeParamShapeError(name, self.path, passed, shape, owner=self.owner)

    def _raise_missing_param(self, name: str) -> None:
        if self.is_collection_empty("params"):
            given = self.store.given
            looks_like_params = "params" not in given and (*self.path, name)[0] in given
            hint = (
                "what was passed looks like the parameters alone, "
                'write `model.apply({"params": params}, ...)`'
            )
            raise errors.ScopeCollectionNotFound(
                "params",
                name,
                self.path,
                owner=self.owner,
                passed=given,
                hint=hint if looks_like_params else "",
            )
        have = self.collection("params")
        raise errors.ScopeParamNotFoundError(
            name, self.path, owner=self.owner, have=have, hint=errors.misspelt(name, have).strip()
        )

    def variable(
        self,
        col: str,
        name: str,
        init_fn: Callable[..., T] | None = None,
        *init_args: Any,
        unbox: bool = True,
        **init_kwargs: Any,
    ) -> "Variable[T]":
        """Return a variable, made by ``init_fn(...)`` if it does not exist yet.

        Raises:
            ScopeCollectionNotFound: it does not exist, may not be made; its collection is empty.
            ScopeVariableNotFoundError: the same, in a collection that holds other variables.
        """
        if not self.has_variable(col, name):
            self.check_open()
            if not self.is_mutable_collection(col) or init_fn is None:
                self._raise_missing_variable(col, name)
            self.put_variable(col, name, self._initial(col, name, init_fn, init_args, init_kwargs))
        return Variable(self, col, name, unbox=unbox)

    def _initial(self, col: str, name: str, init_fn: Any, args: Any, kwargs: Any) -> Any:
        store = self.store
        if args and isinstance(args[0], DeferredKey) and not takes_deferred_key(init_fn):
            with store.level():
                args = (args[0].draw(), *args[1:])
        if jaxcompat.current_trace() is store.trace:
            return init_fn(*args, **kwargs)
        try:
            with store.level():
                return init_fn(*args, **kwargs)
        except jax.errors.UnexpectedTracerError as error:
            if store.resolves_later:
                return init_fn(*args, **kwargs)
            what = f"creates variable {name!r} of collection {col!r} from an inner value"
            raise errors.JaxTransformError(what, self.path, self.owner) from error

    def _raise_missing_variable(self, col: str, name: str) -> None:
        kind = kinds.kind_named(col)
        if self.is_collection_empty(col):
            raise errors.ScopeCollectionNotFound(
                col,
                name,
                self.path,
                owner=self.owner,
                passed=self.store.given,
                hint=f"collection {col!r} holds {kind.holds}" if kind.holds else "",
            )
        raise errors.ScopeVariableNotFoundError(
            name, col, self.path, owner=self.owner, have=self.collection(col)
        )


def _merged(current: Any, value: Any) -> Any:
    """Return a dictionary with the entries of another one written into it."""
    if not (isinstance(current, Mapping) and isinstance(value, Mapping)):
        return value
    return {**current, **{key: _merged(current.get(key), value[key]) for key in value}}


def _no_stream(name: str, scope: Scope, have: list[str]) -> str:
    """Word the error of a stream without a key."""
    passed = (
        f"the keys passed are for {errors.listing(have)}, and there is no 'params' to fall back on"
        if have
        else "no keys were passed"
    )
    streams = "{'params': key}" if name == "params" else f"{{'params': key, {name!r}: other_key}}"
    cure = (
        f"`model.init({streams}, ...)`"
        if scope.store.initializing
        else f"`model.apply(variables, ..., rngs={{{name!r}: key}})`"
    )
    fresh = " and a new key for each step: `key, step_key = jax.random.split(key)`"
    return (
        f"{errors.place(scope.path, scope.owner)} draws a random key from stream {name!r}, but "
        f"{passed}.{errors.misspelt(name, have)} Write {cure}, with key = jax.random.key(seed)"
        f"{'' if scope.store.initializing else fresh}."
    )
