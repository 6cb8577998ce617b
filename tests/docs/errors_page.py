"""The page of mistakes: what each library says to the programs of :mod:`tests.docs.mistakes`."""

import dataclasses
import functools
import re
import textwrap
import warnings
from typing import Any

import flax.linen
from tests.docs.mistakes import MISTAKES, PREAMBLE, Mistake

import linnet.linen

FLAX, LINNET = flax.linen, linnet.linen

_TITLE = """# Mistakes

The likeliest mistakes with Linen, and what is said to them: by Flax {version}, and by Linnet. A
test runs every program below under both libraries and compares this page with what it sees.

All of them begin like this, with `flax.linen` or `linnet.linen` as `nn`:

```python
{preamble}
```
"""

_ENTRY = """
## {title}

```python
{code}
```

**Flax**

{theirs}

**Linnet**

{ours}
"""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a program: its names, and what was said, with the notes on the exception."""

    names: dict[str, Any]
    said: str
    raised: bool


def run(mistake: Mistake, nn: Any) -> Outcome:
    """Run a program under a library; what it raises or warns of is its outcome."""
    names: dict[str, Any] = {"nn": nn, "__name__": "program"}
    exec(PREAMBLE, names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(mistake.code, names)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            return Outcome(names, _words(error), raised=True)
    told = [f"{type(w.message).__name__}: {w.message}" for w in caught]
    return Outcome(names, "\n".join(told), raised=False)


def _words(error: Exception) -> str:
    notes = [note for note in getattr(error, "__notes__", ()) if "JAX has removed" not in note]
    # JAX may quote a traceback, whose lines change with the way this is run
    lines = [line for line in str(error).splitlines() if not line.startswith(("Trace", "  File"))]
    return "\n".join([f"{type(error).__name__}: {lines[0]}", *lines[1:], *notes])


@functools.cache
def outcome(mistake: Mistake, library: str) -> Outcome:
    """Return the outcome of a mistake under ``"flax"`` or ``"linnet"``."""
    return run(mistake, {"flax": FLAX, "linnet": LINNET}[library])


def render() -> str:
    """Return the page."""
    parts = [_TITLE.format(version=flax.__version__, preamble=PREAMBLE.strip())]
    for mistake in MISTAKES:
        theirs, ours = outcome(mistake, "flax"), outcome(mistake, "linnet")
        flax_said = _quote(_short(theirs.said)) if theirs.said else f"Nothing. {mistake.silently}"
        parts.append(
            _ENTRY.format(
                title=mistake.title,
                code=mistake.code.strip(),
                theirs=flax_said,
                ours=_quote(ours.said),
            )
        )
    return "".join(parts)


def _short(text: str, limit: int = 320) -> str:
    """Cut a message and take out what changes from run to run."""
    text = re.sub(r"0x[0-9a-f]+", "0x…", text)
    text = re.sub(r"\(https?://\S+\)", "", text).strip()
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0] + " …"


def _quote(text: str) -> str:
    """Write a message as a block of text, lines broken at words."""
    lines = [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(
            line, 96, subsequent_indent="", break_long_words=False, break_on_hyphens=False
        )
        or [""]
    ]
    return "\n".join(["```text", *lines, "```"])
