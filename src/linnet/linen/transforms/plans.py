"""How the arguments of Linen's transformations become a plan."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from linnet.base import errors
from linnet.lift.axes import In, Out
from linnet.lift.engine import Group, Groups, Plan
from linnet.linen.transforms.store import STREAMS, VARIABLES, picked, streams_in, variables_in
from linnet.state.collection_filters import CollectionFilter

Axes = Mapping[CollectionFilter, Any]

CARRIES_ALL = "`variables=True` and `rngs=True`, the defaults, carry all"


def plan_of(transform: str, variables: CollectionFilter, rngs: CollectionFilter) -> Plan:
    """Return the plan of a transformation that everything crosses in the same way."""
    return Plan((Group(streams_in(rngs)), Group(variables_in(variables))), transform)


def variable_groups(axes: Axes, params: Mapping[Any, Any]) -> list[Group]:
    """Return a group for each filter of collections and its axis.

    Args:
        axes: filter → axis.
        params: what the boxes of the variables are told of the axis.
    """
    groups: list[Group] = []
    for filter_like, where in axes.items():
        one_way = isinstance(where, In | Out)
        axis = where.axis if one_way else where
        groups.append(
            Group(
                variables_in(filter_like),
                axis,
                enters=not isinstance(where, Out),
                leaves=not isinstance(where, In),
                axis_metadata=params,
            )
        )
    return groups


def stream_groups(split: Mapping[CollectionFilter, bool], shared: Any) -> list[Group]:
    """Return a group for each filter of streams.

    Args:
        split: whether the streams that a filter names are split; along axis 0 then.
        shared: the placement of those that are not.
    """
    return [Group(streams_in(names), 0 if each else shared) for names, each in split.items()]


def split_keys(plan: Plan, groups: Groups, count: int, shared: Any) -> Groups:
    """Split the keys of those groups of streams that are to be split."""
    return tuple(
        [jax.random.split(key, count) for key in group]
        if isinstance(group, list) and taker.placement is not shared
        else group
        for taker, group in zip(plan.groups, groups, strict=True)
    )


def with_module(axes: Any, args: tuple[Any, ...]) -> Any:
    """Return axes of the arguments with one more for the module, which is none inside JAX."""
    return (None, *axes) if isinstance(axes, tuple | list) else (None, *([axes] * (len(args) - 1)))


@contextmanager
def explained(plan: Plan, advice: str) -> Generator[None, None, None]:
    """Note on the error of what is missing inside what the transformation carries.

    Args:
        plan: how state crosses.
        advice: how to have more carried.
    """
    try:
        yield
    except errors.MISSING_INSIDE as error:
        variables, streams = picked(plan, VARIABLES), picked(plan, STREAMS)
        if not (variables.complement and streams.complement):
            error.add_note(
                errors.left_outside(plan.transform, variables.spelled(), streams.spelled(), advice)
            )
        raise
