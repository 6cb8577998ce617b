"""Models as trees to click through, in a notebook; by the package ``treescope``."""

import dataclasses
import sys
import zlib
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
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ != "TerminalInteractiveShell"


def constructor(
    cls: type, attributes: dict[str, Any], note: str, path: str | None, subtree_renderer: Any
) -> Any:
    """Render an object for treescope as the call that could make it.

    Args:
        cls: its class.
        attributes: its attributes.
        note: what to write beside it.
        path: where it stands in what is shown.
        subtree_renderer: what renders the attributes.
    """
    repr_lib = require("treescope.repr_lib", for_="nnx.display")
    rendering_parts = require("treescope.rendering_parts", for_="nnx.display")
    drawn = repr_lib.render_object_constructor(
        object_type=cls,
        attributes=attributes,
        path=path,
        subtree_renderer=subtree_renderer,
        color=_colour(cls.__qualname__),
    )
    if not note:
        return drawn
    comment = rendering_parts.comment_color(rendering_parts.text(note))
    annotations = rendering_parts.siblings(drawn.annotations, comment)
    return dataclasses.replace(drawn, annotations=annotations)


def mapping(cls: type, items: dict[Any, Any], path: str | None, subtree_renderer: Any) -> Any:
    """Render an object that wraps a dictionary for treescope."""
    repr_lib = require("treescope.repr_lib", for_="nnx.display")
    return repr_lib.render_dictionary_wrapper(
        object_type=cls, wrapped_dict=items, path=path, subtree_renderer=subtree_renderer
    )


def _colour(name: str) -> str:
    """Return a pale colour that belongs to a class name."""
    hue = zlib.crc32(name.encode()) % 360
    return f"oklch(0.93 0.05 {hue}deg)"
