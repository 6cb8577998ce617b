"""Write ``docs/errors.md`` anew: ``python -m tests.docs.write_errors_page``."""

from pathlib import Path

from tests.docs.errors_page import render

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
