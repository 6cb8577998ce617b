"""Models as trees to click through, in a notebook; by the package ``treescope``."""

import dataclasses
from typing import Any

from linnet.base.optional import require


def display(*args: Any) -> None:
    """Show models, states and variables: as trees in a notebook, as text elsewhere.

    Args:
        *args: what to show.

    Raises:
        ModuleNotFoundError: ``treescope`` is not installed, in a notebook.
    """
    if not in_notebook():
        for each in args:
            print(each)  # noqa: T201 - showing is what was asked for
        return
    treescope = require("treescope", for_="nnx.display")
    for each in args:
        treescope.display(each, ignore_exceptions=True, autovisualize=True)


def in_notebook() -> bool:
    """Tell whether the program runs in a notebook."""
    import sys

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ != "TerminalInteractiveShell"


def render_object(obj: Any, path: str | None, subtree_renderer: Any) -> Any:
    """Render an object of NNX for treescope, with the size of what it holds."""
    from linnet.nnx.text import sizes_text

    attributes = {k: v for k, v in obj.__dict__.items() if not k.startswith("_")}
    if hasattr(obj, "_items"):
        attributes = {str(k): v for k, v in enumerate(obj._items)} | attributes
    return _rendered(obj, attributes, sizes_text(obj), path, subtree_renderer)


def render_variable(variable: Any, path: str | None, subtree_renderer: Any) -> Any:
    """Render a variable for treescope, with its metadata."""
    from linnet.tree.measure import size_of

    size = size_of(variable.get_raw_value())
    attributes = {"value": variable.get_raw_value(), **variable.get_metadata()}
    return _rendered(variable, attributes, f" # {size}" if size else "", path, subtree_renderer)


def render_state(state: Any, path: str | None, subtree_renderer: Any) -> Any:
    """Render a state for treescope."""
    repr_lib = require("treescope.repr_lib", for_="nnx.display")
    return repr_lib.render_dictionary_wrapper(
        object_type=type(state),
        wrapped_dict=state.raw_mapping,
        path=path,
        subtree_renderer=subtree_renderer,
    )


def _rendered(
    value: Any, attributes: dict[str, Any], note: str, path: str | None, subtree_renderer: Any
) -> Any:
    repr_lib = require("treescope.repr_lib", for_="nnx.display")
    rendering_parts = require("treescope.rendering_parts", for_="nnx.display")
    drawn = repr_lib.render_object_constructor(
        object_type=type(value),
        attributes=attributes,
        path=path,
        subtree_renderer=subtree_renderer,
        color=_colour(type(value).__qualname__),
    )
    if not note:
        return drawn
    comment = rendering_parts.comment_color(rendering_parts.text(note))
    annotations = rendering_parts.siblings(drawn.annotations, comment)
    return dataclasses.replace(drawn, annotations=annotations)


def _colour(name: str) -> str:
    """Return a pale colour that belongs to a class name."""
    import zlib

    hue = zlib.crc32(name.encode()) % 360
    return f"oklch(0.93 0.05 {hue}deg)"


__all__ = ["display", "in_notebook", "render_object", "render_state", "render_variable"]
