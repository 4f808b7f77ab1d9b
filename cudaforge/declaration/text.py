"""Text from a declaration: which characters it may have."""

from __future__ import annotations

import re

from cudaforge.display import CREDENTIALS, INVISIBLE
from cudaforge.quoting import find_unsafe_character

_SUSPECT = re.compile("[^\\n\\t -~]")


def find_refused_character(text: str) -> str | None:
    """What the first character is that may stand nowhere in a declaration; None if there is none."""
    if text.isascii() and text.isprintable():
        return None
    for character in text:
        # Besides what no instruction may carry: two names could differ where no reader sees it.
        if character in INVISIBLE:
            return f"U+{ord(character):04X} (an invisible character)"
    return find_unsafe_character(text)


def find_refused_in_source(text: str) -> tuple[int, str] | None:
    """Line and name of the first refused character in the text of a file, comments included."""
    for match in _SUSPECT.finditer(text):
        found = find_refused_character(match[0])
        if found is not None:
            return text.count("\n", 0, match.start()) + 1, found
    return None


def has_credentials(text: str) -> bool:
    """Whether an address in the text carries a password or token.

    `ssh://git@host` does not: there the name is public. Nor does `https://$TOKEN@host`: it names a variable.
    """
    for match in CREDENTIALS.finditer(text):
        name, colon, password = match["user"].partition(":")
        secret = password if colon else name
        if secret and not secret.startswith("$") and (colon or not match["scheme"].endswith("ssh")):
            return True
    return False
