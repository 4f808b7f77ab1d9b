"""What the packages of an image need of the packages that its frameworks pin, read out of uv's explanation of
why a closure does not exist.

uv's sentences are no interface. Nothing is taken from one that is not understood as a whole, and whoever
asks has to go on without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from cudaforge.records import record

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_EXTRAS = r"(?:\[[^\]]*\])?"
_CLAUSE = r"(?:[<>=!~]=?|===)[A-Za-z0-9.+!*_-]*[A-Za-z0-9*]"
_SPECIFIER = rf"{_CLAUSE}(?:,{_CLAUSE})*"
_DEPENDS = re.compile(
    rf"(?P<every>all versions of )?(?P<package>{_NAME}){_EXTRAS}(?P<versions>{_SPECIFIER})? "
    rf"depends? on (?P<needed>{_NAME}){_EXTRAS}(?P<allowed>{_SPECIFIER})(?= and |,? we can |[.,]? *$)"
)
_ABSENT = re.compile(rf"(?P<package>{_NAME}) was not found|no versions? of (?P<version>{_NAME})")

_SOURCELESS = re.compile(
    rf"(?:all versions of (?P<all>{_NAME})|\b(?P<one>{_NAME})==\S+) ha(?:ve|s) no usable wheels"
)


@record()
class Need:
    """One package, as it is asked for, and which versions of another one it goes with."""

    text: str
    package: str
    """The other one's normalised name."""
    allowed: str
    """PEP 440."""

    is_direct: bool = False
    """Whether the two are the same package."""

    @property
    def words(self) -> str:
        """The need in words."""
        if self.is_direct:
            return f"{self.text} is asked for among the packages"
        return f"{self.text} needs {self.package}{self.allowed}"


def find_needs(explanation: Iterable[str], asked: Iterable[str]) -> Iterator[Need]:
    """What the packages that are `asked` for need, each as far as the explanation says so of every version
    that is asked for; what is asked for by name first."""
    requirements = dict(_requirements(asked))
    for text, (package, wanted) in requirements.items():
        if wanted:
            yield Need(text=text, package=package, allowed=wanted, is_direct=True)
    for line in explanation:
        for match in _DEPENDS.finditer(line):
            package = _normal(match["package"])
            for text, (name, wanted) in requirements.items():
                if name == package and _covers(match, wanted):
                    yield Need(text=text, package=_normal(match["needed"]), allowed=match["allowed"])


def named_in(explanation: Iterable[str], asked: Iterable[str]) -> tuple[str, ...]:
    """The packages that are asked for and that the explanation names."""
    words = {_normal(word) for word in re.findall(_NAME, " ".join(explanation))}
    return tuple(text for text, (name, _) in _requirements(asked) if name in words)


def clauses_between(explanation: Iterable[str], package: str, asked: Iterable[str]) -> Iterator[str]:
    """What the explanation says of which versions of a package need which of one that is asked for:
    `jax>=0.11 depends on numpy>=2.1`."""
    names = {name for _, (name, _) in _requirements(asked)}
    for line in explanation:
        for match in _DEPENDS.finditer(line):
            if _normal(match["package"]) == package and _normal(match["needed"]) in names:
                yield match[0].strip()


def absent_from(explanation: Iterable[str]) -> frozenset[str]:
    """The packages that no index has, or of which none has the version."""
    text = " ".join(explanation)
    return frozenset(_normal(match["package"] or match["version"]) for match in _ABSENT.finditer(text))


def sourceless_in(explanation: Iterable[str]) -> frozenset[str]:
    """The packages that have no wheel at all in any version that is asked for, only their source."""
    text = " ".join(explanation)
    return frozenset(_normal(match["all"] or match["one"]) for match in _SOURCELESS.finditer(text))


def _requirements(asked: Iterable[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each package as it is written, its name and its versions. One with a marker may not hold."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in asked:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None and requirement.url is None:
            yield text, (_normal(requirement.name), str(requirement.specifier))


def _covers(match: re.Match[str], wanted: str) -> bool:
    """Whether what is said holds of every version that is wanted."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    if match["every"] or match["versions"] is None:
        return bool(match["every"])
    said = SpecifierSet(match["versions"])
    exact = re.fullmatch(r"={2,3}([^*,]+)", wanted)
    return said.contains(Version(exact[1]), prereleases=True) if exact else said == SpecifierSet(wanted)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
