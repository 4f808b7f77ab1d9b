"""The mark of ownership on every file that rendering makes: who made it, and whether it still is as made.

The mark holds a hash over the file's path and text, so that an edited file, or a copy at another
path, no longer counts as ours.
"""

from __future__ import annotations

import hashlib
import re

_BLANK = "0" * 64
_MARK = re.compile(r"made by cudaforge.{0,200}?, content sha256:([0-9a-f]{64})")


def describe_mark(origin: str) -> str:
    """Mark to put into a text before `seal` makes it valid. `origin` says what it was made from."""
    return f"made by cudaforge from {origin}, content sha256:{_BLANK}"


def seal(path: str, text: str) -> str:
    """The text with the hash in its mark filled in."""
    match = _find_mark(text)
    if match is None or match[1] != _BLANK:
        raise ValueError(f"{path} has no mark to fill in")
    return _with_hash(text, match, _hash(path, text))


def is_ours(path: str, text: str) -> bool:
    """Whether rendering made this text for this path, and nobody changed it since."""
    match = _find_mark(text)
    return match is not None and match[1] == _hash(path, _with_hash(text, match, _BLANK))


def _find_mark(text: str) -> re.Match[str] | None:
    return _MARK.search(text[:1000])


def _with_hash(text: str, match: re.Match[str], digest: str) -> str:
    return text[: match.start(1)] + digest + text[match.end(1) :]


def _hash(path: str, text: str) -> str:
    return hashlib.sha256(f"{path}\0{text}".encode()).hexdigest()
