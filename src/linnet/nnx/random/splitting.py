"""Changing the streams of a whole model: split them for a mapped axis, put them back, reseed them.

``split_rngs`` and ``fork_rngs`` put other keys into the streams of a model, in place, and return
what brings the former keys back: as a function, to be given to ``restore_rngs``; in a ``with``
statement, at its end; as a decorator, at the end of the call. ``with_rngs`` leaves the model alone
and returns another one with other streams, which shares all other variables. ``reseed`` starts
streams anew.

Which streams are meant is said by a filter: the name of a stream is its tag.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from jax import random

from linnet.base import errors
from linnet.base.errors import listing
from linnet.base.typing import MISSING, PRNGKey
from linnet.nnx.graph.maps import map_in_place
from linnet.nnx.graph.split import clone
from linnet.nnx.objects.nodes import iter_graph
from linnet.nnx.random.streams import Counts, RngStream, as_key, count_for, split_counts
from linnet.state.filters import Everything, Filter, to_predicate

StreamBackup: TypeAlias = tuple[Any, ...]
Policy: TypeAlias = (
    Literal["scalars_only", "match_shape"]
    | Callable[[tuple[Any, ...], PRNGKey, tuple[int, ...]], PRNGKey]
)


class SplitBackups(Iterable[StreamBackup]):
    """What brings streams back: each with its key and, where that changed, its count.

    Attributes:
        backups: tuples ``(stream, key)`` or ``(stream, key, count)``.
    """

    def __init__(self, backups: list[StreamBackup]) -> None:
        self.backups = backups

    def __iter__(self) -> Iterator[StreamBackup]:
        return iter(self.backups)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        restore_rngs(self)

    def __repr__(self) -> str:
        return f"SplitBackups(backups={self.backups!r})"


def streams_in(node: Any) -> list[tuple[tuple[Any, ...], RngStream]]:
    """List the streams of a model with their paths, each once."""
    return [(path, part) for path, part in iter_graph(node) if isinstance(part, RngStream)]


def _set_keys(stream: RngStream, key: PRNGKey) -> None:
    """Put keys into a stream, which counts from zero again."""
    stream.key.set_value(key)
    stream.count.set_raw_value(np.zeros(key.shape, np.uint32))


def _change(node: Any, make: Callable[[tuple[Any, ...], RngStream], Any]) -> SplitBackups:
    """Put the keys of other streams into those of a model; ``None`` leaves a stream as it is."""
    backups: list[StreamBackup] = []
    for path, stream in streams_in(node):
        key = stream.key.get_value()
        other = make(path, stream)
        if other is not None:
            backups.append((stream, key, stream.count.get_raw_value()))
            _set_keys(stream, other.key.get_value())
    return SplitBackups(backups)


def _replace(node: Any, make: Callable[[tuple[Any, ...], RngStream], Any]) -> Any:
    """Return a model with other streams, that shares all other variables."""

    def replaced(path: tuple[Any, ...], part: Any) -> Any:
        other = make(path, part) if isinstance(part, RngStream) else None
        return part if other is None else other

    return map_in_place(replaced, clone(node, variables=False))


def _decorator(change: Callable[[Any], SplitBackups]) -> Callable[..., Any]:
    """Return a decorator that changes the streams of all arguments for the length of a call."""

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with change((args, kwargs)):
                return f(*args, **kwargs)

        return wrapper

    return decorate


def _replacing_decorator(change: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a decorator that calls a function with changed copies of its arguments."""

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(f)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = change((args, kwargs))
            return f(*args, **kwargs)

        return wrapper

    return decorate


def _applied(node: Any, make: Any, graph: bool | None, graph_updates: bool | None) -> Any:
    """Change a model in place or, where updates are not to be seen, return a changed copy."""
    in_place = graph is not False and graph_updates is not False
    act = functools.partial(_change if in_place else _replace, make=make)
    if node is not MISSING:
        return act(node)
    return _decorator(act) if in_place else _replacing_decorator(act)


def split_rngs(
    node: Any = MISSING,
    /,
    *,
    splits: Counts,
    only: Filter = ...,
    squeeze: bool = False,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Split the streams of a model, for ``vmap`` and ``scan`` to map over their keys.

    Args:
        node: the model; left out to make a decorator, which splits the streams of all arguments.
        splits: how many keys each stream is to hold, or the sizes of several axes.
        only: which streams.
        squeeze: with ``splits=1``, hold one key without an axis.
        graph: ``False`` returns a changed copy.
        graph_updates: ``False`` returns a changed copy.

    Returns:
        What brings the former keys back; or a decorator; or a changed copy.

    Raises:
        ValueError: ``squeeze`` with another number of splits.

    >>> from linnet import nnx
    >>> rngs = nnx.Rngs(0, dropout=1)
    >>> with nnx.split_rngs(rngs, splits=5, only="dropout"):
    ...     print(rngs.dropout.key.shape, rngs.default.key.shape)
    (5,) ()
    >>> rngs.dropout.key.shape
    ()
    """
    if squeeze and splits != 1:
        raise ValueError(
            f"split_rngs was given squeeze=True with splits={splits!r}: only an axis of size 1 can "
            "be left out. Write splits=1, or leave out squeeze."
        )
    matches = to_predicate(only)

    def make(path: tuple[Any, ...], stream: RngStream) -> RngStream | None:
        if not matches(path, stream):
            return None
        made = stream.split(splits)
        return RngStream(made.key.get_value()[0], tag=stream.tag) if squeeze else made

    return _applied(node, make, graph, graph_updates)


def fork_rngs(
    node: Any = MISSING,
    /,
    *,
    split: Any = None,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Fork the streams of a model: put independent keys in their place.

    Args:
        node: the model; left out to make a decorator, which forks the streams of all arguments.
        split: how many keys each stream is to hold; or a mapping of filters to that, which leaves
            streams that no filter matches as they are, and forks those it maps to ``None``.
        graph: ``False`` returns a changed copy.
        graph_updates: ``False`` returns a changed copy.

    Returns:
        What brings the former keys back; or a decorator; or a changed copy.

    >>> from linnet import nnx
    >>> rngs = nnx.Rngs(0)
    >>> with nnx.fork_rngs(rngs):
    ...     inside = rngs()
    >>> bool(inside == rngs())
    False
    """
    counts = split_counts({...: None} if split is None else split)

    def make(path: tuple[Any, ...], stream: RngStream) -> RngStream | None:
        for matches, count in counts:
            if matches(path, stream):
                return stream.fork() if count is None else stream.split(count)
        return None

    return _applied(node, make, graph, graph_updates)


def with_rngs(
    node: Any = MISSING,
    /,
    *,
    split: Any = None,
    fork: Any = None,
    broadcast: Any = None,
    only: Filter = True,
    graph: bool | None = None,
    graph_updates: bool | None = None,
) -> Any:
    """Return a model with other streams, which shares all other variables with the given one.

    Args:
        node: the model; left out to make a decorator, which changes the streams of all arguments.
        split: how many independent keys streams are to hold, or a mapping of filters to that.
        fork: a filter, or several: which streams are forked.
        broadcast: how often streams are to hold one key, or a mapping of filters to that.
        only: which streams any of this is about.
        graph: taken for Flax's sake.
        graph_updates: taken for Flax's sake.

    Returns:
        The changed copy, or a decorator. A stream that nothing is said about is shared.

    Raises:
        ValueError: a stream is named by filters of two of ``split``, ``broadcast`` and ``fork``.

    >>> from linnet import nnx
    >>> rngs = nnx.with_rngs(nnx.Rngs(0, params=1), split={"params": 3}, fork="default")
    >>> rngs.params.key.shape, rngs.default.key.shape
    ((3,), ())
    """
    chosen, forks = to_predicate(only), to_predicate(fork)
    splits, broadcasts = split_counts(split), split_counts(broadcast)
    given = {
        "split": [matches for matches, _ in splits],
        "broadcast": [matches for matches, _ in broadcasts],
        "fork": [forks],
    }
    # a rule for everything is for the rest
    rules = {
        name: [each for each in predicates if not isinstance(each, Everything)]
        for name, predicates in given.items()
    }

    def make(path: tuple[Any, ...], stream: RngStream) -> RngStream | None:
        if not chosen(path, stream):
            return None
        named = [
            name
            for name, predicates in rules.items()
            if any(matches(path, stream) for matches in predicates)
        ]
        if len(named) > 1:
            raise ValueError(
                f"with_rngs was told of two things to do to stream {stream.tag!r}: it is named in "
                f"{listing(named)}. Name it in one of them, or exclude it with nnx.Not."
            )
        count = count_for(splits, path, stream)
        if count is not None:
            return stream.split(count)
        count = count_for(broadcasts, path, stream)
        if count is not None:
            return stream.broadcast(count)
        return stream.fork() if forks(path, stream) else None

    act = functools.partial(_replace, make=make)
    return _replacing_decorator(act) if node is MISSING else act(node)


def backup_keys(node: Any, /, *, graph: bool | None = None) -> list[StreamBackup]:
    """Return the keys of all streams of a model, for ``restore_rngs``; counts are not among it.

    Args:
        node: the model.
        graph: taken for Flax's sake.
    """
    return [(stream, stream.key.get_value()) for _, stream in streams_in(node)]


def restore_rngs(backups: Iterable[StreamBackup], /) -> None:
    """Bring former keys back into streams.

    Args:
        backups: what ``split_rngs``, ``fork_rngs`` or ``backup_keys`` returned.
    """
    for stream, key, *count in backups:
        stream.key.set_value(key)
        if count:
            stream.count.set_raw_value(count[0])


def reseed(
    node: Any,
    /,
    *,
    graph: bool | None = None,
    policy: Policy = "scalars_only",
    **stream_keys: Any,
) -> None:
    """Start streams of a model anew.

    Args:
        node: the model.
        graph: taken for Flax's sake.
        policy: how a stream gets its key from the one that is given for its name:
            ``"scalars_only"`` knows streams of one key, ``"match_shape"`` splits for those of
            several; or a function ``(path, key, shape) -> key``.
        **stream_keys: seeds or keys by the name of the stream.

    Raises:
        ValueError: a stream holds several keys and the policy does not know what to do, or there
            is no such policy.

    >>> from linnet import nnx
    >>> model, other = nnx.Dropout(0.5, rngs=nnx.Rngs(0)), nnx.Dropout(0.5, rngs=nnx.Rngs(1))
    >>> nnx.reseed(model, default=2)
    >>> nnx.reseed(other, default=2)
    >>> bool(model.rngs() == other.rngs())
    True
    """
    if not callable(policy) and policy not in {"scalars_only", "match_shape"}:
        raise ValueError(
            f"reseed was given policy={policy!r}. It knows 'scalars_only', 'match_shape' and "
            "functions (path, key, shape) -> key."
        )
    sources = {tag: RngStream(as_key(seed), tag=tag) for tag, seed in stream_keys.items()}
    for path, stream in streams_in(node):
        source = sources.get(stream.tag)
        if source is None:
            continue
        shape = stream.key.get_value().shape
        if callable(policy):
            key = policy(path, source(), shape)
        elif policy == "match_shape":
            key = random.split(source(), shape)
        elif shape:
            raise errors.StackedKeysError(stream.tag, shape, reseeding=path)
        else:
            key = source()
        _set_keys(stream, key)
