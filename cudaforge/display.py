"""Text of others in messages: nothing of it is obeyed by a terminal, hides, or looks like something else."""

from __future__ import annotations

import os
import re

INVISIBLE = "\u200c\u200d\u034f\u115f\u1160\u2800\u3164\uffa0"
"""Characters that look like nothing at all, besides those that Python calls not printable."""
_SUSPECT = re.compile(r"[^ -~]")
CREDENTIALS = re.compile(r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z0-9+.-]*)://(?P<user>[^/?#\s]*)@")
"""The user, and the password, of an address."""
_LONGEST = 80
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FIRST_PLANE = 0xFFFF


def visible(text: str) -> str:
    """The text with what cannot be seen escaped; its lines stay lines."""
    return text if text.isascii() and text.isprintable() else "\n".join(map(escaped, text.split("\n")))


def escaped(text: str) -> str:
    """The same on one line: breaks of lines are escaped, too. What is escaped already stays as it is."""
    return _SUSPECT.sub(lambda match: _escape(match[0]), text)


def show(text: str) -> str:
    """A value as a message may quote it: in quotes, on one line, short, without a password."""
    text = CREDENTIALS.sub(r"\g<scheme>://***@", text)
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 3] + "..."
    return f"'{escaped(text)}'"


def show_path(path: str | os.PathLike[str]) -> str:
    """A path as a message may name it, also one that is not UTF-8."""
    return escaped(os.fsencode(path).decode("utf-8", "backslashreplace"))


def _escape(character: str) -> str:
    if character.isprintable() and character not in INVISIBLE:
        return character
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    return f"\\u{code:04X}" if code <= _FIRST_PLANE else f"\\U{code:08X}"
