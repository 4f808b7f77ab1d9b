"""The words of a diagnosis: patterns, what they matched, what else the text says, and causes."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.codes import Code
from cudaforge.records import record

RULES = (
    "arch-window",
    "base-tag",
    "distribution",
    "driver-floor",
    "driver-native",
    "forward-compat",
    "glibc",
    "host-compiler",
    "system",
)
"""Rules by which the matrix decides between causes; `cudaforge.explainer` has them."""


@record()
class Origin:
    """Where a pattern is known from."""

    text: str
    checked: str
    strength: str
    file: str

    def __str__(self) -> str:
        return f"{self.text} ({self.file}, {self.strength}, checked {self.checked})"


@record()
class Search:
    """One regular expression for the normal form of a text, with words of which one must be there."""

    regex: str
    literals: tuple[str, ...]
    is_line: bool = False
    """Whether it means a whole line."""


@record()
class Choice:
    """One of the causes that a message may have."""

    code: Code
    text: str
    """May name groups of the pattern: `{library}`."""
    remedy: str
    when: str | None = None
    """The fact that decides for it, in words that follow "if"."""
    seen: tuple[Search, ...] = ()
    """What in the text decides for it; without `when` it counts only then."""
    unless: tuple[Search, ...] = ()
    """What else in the text rules it out."""


@record()
class Pattern:
    """One kind of message."""

    id: str
    product: str
    searches: tuple[Search, ...]
    choices: tuple[Choice, ...]
    """The likeliest first."""
    origin: Origin
    hides: frozenset[str] = frozenset()
    """Patterns that say nothing more where this one is found."""
    is_symptom: bool = False
    """Whether it tells that something failed, and others why."""
    rule: str | None = None
    """The rule by which facts of the matrix decide."""


@record()
class Facts:
    """What a text says besides its messages, each as it is written there, in lower case."""

    drivers: tuple[str, ...] = ()
    driver_cuda: tuple[str, ...] = ()
    """CUDA versions that a driver says it runs."""
    cuda: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    """What may be the name of a GPU."""
    capabilities: tuple[str, ...] = ()
    window: tuple[str, ...] = ()
    """Capabilities that a build says it has code for."""
    requirements: tuple[str, ...] = ()
    """`torch==2.0.1+cu118`."""
    pythons: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    """Channels of PyTorch's index: `cu118`."""
    images: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    """Ids or code names of operating systems."""


@record()
class Match:
    """A pattern that was found."""

    pattern: Pattern
    groups: Mapping[str, str]
    excerpt: str
    """The words that it was found in."""
    position: int
    """How far into the text: in characters of its normal form."""


@record()
class Diagnosis:
    """What was found in a text."""

    matches: tuple[Match, ...]
    """In the order of the text."""
    seen: frozenset[str]
    """The expressions besides patterns that were found, of `Choice.seen` and `Choice.unless`."""
    facts: Facts


@record()
class Cause:
    """Why something failed, and a way out."""

    code: Code
    text: str
    remedy: str
    source: str
    pattern: str
    """The id of the pattern that it comes from."""
    excerpt: str
    """The words that it was found in."""
    is_symptom: bool = False


@record()
class Mistake:
    """Something wrong with a row of `matrices/errors/`."""

    file: str
    row: str
    what: str
