"""Values as Dockerfile words. The only place where a declared value becomes part of an instruction.

Every function gives one word (or one JSON list) on one line, and refuses a value that could end the
line or read differently than it looks. What the parsers and engines do with the results is measured:
see tests/unit/test_quoting.py and tests/engine/test_render.py.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Iterable

from cudaforge.display import show

_JOINERS = "\u200c\u200d"  # in ordinary Persian and Hindi text and in emoji; they reorder and hide nothing
_REFUSED_CATEGORIES = {
    "Cc": "a control character",
    "Cf": "an invisible or text-reordering character",
    "Cs": "half of a surrogate pair",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
_LEXED = re.compile(r"""[\\'"$]""")
_IN_DOUBLE_QUOTES = re.compile(r"""[\\"$]""")
_BRACKETED = re.compile(r"\\\\|\[")
_IN_PATTERN = re.compile(r"[\\\[]")


class UnsafeText(ValueError):
    """A value that no instruction may carry. The message quotes nothing of it unescaped."""


def find_unsafe_character(text: str) -> str | None:
    """What the first character is that may stand in no value: `U+202E (an invisible ... character)`.

    None if the text is safe: no control, line-breaking, reordering or invisible character.
    """
    for character in text:
        kind = _REFUSED_CATEGORIES.get(unicodedata.category(character))
        if kind is not None and character not in _JOINERS:
            return f"U+{ord(character):04X} ({kind})"
    return None


def quote_env(value: str) -> str:
    """A word of ENV, LABEL, ARG, WORKDIR or USER that the Dockerfile lexer reads back as `value`.

    Raises UnsafeText.
    """
    return '"' + _IN_DOUBLE_QUOTES.sub(_with_backslash, _check(value)) + '"'


def quote_shell(value: str) -> str:
    """A word of a shell-form RUN that the shell reads back as `value`. Raises UnsafeText."""
    return shlex.quote(_check(value))


def dump_words(words: Iterable[str]) -> str:
    """The exec form of CMD, ENTRYPOINT or RUN: a JSON list on one line. Raises UnsafeText."""
    text = json.dumps([_check(word) for word in words], ensure_ascii=False)
    # `<<` opens a heredoc in a RUN or COPY line; JSON has another spelling for it.
    return text.replace("<", "\\u003c")


def dump_copy(source: str, target: str) -> str:
    """The operands of a COPY from exactly `source`, a relative path, to `target`, in JSON form.

    The lexer works on the decoded strings once more, and sources are file name patterns: both are
    escaped. Raises UnsafeText, for `*` and `?` too: BuildKit has no spelling that means just them.
    """
    literal = _BRACKETED.sub(r"[\g<0>]", _check_path(source).replace("\\", "\\\\"))
    # A source that begins with `<<` would be an (empty) heredoc, JSON or not.
    return dump_words(
        (_escape_lexed("./" + ("" if literal == "." else literal)), _escape_lexed(_check(target)))
    )


def quote_ignore(path: str) -> str:
    """A `.dockerignore` pattern for exactly the relative `path`. Raises UnsafeText as `dump_copy` does."""
    return _IN_PATTERN.sub(_with_backslash, _check_path(path))


def _check(value: str) -> str:
    unsafe = find_unsafe_character(value)
    if unsafe is not None:
        raise UnsafeText(f"{unsafe} in {show(value)}")
    return value


def _check_path(path: str) -> str:
    shown = show(path)
    # BuildKit trims such names, or takes them for an exclusion, while it looks for what to send.
    if path.startswith("!") or path != path.strip():
        raise UnsafeText(f"'!' or a space at an end of {shown}")
    if "*" in path or "?" in path:
        raise UnsafeText(f"a wildcard in {shown}")
    return _check(path)


def _escape_lexed(value: str) -> str:
    return _LEXED.sub(_with_backslash, value)


def _with_backslash(match: re.Match[str]) -> str:
    return "\\" + match[0]
