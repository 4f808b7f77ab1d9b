"""Versions as ordered values that keep their spelling, and the wishes that people write about them.

Covers what the field uses and PEP 440 does not: `570.124.06`, `3.13t`, `9.10.2.21`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache, total_ordering

from cudaforge.display import show
from cudaforge.records import record

_VERSION = re.compile(
    r"v?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<phase>a|b|rc)(?P<phase_number>\d+))?"
    r"(?:\.post(?P<post>\d+))?(?:\.dev(?P<dev>\d+))?"
    r"(?P<free_threaded>t)?"
    r"(?:\+(?P<local>[a-zA-Z0-9]+(?:[._-][a-zA-Z0-9]+)*))?",
    re.ASCII,
)
_PHASES = {"a": 0, "b": 1, "rc": 2}
_FINAL = 3
MAX_LENGTH = 64


class InvalidVersion(ValueError):
    """The text is no version, or no version wish."""


@total_ordering
class Version:
    """A version. Compared by number, printed as it was written.

    Trailing zeros do not matter (`12.8 == 12.8.0`); a local label (`+cu128`) sorts after none.
    """

    __slots__ = ("_key", "local", "release", "text")

    def __init__(self, text: str) -> None:
        match = _VERSION.fullmatch(text) if len(text) <= MAX_LENGTH else None
        if match is None:
            raise InvalidVersion(f"{show(text)} is not a version")
        self.text = text
        self.release = tuple(int(part) for part in match["release"].split("."))
        self.local = match["local"]
        phase = _PHASES[match["phase"]] if match["phase"] else _FINAL
        if match["dev"] is not None and phase == _FINAL and match["post"] is None:
            phase = -1
        self._key = (
            _without_trailing_zeros(self.release),
            phase,
            int(match["phase_number"] or 0),
            int(match["post"]) if match["post"] is not None else -1,
            -int(match["dev"]) - 1 if match["dev"] is not None and phase != -1 else int(match["dev"] or 0),
            match["free_threaded"] is not None,
            self.local or "",
        )

    @property
    def major(self) -> int:
        """The first component."""
        return self.release[0]

    @property
    def is_prerelease(self) -> bool:
        """Whether this is an alpha, beta, release candidate or development version."""
        return self._key[1] != _FINAL

    def minor(self) -> Version:
        """The first two components: `12.8.1` gives `12.8`, `9.10.2.21` gives `9.10`."""
        return _of_release((*self.release, 0)[:2])

    def public(self) -> Version:
        """The version without its local label: `2.8.0+cu128` gives `2.8.0`."""
        return _of_text(self.text.split("+", 1)[0])

    def has_prefix(self, prefix: Version) -> bool:
        """Whether the components of `prefix` are the first ones of this version."""
        count = len(prefix.release)
        if count > len(self.release):
            return self.release + (0,) * (count - len(self.release)) == prefix.release
        return self.release[:count] == prefix.release

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: Version) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Version({self.text!r})"


@lru_cache(maxsize=4096)
def find_version(text: object) -> Version | None:
    """The version that a text is; None for anything else."""
    try:
        return Version(text) if isinstance(text, str) else None
    except InvalidVersion:
        return None


def _of_text(text: str) -> Version:
    return Version(text)


@lru_cache(maxsize=4096)
def _of_release(release: tuple[int, ...]) -> Version:
    return Version(".".join(map(str, release)))


@record(kw_only=False)
class _Clause:
    operator: str
    version: Version
    is_prefix: bool

    @property
    def begins(self) -> bool:
        """Whether it allows what begins with its version, and nothing else."""
        return self.is_prefix and self.operator == "=="

    def _equals(self, candidate: Version) -> bool:
        return candidate.has_prefix(self.version) if self.is_prefix else candidate == self.version

    def allows(self, candidate: Version) -> bool:
        """Whether the candidate is within this clause."""
        if self.version.local is None:
            candidate = candidate.public() if candidate.local else candidate
        match self.operator:
            case "==":
                return self._equals(candidate)
            case "!=":
                return not self._equals(candidate)
            case ">=":
                return candidate >= self.version
            case "<=":
                return candidate <= self.version
            case ">":
                return candidate > self.version
            case "<":
                return candidate < self.version
            case "~=":
                release = self.version.release[:-1]
                return candidate >= self.version and candidate.has_prefix(_of_release(release))
            case _:
                return candidate.text == self.version.text


_CLAUSE = re.compile(r"(?P<operator>===|==|!=|>=|<=|~=|>|<)\s*(?P<version>[^\s,]+?)(?P<wildcard>\.\*)?")


_PLAIN = re.compile(r"\d+(?:\.\d+)*(?:\+.*)?")
_CEILINGS = frozenset(("==", "===", "~=", "<", "<="))


class VersionWish:
    """What somebody asks of a version: a bare version (prefix match: `12.8` means `12.8.*`)
    or a PEP 440 specifier set (`>=2.6,<2.9`).

    Raises InvalidVersion for text that is neither.
    """

    __slots__ = ("_clauses", "text")

    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self._clauses = _parse_clauses(self.text)

    def allows(self, version: Version) -> bool:
        """Whether `version` is within the wish."""
        for clause in self._clauses:  # noqa: SIM110 -- asked thousands of times for one answer
            if not clause.allows(version):
                return False
        return True

    @property
    def prefix(self) -> Version | None:
        """The version that all that is wished for begins with, where that is the whole wish."""
        clauses = self._clauses
        return clauses[0].version if len(clauses) == 1 and clauses[0].begins else None

    @property
    def has_ceiling(self) -> bool:
        """Whether it sets an upper limit, so that it does not allow whatever is newer."""
        return any(clause.operator in _CEILINGS for clause in self._clauses)

    @property
    def is_contradiction(self) -> bool:
        """Whether no version whatever is within it: `>=2.8,<2.7`. Of wishes that name a pre-release or the
        like it is not asked."""
        if not all(_PLAIN.fullmatch(clause.version.text) for clause in self._clauses):
            return False
        return not any(self.allows(one) for one in _on_both_sides(self._clauses))

    @property
    def names_prerelease(self) -> bool:
        """Whether a pre-release is named, which is how one is asked for."""
        return any(clause.version.is_prerelease for clause in self._clauses)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionWish) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"VersionWish({self.text!r})"


def _on_both_sides(clauses: Sequence[_Clause]) -> Iterator[Version]:
    """The lowest version, those of the clauses, what comes next after each, and the next that does not begin
    with it: where any version is within all clauses, one of these is."""
    depth = max(len(clause.version.release) for clause in clauses)
    releases = [(0,), *(clause.version.release for clause in clauses)]
    yield from (clause.version for clause in clauses)
    for release in releases:
        for first in (release, (*release[:-1], release[-1] + 1)):
            yield _of_release(first)
            yield _of_release((*first, *(0,) * (depth - len(first)), 1))


@lru_cache(maxsize=4096)
def _parse_clauses(text: str) -> tuple[_Clause, ...]:
    if text and text[0].isdigit():
        return (_Clause("==", Version(text.removesuffix(".*")), is_prefix=True),)
    clauses = []
    for part in text.split(","):
        match = _CLAUSE.fullmatch(part.strip())
        if match is None:
            raise InvalidVersion(f"{show(text)} is neither a version nor a list like '>=2.6,<2.9'")
        operator, version = match["operator"], Version(match["version"])
        if match["wildcard"] and operator not in ("==", "!="):
            raise InvalidVersion(f"{show(text)}: '.*' goes with == and != alone")
        if operator == "~=" and len(version.release) < 2:  # noqa: PLR2004 -- PEP 440: ~= needs two components
            raise InvalidVersion(f"{show(text)}: ~= needs at least two components")
        clauses.append(_Clause(operator, version, is_prefix=bool(match["wildcard"])))
    return tuple(clauses)


def _without_trailing_zeros(release: tuple[int, ...]) -> tuple[int, ...]:
    end = len(release)
    while end > 1 and release[end - 1] == 0:
        end -= 1
    return release[:end]
