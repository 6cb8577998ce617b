"""Shows the examples in docstrings as code; an extension of griffe, which reads the docstrings.

Doctests stand in the text of a docstring wherever they belong. Markdown takes ``>>>`` for nested
quotations, and ``a["b"]["c"]`` for a link, unless they are fenced.
"""

import re

import griffe

DOCTEST = re.compile(r"^( *)>>> .*(?:\n\1(?! *$).+)*", re.MULTILINE)


class FencedDoctests(griffe.Extension):
    """Fences each run of lines that begins with ``>>>`` and ends with an empty one."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: object) -> None:
        """Rewrites the docstring of a module, class, function or attribute."""
        if obj.docstring:
            fenced = r"\1```pycon\n\g<0>\n\1```"
            obj.docstring.value = DOCTEST.sub(fenced, obj.docstring.value)
