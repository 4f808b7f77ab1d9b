"""Text from a declaration: which characters it may have, and how messages quote it."""

from __future__ import annotations

import os
import re
import unicodedata

from cudaforge.quoting import find_unsafe_character

# Besides what no instruction may carry: characters that look like nothing at all, so that two names
# can differ where no reader sees it.
_INVISIBLE = "\u200c\u200d\u034f\u115f\u1160\u2800\u3164\uffa0"
_SUSPECT = re.compile("[^\\n\\t -~]")
_CREDENTIALS = re.compile(r"(?<![A-Za-z0-9+.-])(?P<scheme>[A-Za-z0-9+.-]*)://(?P<user>[^/?#\s]*)@")
_SHOWN_MAX = 80


def find_refused_character(text: str) -> str | None:
    """What the first character is that may stand nowhere in a declaration; None if there is none."""
    if text.isascii() and text.isprintable():
        return None
    for character in text:
        if character in _INVISIBLE:
            return f"U+{ord(character):04X} (an invisible character)"
    return find_unsafe_character(text)


def find_refused_in_source(text: str) -> tuple[int, str] | None:
    """Line and name of the first refused character in the text of a file, comments included."""
    for match in _SUSPECT.finditer(text):
        found = find_refused_character(match[0])
        if found is not None:
            return text.count("\n", 0, match.start()) + 1, found
    return None


def show(text: str) -> str:
    """The text as a message may quote it: visible, short, without the password of an address."""
    text = _CREDENTIALS.sub(r"\g<scheme>://***@", text)
    if len(text) > _SHOWN_MAX:
        text = text[: _SHOWN_MAX - 3] + "..."
    return "'" + "".join(_visible(character) for character in text) + "'"


def show_path(path: str | os.PathLike[str]) -> str:
    """A path as a message may quote it, also one that is not UTF-8."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(_visible(character) for character in name)


def has_credentials(text: str) -> bool:
    """Whether an address in the text carries a password or token.

    `ssh://git@host` does not: there the name is public. Nor does `https://$TOKEN@host`: it names a variable.
    """
    for match in _CREDENTIALS.finditer(text):
        name, colon, password = match["user"].partition(":")
        secret = password if colon else name
        if secret and not secret.startswith("$") and (colon or not match["scheme"].endswith("ssh")):
            return True
    return False


def _visible(character: str) -> str:
    if character.isprintable() and character not in _INVISIBLE:
        return character
    if unicodedata.category(character) == "Cs" or ord(character) > 0xFFFF:  # noqa: PLR2004 -- the first plane
        return f"\\U{ord(character):08X}"
    return f"\\u{ord(character):04X}"
