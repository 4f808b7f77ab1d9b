"""The pages of the documentation about codes."""

from __future__ import annotations

import difflib
import re

from cudaforge.display import show
from cudaforge.errors import InputError, Problem
from cudaforge.resources import find_resource

_PLACE = "docs/audit"


def read_page(code: str) -> str:
    """The page about a code, in Markdown, without its links. Raises InputError where there is none."""
    pages = {page.stem: page for page in find_resource(_PLACE).glob("*.md") if page.stem != "README"}
    if code not in pages:
        near = difflib.get_close_matches(code, pages, n=1)
        raise InputError(
            Problem(
                what=f"there is no page about {show(code)}",
                remedy=f"--about {near[0]}" if near else f"one of {', '.join(sorted(pages))}",
            )
        )
    text = pages[code].read_text("utf-8").rpartition("[All codes]")[0]
    return re.sub(r"```dockerfile (?:found|mended)", "```dockerfile", text).strip() + "\n"


def about(page: str) -> str:
    """The first paragraph of a page, in one line."""
    return " ".join(page.partition("\n\n")[2].partition("\n\n")[0].split())
