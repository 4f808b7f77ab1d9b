"""Looking for patterns in a text of any length, in bounded memory."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence

from cudaforge.diagnosis.facts import FactFinder
from cudaforge.diagnosis.load import load_patterns
from cudaforge.diagnosis.model import Diagnosis, Match, Pattern, Search
from cudaforge.diagnosis.normal import Normal, normal_form, unwrapped
from cudaforge.diagnosis.words import Words

PART = 1 << 20
"""So many bytes are looked at together."""
_OVERLAP = 8192
"""So many characters are looked at with the next part again: a message may begin in one and end in the
other."""
_ABOUT = 100
_LONGEST_EXCERPT = 240
_MOST_UNWRAPPED = 1 << 18
_CONTROLS = bytes(sorted({*range(1, 32), 127} - set(b"\t\n\r\f\b\x1b")))
_MOST_CONTROLS = 0.03
"""A part with a greater share of control characters is no text."""
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def diagnose(text: str, patterns: Sequence[Pattern] | None = None) -> Diagnosis:
    """What is found in a text; by default with the patterns of this installation."""
    found = _diagnosed([text], patterns)
    if not found.matches and len(text) <= _MOST_UNWRAPPED and (joined := unwrapped(text)) != text:
        found = _diagnosed([joined], patterns)
    return found


def diagnose_stream(parts: Iterable[bytes], patterns: Sequence[Pattern] | None = None) -> Diagnosis:
    """What is found in a text that comes as bytes, of any length; UTF-8, or UTF-16 with its mark. What is no
    text has no meaning and does no harm. A text that comes in one part is looked at as `diagnose` does."""
    texts = _decoded(parts)
    first = next(texts, "")
    second = next(texts, None)
    if second is None:
        return diagnose(first, patterns)
    return _diagnosed(_overlapping(_chain(first, second, texts)), patterns)


def _chain(first: str, second: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield second
    yield from rest


def _decoded(parts: Iterable[bytes]) -> Iterator[str]:
    decoder: codecs.IncrementalDecoder | None = None
    encoding = ""
    for part in _whole(parts):
        if decoder is None:
            encoding = next((name for mark, name in _MARKS if part.startswith(mark)), "utf-8")
            decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        yield decoder.decode(part if encoding == "utf-16" else _text_of(part))
    if decoder is not None and (rest := decoder.decode(b"", final=True)):
        yield rest


def _whole(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Parts of full length, of those that a pipe gave."""
    kept: list[bytes] = []
    length = 0
    for part in parts:
        kept.append(part)
        length += len(part)
        if length >= PART:
            yield b"".join(kept)
            kept, length = [], 0
    if kept:
        yield b"".join(kept)


def _text_of(part: bytes) -> bytes:
    """The part without zero bytes, which holes in files read as; nothing of it where it is no text."""
    text = part.replace(b"\0", b"")
    controls = len(text) - len(text.translate(None, _CONTROLS))
    return b"" if controls > _MOST_CONTROLS * len(part) else text


def _overlapping(texts: Iterable[str]) -> Iterator[str]:
    kept = ""
    for text in texts:
        whole = kept + text
        yield whole
        start = whole.find("\n", len(whole) - _OVERLAP)
        kept = whole[start + 1 :] if start >= 0 else whole[-_OVERLAP:]


def _diagnosed(texts: Iterable[str], patterns: Sequence[Pattern] | None) -> Diagnosis:
    scanner = _Scanner(load_patterns() if patterns is None else patterns)
    for text in texts:
        scanner.look_at(normal_form(text))
    return scanner.diagnosis()


class _Scanner:
    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._open = list(patterns)
        besides = (
            search
            for pattern in patterns
            for choice in pattern.choices
            for search in (*choice.seen, *choice.unless)
        )
        self._besides = {search.regex: search for search in besides}
        self._compiled: dict[str, re.Pattern[str]] = {}
        self._matches: list[Match] = []
        self._seen: set[str] = set()
        self._facts = FactFinder()
        self._length = 0

    def look_at(self, text: Normal) -> None:
        """Takes a part in."""
        words = Words(text.flat)
        left = []
        for pattern in self._open:
            match = self._first(pattern.searches, text, words)
            if match is None:
                left.append(pattern)
            else:
                self._matches.append(self._match(pattern, match, text.shown))
        self._open = left
        for regex, search in list(self._besides.items()):
            if self._first((search,), text, words) is not None:
                self._seen.add(regex)
                del self._besides[regex]
        self._facts.look_at(text.flat, words)
        self._length += len(text.flat)

    def _first(self, searches: Sequence[Search], text: Normal, words: Words) -> re.Match[str] | None:
        found = None
        for search in searches:
            if not words.have_any(search.literals):
                continue
            match = self._expression(search).search(text.lines if search.is_line else text.flat)
            if match is not None and (found is None or match.start() < found.start()):
                found = match
        return found

    def _expression(self, search: Search) -> re.Pattern[str]:
        compiled = self._compiled.get(search.regex)
        if compiled is None:
            compiled = self._compiled[search.regex] = re.compile(
                search.regex, re.MULTILINE if search.is_line else 0
            )
        return compiled

    def _match(self, pattern: Pattern, match: re.Match[str], shown: str) -> Match:
        groups = {
            name: shown[slice(*match.span(name))] for name in match.groupdict() if match[name] is not None
        }
        return Match(
            pattern=pattern,
            groups=groups,
            excerpt=_excerpt(shown, match.start(), match.end()),
            position=self._length + match.start(),
        )

    def diagnosis(self) -> Diagnosis:
        """What was found in all parts."""
        return Diagnosis(
            matches=tuple(sorted(self._matches, key=lambda one: one.position)),
            seen=frozenset(self._seen),
            facts=self._facts.facts(),
        )


def _excerpt(shown: str, start: int, end: int) -> str:
    """The words from `start` to `end`, cut where they are many, with the word that they begin in."""
    first = shown.rfind(" ", max(0, start - _ABOUT), start) + 1 or start
    last = shown.find(" ", end, end + _ABOUT)
    excerpt = shown[first : end if last < 0 else last].strip()
    return excerpt if len(excerpt) <= _LONGEST_EXCERPT else excerpt[:_LONGEST_EXCERPT] + " ..."
