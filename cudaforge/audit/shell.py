"""Reading the shell text of RUN: simple commands with their words, in the order in which they run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cudaforge.audit.conditions import decide, is_test, matches
from cudaforge.audit.dockerfile import Piece
from cudaforge.audit.words import Lexer, Redirect, Token, Word
from cudaforge.records import record

_END = "end"
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_LOOPS = frozenset(("for", "while", "until"))
_CLOSING = frozenset(("fi", "done", "esac"))
_WORDLIKE = frozenset(("then", "else", "elif", "do", "{", "}", "!", "time"))
_SETTING = ("export", "declare", "local", "readonly")
_KEYWORDS = _LOOPS | _CLOSING | _WORDLIKE | {"if", "case"}


@record()
class Command:
    """A simple command."""

    words: tuple[Word, ...]
    line: int
    assignments: Mapping[str, str | None]
    redirects: tuple[Redirect, ...] = ()
    is_certain: bool = True
    """Whether it runs whenever the build gets here; what certainly does not run is no command at all."""
    condition: str = ""
    """What decides whether it runs, where that is not certain and can be said."""
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


def read_commands(
    pieces: Iterable[Piece], scope: Mapping[str, str | None], *, newlines: bool = False
) -> tuple[Command, ...]:
    """The simple commands of a shell text that run, or may. Variables that the text sets itself count for
    what follows; conditions that are clear from it and from variables are decided.

    With `newlines` each piece is a line of a script; without, all pieces are one line.
    """
    return tuple(_Reader(scope).read(list(Lexer(pieces, newlines=newlines).tokens())))


class _Block:
    """An `if`, `case` or loop that has not ended yet."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.runs: bool | None = True if kind != "loop" else None
        """Whether what stands in it now runs; None where that is not known."""
        self.is_taken: bool | None = False
        """Whether an earlier branch has run."""
        self.is_asking = kind == "if"
        """Whether its condition is being read."""
        self.answer: bool | None = None
        self.condition = ""
        self.subject: Word | None = None
        self.patterns: list[Word] = []
        self.is_matching = kind == "case"

    def branch(self, answer: bool | None) -> None:  # noqa: FBT001 -- three values
        """Begin a branch whose condition has that answer."""
        if self.is_taken:
            self.runs = False
        elif answer is None or (self.is_taken is None and answer):
            self.runs = None
        else:
            self.runs = answer
        if answer is not False and self.is_taken is not True:
            self.is_taken = True if answer and self.is_taken is False else None


class _Reader:
    """Groups tokens into commands, and follows variables and conditions."""

    def __init__(self, scope: Mapping[str, str | None]) -> None:
        self._scope = dict(scope)
        self._blocks: list[_Block] = []
        self._piped: tuple[Word, ...] = ()
        self._status: bool | None = True
        """What the chain of `&&` and `||` answered so far; None where that is not known."""
        self._is_assumed = False
        """Whether that is so only because programs are taken to succeed."""
        self._joint = ";"
        self._test = ""
        self._is_negated = False
        self._nesting = 0
        self._stops = False
        """Whether the shell ends at the first failure: `set -e`."""

    def read(self, tokens: Sequence[Token]) -> Iterator[Command]:
        """Every command that runs, or may."""
        group: list[Token] = []
        for token in _ended(tokens):
            if token.kind != "operator":
                group.append(token)
                continue
            if self._is_of_case(group, token.operator):
                group = []
                continue
            command = self._command(group, fails_over=self._goes_on(token.operator)) if group else None
            if command is not None:
                yield command
            self._piped = command.words if command and token.operator in ("|", "|&") else ()
            self._joint = token.operator
            if token.operator in (";", "\n", "&", ";;", "(", ")"):
                self._status, self._test = True, ""
            if token.operator == ";;" and self._blocks and self._blocks[-1].kind == "case":
                self._blocks[-1].is_matching = True
            self._nesting = max(0, self._nesting + {"(": 1, ")": -1}.get(token.operator, 0))
            group = []

    def _goes_on(self, operator: str) -> bool:
        """Whether the shell goes on behind a command that failed."""
        if operator in (";", "\n"):
            return not self._stops
        return operator in ("||", "|", "|&", "&")

    def _is_of_case(self, group: Sequence[Token], operator: str) -> bool:
        """Reads the head of a `case` and the patterns of its branches."""
        words = [token.word for token in group if token.word is not None]
        if words and words[0].raw == "case" and len(words) > 1:
            block = _Block("case")
            block.subject, block.condition = self._word(words[1]), f"case {words[1].raw}"
            self._blocks.append(block)
            words = words[3:]
        if not self._blocks or not self._blocks[-1].is_matching or (words and words[0].raw == "esac"):
            return False
        block = self._blocks[-1]
        block.patterns += [self._word(word) for word in words]
        if operator == ")" and block.subject is not None:
            block.branch(matches(block.subject, block.patterns))
            block.patterns, block.is_matching = [], False
        return True

    def _word(self, raw: Word) -> Word:
        text, is_sure, _ = expand_word(raw.raw, self._scope)
        return Word(text=text, line=raw.line, is_sure=is_sure, raw=raw.raw)

    def _runs(self) -> bool | None:
        """Whether a command here runs, by the blocks around it and the chain before it."""
        states = [block.runs for block in self._blocks]
        if self._joint == "&&":
            states.append(self._status)
        elif self._joint == "||":
            states.append(None if self._status is None or self._is_assumed else not self._status)
        if False in states:
            return False
        return None if None in states else True

    def _command(self, group: Sequence[Token], *, fails_over: bool) -> Command | None:
        assignments: dict[str, str | None] = {}
        words: list[Word] = []
        redirects = []
        self._is_negated = False
        for token in group:
            if token.redirect is not None:
                redirects.append(token.redirect)
            elif token.word is not None:
                self._add(token.word, words, assignments)
        runs = self._runs()
        condition = self._condition()
        line = next((one.word.line for one in group if one.word), 1)
        self._follow(words, runs=runs)
        if runs is False:
            return None
        self._set(words, assignments, runs=runs)
        if not words:
            return None
        return Command(
            words=tuple(words),
            line=line,
            assignments={**self._scope, **assignments},
            redirects=tuple(redirects),
            is_certain=runs is True,
            condition="" if runs else condition,
            may_fail=fails_over or any(block.is_asking for block in self._blocks),
            piped_from=self._piped,
            nesting=self._nesting,
        )

    def _set(self, words: Sequence[Word], assignments: dict[str, str | None], *, runs: bool | None) -> None:
        """What a command does to the shell itself."""
        name = words[0].text if words else ""
        if name == "set" and any(re.match(r"-[a-z]*e", word.text) for word in words[1:]):
            self._stops = True
        if name in _SETTING:
            for word in words[1:]:
                match = _ASSIGNMENT.fullmatch(word.text)
                if match is not None:
                    assignments[match[1]] = match[2] if word.is_sure else None
        if name in ("", *_SETTING):
            self._scope.update(assignments if runs else dict.fromkeys(assignments))

    def _follow(self, words: Sequence[Word], *, runs: bool | None) -> None:
        """What a command answers to the chain, and to the `if` that asks."""
        answer = decide(words)
        if answer is not None and self._is_negated:
            answer = not answer
        is_program = bool(words) and not is_test(words)
        if runs is False:
            answer = self._status
        elif self._joint == "||" and is_program:
            answer = True  # one side of it succeeds, or the build ends
        elif runs is None and self._joint in ("&&", "||"):
            answer = None
        elif is_program:
            answer = True
        self._is_assumed = is_program if runs else self._is_assumed
        if words and is_test(words) and answer is None:
            self._test = " ".join(word.raw or word.text for word in words)
        self._status = answer if words else True
        if self._blocks and self._blocks[-1].is_asking and words:
            self._blocks[-1].answer = self._status if is_test(words) else None
            self._blocks[-1].condition = " ".join(word.raw or word.text for word in words)

    def _condition(self) -> str:
        unknown = [block.condition for block in self._blocks if block.runs is None and block.condition]
        return (unknown[-1] if unknown else self._test)[:80]

    def _add(self, raw: Word, words: list[Word], assignments: dict[str, str | None]) -> None:
        if not words:
            if raw.raw in _KEYWORDS:
                self._keyword(raw.raw)
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

    def _keyword(self, word: str) -> None:
        if word == "!":
            self._is_negated = True
        elif word == "if":
            self._blocks.append(_Block("if"))
        elif word in _LOOPS:
            self._blocks.append(_Block("loop"))
        elif word in _CLOSING and self._blocks:
            self._blocks.pop()
        elif self._blocks and self._blocks[-1].kind == "if":
            block = self._blocks[-1]
            if word == "then":
                block.is_asking = False
                block.branch(block.answer)
            elif word == "else":
                block.branch(True)  # noqa: FBT003 -- a branch without a condition
            elif word == "elif":
                block.is_asking, block.answer = True, None
                block.runs = False if block.is_taken else (True if block.is_taken is False else None)


def _ended(tokens: Sequence[Token]) -> list[Token]:
    """The tokens with an end behind the last command, in the place of what separates it from nothing."""
    kept = list(tokens)
    while kept and kept[-1].operator in (";", "\n"):
        kept.pop()
    return [*kept, Token(kind="operator", operator=_END)]


def expand_word(raw: str, scope: Mapping[str, str | None]) -> tuple[str, bool, bool]:
    """The word's text, whether all of it is known, and whether it begins with a quote."""
    from cudaforge.audit.substitution import expand, unquote

    raw = _MACHINE.sub(lambda match: _machine(match[1], scope), raw)
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


_MACHINE = re.compile(r"(?:\$\(|`)\s*(uname -m|arch|dpkg --print-architecture)\s*(?:\)|`)")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def _machine(program: str, scope: Mapping[str, str | None]) -> str:
    """What a program says of the machine that the image is for."""
    arch = scope.get("TARGETARCH")
    if arch not in _MACHINES:
        return f"$({program})"
    return arch if program.startswith("dpkg") else _MACHINES[arch]
