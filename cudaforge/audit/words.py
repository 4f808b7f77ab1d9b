"""Splitting shell text into words, operators and redirections."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cudaforge.audit.dockerfile import Piece
from cudaforge.records import record

_OPERATORS = ("&&", "||", ";;", ";", "|&", "|", "&", "\n", "(", ")")
_REDIRECT = re.compile(r"[0-9]*(?:>>|>\||>&|<<<|<<-?|<&|<>|&>>|&>|>|<)")


@record()
class Word:
    """One word after expansion; not `is_sure` where a part of it is not known."""

    text: str
    line: int
    is_sure: bool = True
    raw: str = ""


@record()
class Redirect:
    """A redirection: `operator` and target, and whether it stuck to the word before it."""

    operator: str
    target: str
    line: int
    behind: str | None
    """The word that it stands at without a space: `torch` of `torch>=2.0`."""


@record()
class Token:
    """A word, an operator or a redirection."""

    kind: str
    word: Word | None = None
    operator: str = ""
    redirect: Redirect | None = None


class Lexer:
    """Splits shell text into words, operators and redirections."""

    def __init__(self, pieces: Iterable[Piece], *, newlines: bool) -> None:
        text, lines = [], []
        for piece in pieces:
            part = piece.text + ("\n" if newlines else "")
            text.append(part)
            lines += [piece.line] * len(part)
        self.text = "".join(text)
        self.lines = lines
        self.at = 0

    def line(self, at: int) -> int:
        """The physical line of a character."""
        return self.lines[min(at, len(self.lines) - 1)] if self.lines else 1

    def tokens(self) -> Iterator[Token]:
        """All tokens; the text of words is raw, with its quotes."""
        behind: str | None = None
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r":
                self.at, behind = self.at + 1, None
            elif char == "\\" and self.text[self.at + 1 : self.at + 2] == "\n":
                self.at += 2
            elif char == "#" and behind is None:
                self.at = _end_of_line(self.text, self.at)
            elif (match := _REDIRECT.match(self.text, self.at)) and (
                not match[0][0].isdigit() or behind is None
            ):
                yield self._redirect(match, behind)
                behind = None
            elif operator := next((one for one in _OPERATORS if self.text.startswith(one, self.at)), None):
                yield Token(
                    kind="operator", operator=operator, word=Word(text=operator, line=self.line(self.at))
                )
                self.at, behind = self.at + len(operator), None
            else:
                start = self.at
                raw = self._raw_word()
                behind = raw
                yield Token(kind="word", word=Word(text=raw, raw=raw, line=self.line(start)))

    def _redirect(self, match: re.Match[str], behind: str | None) -> Token:
        line = self.line(self.at)
        self.at = match.end()
        gap = self.at
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1
        is_stuck = gap == self.at
        target = self._raw_word()
        return Token(
            kind="redirect",
            redirect=Redirect(
                operator=match[0], target=target, line=line, behind=behind if is_stuck else None
            ),
        )

    def _raw_word(self) -> str:
        start, quote = self.at, ""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\\" and quote != "'":
                self.at += 2
                continue
            if quote:
                if char == quote:
                    quote = ""
                elif char == "$" and quote == '"':
                    self._skip_substitution()
                    continue
            elif char in "'\"":
                quote = char
            elif char == "$":
                self._skip_substitution()
                continue
            elif char == "`":
                end = self.text.find("`", self.at + 1)
                self.at = len(self.text) if end < 0 else end
            elif char in " \t\r\n;&|<>()":
                break
            self.at += 1
        self.at = min(self.at, len(self.text))
        return self.text[start : self.at]

    def _skip_substitution(self) -> None:
        """Past `$name`, `${...}` or `$(...)`."""
        opening = self.text[self.at + 1 : self.at + 2]
        if opening not in "({" or not opening:
            self.at += 1
            return
        closing, depth, at = {"(": ")", "{": "}"}[opening], 0, self.at + 1
        while at < len(self.text):
            if self.text[at] == opening:
                depth += 1
            elif self.text[at] == closing:
                depth -= 1
                if depth == 0:
                    break
            at += 1
        self.at = min(at + 1, len(self.text))


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end
