"""Which files of a build context .dockerignore keeps out (moby/patternmatcher)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_MOST_LINES = 5_000
_CLASS = re.compile(r"\[(\^?)((?:[A-Za-z0-9_.]-[A-Za-z0-9_.]|[A-Za-z0-9_. ])+)\]")


def read_dockerignore(text: str) -> Callable[[str], bool]:
    """Whether a path of the context is kept out. The last pattern that matches it, or a directory that it is
    in, decides; `!` lets it in again."""
    patterns = list(_patterns(text))

    def is_ignored(path: str) -> bool:
        parts = path.strip("/").split("/")
        names = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        is_out = False
        for pattern, is_exception in patterns:
            if is_out is is_exception and any(pattern.fullmatch(name) for name in names):
                is_out = not is_exception
        return is_out

    return is_ignored


def _patterns(text: str) -> Iterator[tuple[re.Pattern[str], bool]]:
    for raw in text.splitlines()[:_MOST_LINES]:
        line = raw.strip()
        if not line or raw.startswith("#"):
            continue
        is_exception = line.startswith("!")
        parts = [part for part in line.lstrip("!").strip().split("/") if part not in ("", ".")]
        if parts and ".." not in parts:
            yield re.compile(_expression("/".join(parts))), is_exception


def _expression(pattern: str) -> str:
    """The pattern of Go's filepath.Match, with `**` for any number of directories."""
    out, at = [], 0
    while at < len(pattern):
        piece, at = _piece(pattern, at)
        out.append(piece)
    return "".join(out)


def _piece(pattern: str, at: int) -> tuple[str, int]:
    for text, expression in (("**/", "(?:[^/]+/)*"), ("**", ".*"), ("*", "[^/]*"), ("?", "[^/]")):
        if pattern.startswith(text, at):
            return expression, at + len(text)
    match = _CLASS.match(pattern, at)
    if match is not None:
        return f"[{match[1]}{match[2]}]", match.end()
    if pattern[at] == "\\" and at + 1 < len(pattern):
        return re.escape(pattern[at + 1]), at + 2
    return re.escape(pattern[at]), at + 1
