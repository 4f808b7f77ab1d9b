"""Reading the shell text of RUN: simple commands with their words, in the order in which they run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cudaforge.audit.dockerfile import Piece
from cudaforge.records import record

_OPERATORS = ("&&", "||", ";;", ";", "|&", "|", "&", "\n", "(", ")")
_END = "end"
_REDIRECT = re.compile(r"[0-9]*(?:>>|>\||>&|<<<|<<-?|<&|<>|&>>|&>|>|<)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_OPENING = frozenset(("if", "for", "while", "until", "case"))
_CLOSING = frozenset(("fi", "done", "esac"))
_WORDLIKE = frozenset(("then", "else", "elif", "do", "{", "}", "!", "time"))


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
class Command:
    """A simple command."""

    words: tuple[Word, ...]
    line: int
    assignments: Mapping[str, str | None]
    redirects: tuple[Redirect, ...] = ()
    is_certain: bool = True
    """Whether it runs whenever the build gets here: it stands in no `if`, loop or `||`."""
    may_fail: bool = False
    """Whether the build goes on where it fails."""
    piped_from: tuple[Word, ...] = ()
    """The words of the command whose output it reads."""
    nesting: int = 0
    """How many subshells it stands in."""

    @property
    def name(self) -> str:
        """The program without its directory."""
        return self.words[0].text.rpartition("/")[2] if self.words else ""

    @property
    def arguments(self) -> tuple[Word, ...]:
        """The words behind the program."""
        return self.words[1:]

    @property
    def texts(self) -> tuple[str, ...]:
        """All words as text."""
        return tuple(word.text for word in self.words)


@record()
class _Token:
    kind: str
    word: Word | None = None
    operator: str = ""
    redirect: Redirect | None = None


class _Lexer:
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

    def tokens(self) -> Iterator[_Token]:
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
                yield _Token(
                    kind="operator", operator=operator, word=Word(text=operator, line=self.line(self.at))
                )
                self.at, behind = self.at + len(operator), None
            else:
                start = self.at
                raw = self._raw_word()
                behind = raw
                yield _Token(kind="word", word=Word(text=raw, raw=raw, line=self.line(start)))

    def _redirect(self, match: re.Match[str], behind: str | None) -> _Token:
        line = self.line(self.at)
        self.at = match.end()
        gap = self.at
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1
        is_stuck = gap == self.at
        target = self._raw_word()
        return _Token(
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


def read_commands(
    pieces: Iterable[Piece], scope: Mapping[str, str | None], *, newlines: bool = False
) -> tuple[Command, ...]:
    """The simple commands of a shell text. Variables that the text sets itself count for what follows.

    With `newlines` each piece is a line of a script; without, all pieces are one line.
    """
    return tuple(_Reader(scope).read(list(_Lexer(pieces, newlines=newlines).tokens())))


class _Reader:
    """Groups tokens into commands, and follows variables."""

    def __init__(self, scope: Mapping[str, str | None]) -> None:
        self._scope = dict(scope)
        self._depth = 0
        self._piped: tuple[Word, ...] = ()
        self._is_alternative = False
        self._nesting = 0
        self._stops = False
        """Whether the shell ends at the first failure: `set -e`."""

    def read(self, tokens: Sequence[_Token]) -> Iterator[Command]:
        """Every command."""
        group: list[_Token] = []
        for token in _ended(tokens):
            if token.kind != "operator":
                group.append(token)
                continue
            command = self._command(group, fails_over=self._goes_on(token.operator)) if group else None
            if command is not None:
                yield command
            self._piped = command.words if command and token.operator in ("|", "|&") else ()
            self._is_alternative = token.operator == "||" or (
                self._is_alternative and token.operator not in (";", "\n")
            )
            self._nesting = max(0, self._nesting + {"(": 1, ")": -1}.get(token.operator, 0))
            group = []

    def _goes_on(self, operator: str) -> bool:
        """Whether the shell goes on behind a command that failed."""
        if operator in (";", "\n"):
            return not self._stops
        return operator in ("||", "|", "|&", "&")

    def _command(self, group: Sequence[_Token], *, fails_over: bool) -> Command | None:
        assignments: dict[str, str | None] = {}
        words: list[Word] = []
        redirects = []
        for token in group:
            if token.redirect is not None:
                redirects.append(token.redirect)
            elif token.word is not None:
                self._add(token.word, words, assignments)
        line = next((one.word.line for one in group if one.word), 1)
        if not words:
            self._scope.update(assignments)
            return None
        if words[0].text == "set" and any(re.match(r"-[a-z]*e", word.text) for word in words[1:]):
            self._stops = True
        if words[0].text in ("export", "declare", "local", "readonly"):
            for word in words[1:]:
                match = _ASSIGNMENT.fullmatch(word.text)
                if match is not None:
                    assignments[match[1]] = match[2] if word.is_sure else None
            self._scope.update(assignments)
        return Command(
            words=tuple(words),
            line=line,
            assignments={**self._exported(), **assignments},
            redirects=tuple(redirects),
            is_certain=self._depth == 0 and not self._is_alternative,
            may_fail=fails_over,
            piped_from=self._piped,
            nesting=self._nesting,
        )

    def _exported(self) -> Mapping[str, str | None]:
        return dict(self._scope)

    def _add(self, raw: Word, words: list[Word], assignments: dict[str, str | None]) -> None:
        if not words:
            if raw.raw in _OPENING:
                self._depth += 1
            if raw.raw in _CLOSING:
                self._depth = max(0, self._depth - 1)
            if raw.raw in _OPENING | _CLOSING | _WORDLIKE:
                return
            match = _ASSIGNMENT.fullmatch(raw.raw)
            if match is not None:
                value, is_sure, _ = expand_word(match[2], self._scope)
                assignments[match[1]] = value if is_sure else None
                return
        text, is_sure, is_quoted = expand_word(raw.raw, self._scope)
        if "$" in raw.raw and is_sure and not is_quoted:
            words += [Word(text=part, line=raw.line, raw=raw.raw) for part in text.split()]
        else:
            words.append(Word(text=text, line=raw.line, is_sure=is_sure, raw=raw.raw))


def _ended(tokens: Sequence[_Token]) -> list[_Token]:
    """The tokens with an end behind the last command, in the place of what separates it from nothing."""
    kept = list(tokens)
    while kept and kept[-1].operator in (";", "\n"):
        kept.pop()
    return [*kept, _Token(kind="operator", operator=_END)]


def expand_word(raw: str, scope: Mapping[str, str | None]) -> tuple[str, bool, bool]:
    """The word's text, whether all of it is known, and whether it begins with a quote."""
    from cudaforge.audit.substitution import expand, unquote

    if "$(" in raw or "`" in raw:
        return raw, False, True
    if "$" not in raw:
        return unquote(raw), True, False
    expanded = expand(raw, scope)
    is_known = expanded.is_sure and all(name in scope for name in _needed(raw))
    return unquote(expanded.text), is_known, raw.startswith('"')


def _needed(raw: str) -> Iterator[str]:
    """The variables that have to be known: those without a default of their own."""
    bare = re.sub(r"'[^']*'", "", raw)
    for match in re.finditer(r"\$(?:(\w+)|\{(\w+)([^}]?))", bare):
        if match[1]:
            yield match[1]
        elif match[3] == "":
            yield match[2]
