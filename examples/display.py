"""What the examples show: a progress bar in the terminal, and pictures in files."""

from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

console = Console(highlight=False)


def progress_bar() -> Progress:
    """Returns a progress bar; each of its tasks has ``figures``, a text that stands behind it."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console,
    )


def save_picture(figure: Figure, path: Path) -> None:
    """Saves a picture as a PNG file, which whoever looks at it sees whole."""
    unfinished = path.with_suffix(".partial.png")
    figure.savefig(unfinished, dpi=120)
    unfinished.replace(path)
