"""Variables in Dockerfiles, replaced as BuildKit does (moby/buildkit, frontend/dockerfile/shell)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping

from cudaforge.records import record

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#]")
_DEEPEST = 20
_LONGEST = 65_536
_LONGEST_TRIMMED = 512


@record()
class Expanded:
    """A text with its variables replaced; not `is_sure` where one of them has no known value."""

    text: str
    is_sure: bool = True


Scope = Mapping[str, "str | None"]
"""Variables with their values; None where a value is set but not known."""


def expand(text: str, scope: Scope, *, escape: str = "\\") -> Expanded:
    """The text with variables replaced and quotes kept; single-quoted parts stay as they are."""
    return _Expander(scope, escape).run(text)


def unquote(text: str, *, escape: str = "\\") -> str:
    """The text without its quotes and escapes."""
    out: list[str] = []
    quote, at = "", 0
    while at < len(text):
        char = text[at]
        if quote != "'" and char == escape and at + 1 < len(text):
            at += 1
            out.append(text[at] if not quote or text[at] in '"$\\' else char + text[at])
        elif char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        else:
            out.append(char)
        at += 1
    return "".join(out)


class _Expander:
    """One pass over one text."""

    def __init__(self, scope: Scope, escape: str, depth: int = 0) -> None:
        self._scope, self._escape, self._depth = scope, escape, depth
        self._sure = True

    def run(self, text: str) -> Expanded:
        """The text with its variables replaced."""
        out: list[str] = []
        quote, at = "", 0
        while at < len(text):
            char = text[at]
            if char == self._escape and quote != "'" and at + 1 < len(text):
                out.append(text[at : at + 2])
                at += 2
                continue
            if char in "'\"" and quote in ("", char):
                quote = "" if quote else char
            if char == "$" and quote != "'":
                value, at = self._variable(text, at + 1)
                out.append(value)
                continue
            out.append(char)
            at += 1
        return Expanded(text="".join(out)[:_LONGEST], is_sure=self._sure)

    def _variable(self, text: str, at: int) -> tuple[str, int]:
        if at < len(text) and text[at] == "{":
            end = _closing(text, at)
            if end < 0:
                self._sure = False
                return "$" + text[at:], len(text)
            return self._braced(text[at + 1 : end]), end + 1
        match = _NAME.match(text, at)
        if match is None:
            return "$", at
        return self._value(match[0]), match.end()

    def _value(self, name: str) -> str:
        value = self._scope.get(name)
        if value is None:
            self._sure = self._sure and name not in self._scope
            return ""
        return value

    def _braced(self, inner: str) -> str:
        match = _NAME.match(inner)
        if match is None:
            self._sure = False
            return ""
        name, rest = match[0], inner[match.end() :]
        if not rest:
            return self._value(name)
        return self._modified(name, rest)

    def _modified(self, name: str, rest: str) -> str:
        value = self._scope.get(name)
        # An ARG without a value is unset unless the build gives it one.
        is_set, word = value is not None, rest
        if word[0] == ":":
            is_set, word = is_set and value != "", word[1:]
        operator, operand = word[:1], word[1:]
        match operator:
            case "-" | "=":
                return self._value(name) if is_set else self._inner(operand)
            case "+":
                return self._inner(operand) if is_set else ""
            case "?":
                self._sure = self._sure and is_set
                return self._value(name)
            case "#" | "%":
                return self._trim(name, word)
            case "/":
                return self._replace(name, word)
            case _:
                self._sure = False
                return self._value(name)

    def _trim(self, name: str, word: str) -> str:
        operator = word[:2] if word[:2] in ("##", "%%") else word[:1]
        value, pattern = self._value(name), self._inner(word[len(operator) :])
        if len(value) > _LONGEST_TRIMMED or len(pattern) > _LONGEST_TRIMMED:
            self._sure = False
            return value
        return _trimmed(value, operator, pattern)

    def _replace(self, name: str, word: str) -> str:
        operator = word[:2] if word[:2] == "//" else word[:1]
        old, _, new = word[len(operator) :].partition("/")
        old, new = self._inner(old), self._inner(new)
        if not old or set(old) & set("*?["):
            self._sure = False
            return self._value(name)
        value = self._value(name)
        return value.replace(old, new, -1 if operator == "//" else 1)[:_LONGEST]

    def _inner(self, text: str) -> str:
        if self._depth >= _DEEPEST:
            self._sure = False
            return ""
        inner = _Expander(self._scope, self._escape, self._depth + 1).run(text)
        self._sure = self._sure and inner.is_sure
        return unquote(inner.text, escape=self._escape)


def _trimmed(value: str, operator: str, pattern: str) -> str:
    sizes = range(len(value) + 1)
    if operator in ("#", "##"):
        hits = [size for size in sizes if fnmatch.fnmatchcase(value[:size], pattern)]
        return value[(min if operator == "#" else max)(hits) :] if hits else value
    hits = [size for size in sizes if fnmatch.fnmatchcase(value[size:], pattern)]
    return value[: (max if operator == "%" else min)(hits)] if hits else value


def _closing(text: str, at: int) -> int:
    depth = 0
    for index in range(at, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    return -1
