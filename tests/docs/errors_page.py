"""The page of mistakes: what each library says to them.

The mistakes stand in :mod:`tests.docs.mistakes` and :mod:`tests.docs.lifted_mistakes`, for Linen,
and in :mod:`tests.docs.nnx_mistakes`.
"""

import dataclasses
import importlib
import re
import textwrap
import warnings
from types import ModuleType
from typing import Any

import flax
import pytest
from tests.docs import lifted_mistakes, mistakes, nnx_mistakes
from tests.docs.mistakes import Mistake

_TITLE = """# Mistakes

The likeliest mistakes, and what is said to them: by Flax {version}, and by Linnet. A test runs
every program below under both libraries and compares this page with what it sees.
"""

_CHAPTER = """
## With {title}

All programs begin like this, with `flax.{module}` or `linnet.{module}` as `{name}`:

```python
{preamble}
```
"""

_ENTRY = """
### {title}

```python
{code}
```

**Flax**

{theirs}

**Linnet**

{ours}
"""


@dataclasses.dataclass(frozen=True)
class Chapter:
    """The mistakes with one of the two ways to write modules.

    Attributes:
        title: what it is called.
        module: the name of the module below the library.
        name: what programs call it.
        preamble: what all programs begin with.
        mistakes: the mistakes.
    """

    title: str
    module: str
    name: str
    preamble: str
    mistakes: list[Mistake]


CHAPTERS = [
    Chapter("Linen", "linen", "nn", mistakes.PREAMBLE, mistakes.MISTAKES),
    Chapter(
        "Linen's transformations",
        "linen",
        "nn",
        lifted_mistakes.PREAMBLE,
        lifted_mistakes.MISTAKES,
    ),
    Chapter("NNX", "nnx", "nnx", nnx_mistakes.PREAMBLE, nnx_mistakes.MISTAKES),
]
EVERY = [
    pytest.param(chapter, mistake, id=f"{chapter.title}: {mistake.title}")
    for chapter in CHAPTERS
    for mistake in chapter.mistakes
]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a program: its names, and what was said, with the notes on the exception."""

    names: dict[str, Any]
    said: str
    raised: bool


def run(chapter: Chapter, mistake: Mistake, library: str) -> Outcome:
    """Run a program under a library; what it raises or warns of is its outcome."""
    # a module like any other: a dictionary in this frame would be part of the places that are told
    program = ModuleType("program")
    setattr(program, chapter.name, importlib.import_module(f"{library}.{chapter.module}"))
    exec(chapter.preamble, vars(program))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(mistake.code, vars(program))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is shown
            return Outcome(vars(program), _words(error), raised=True)
    told = [f"{type(w.message).__name__}: {w.message}" for w in caught]
    return Outcome(vars(program), "\n".join(told), raised=False)


def _words(error: Exception) -> str:
    notes = [note for note in getattr(error, "__notes__", ()) if "JAX has removed" not in note]
    # JAX may quote a traceback, whose lines change with the way this is run
    lines = [line for line in str(error).splitlines() if not line.startswith(("Trace", "  File"))]
    return "\n".join([f"{type(error).__name__}: {lines[0]}", *lines[1:], *notes])


_outcomes: dict[tuple[str, str, str], Outcome] = {}


def outcome(chapter: Chapter, mistake: Mistake, library: str) -> Outcome:
    """Return the outcome of a mistake under ``"flax"`` or ``"linnet"``, run once."""
    key = (chapter.title, mistake.title, library)
    if key not in _outcomes:
        _outcomes[key] = run(chapter, mistake, library)
    return _outcomes[key]


def render() -> str:
    """Return the page."""
    return _TITLE.format(version=flax.__version__) + "".join(map(_chapter, CHAPTERS))


def without_flax(page: str) -> str:
    """Take out of the page what depends on the version of Flax: its number, and what it says."""
    page = re.sub(r"by Flax [\d.]+", "by Flax", page)
    return re.sub(r"(?<=\*\*Flax\*\*\n).*?(?=\*\*Linnet\*\*)", "", page, flags=re.DOTALL)


def _chapter(chapter: Chapter) -> str:
    """Write the mistakes of a chapter."""
    parts = [
        _CHAPTER.format(
            title=chapter.title,
            module=chapter.module,
            name=chapter.name,
            preamble=chapter.preamble.strip(),
        )
    ]
    for mistake in chapter.mistakes:
        theirs, ours = (outcome(chapter, mistake, library) for library in ("flax", "linnet"))
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
