"""Modes: whether transformations carry changes of structure out of a function.

By default they do. Programs that are written for the other mode of Flax, in which only values cross
and gradients have the form of the arguments, say ``graph_updates=False``, for a call or for all.
"""

from linnet.base.config import FlagSetting


class set_graph_mode(FlagSetting):  # noqa: N801 - Flax's name
    """Set whether models are graphs, as a statement, in a ``with`` block, or in a function."""

    _flag = "nnx_graph_mode"


class set_graph_updates(FlagSetting):  # noqa: N801 - Flax's name
    """Set whether changes of structure come out of transformations, likewise."""

    _flag = "nnx_graph_updates"


def hands_structure_out(graph: bool | None, graph_updates: bool | None) -> bool:
    """Tell which mode a call is in, by its own arguments and the flags."""
    graph = set_graph_mode.current_value() if graph is None else graph
    updates = set_graph_updates.current_value() if graph_updates is None else graph_updates
    return bool(graph and updates)
