"""What an image takes from the Python world, read: packages, constraints, the hashes of files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from cudaforge.declaration.model import LocalWheel
from cudaforge.records import made, record, replace
from cudaforge.versions import InvalidVersion, VersionWish

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_CLAUSES = re.compile(rf"{_NAME.pattern}\s*(?:\[[^]]*\])?\s*(?P<clauses>[=<>!~][^;@]*)")


@record()
class RequirementsSource:
    """`requirements` as it is written: a path, and of a project its extras and dependency groups."""

    path: str
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def at(self, path: str) -> RequirementsSource:
        """The same of another path."""
        return replace(self, path=path)


@record()
class Needed:
    """Packages and what is said of their files."""

    packages: tuple[str, ...] = ()
    """PEP 508."""
    constraints: tuple[str, ...] = ()
    """PEP 508: versions of packages that something else may bring."""
    hashes: Mapping[str, tuple[str, ...]] = made(default_factory=dict)
    """Package to the SHA-256 of the files that may be installed."""
    wheels: tuple[LocalWheel, ...] = ()
    python: str | None = None
    """The Pythons that all this is for, as clauses (`>=3.10,<3.13`); None for any."""

    @classmethod
    def of(
        cls,
        *,
        packages: tuple[str, ...] = (),
        constraints: tuple[str, ...] = (),
        hashes: Mapping[str, tuple[str, ...]],
    ) -> Needed:
        """Packages with the hashes of each, by requirement; none where it has none."""
        named = {normal_name(text): digests for text, digests in hashes.items() if digests}
        return cls(packages=packages, constraints=constraints, hashes=named)

    def and_also(self, other: Needed) -> Needed:
        """Both, each entry once."""
        hashes = {
            name: tuple(dict.fromkeys((*self.hashes.get(name, ()), *other.hashes.get(name, ()))))
            for name in (*self.hashes, *other.hashes)
        }
        return Needed(
            packages=tuple(dict.fromkeys((*self.packages, *other.packages))),
            constraints=tuple(dict.fromkeys((*self.constraints, *other.constraints))),
            hashes=hashes,
            wheels=tuple(dict.fromkeys((*self.wheels, *other.wheels))),
            python=",".join(filter(None, (self.python, other.python))) or None,
        )

    def contradictions(self) -> Iterator[tuple[str, ...]]:
        """The requirements and constraints of each package that no version meets together. One with a marker
        may not count, and is left out."""
        clauses: dict[str, dict[str, str]] = {}
        for text in (*self.packages, *self.constraints):
            match = _CLAUSES.fullmatch(text)
            if match is not None:
                clauses.setdefault(normal_name(text), {})[text] = match["clauses"]
        asked = {normal_name(text) for text in self.packages}
        for name, of_package in clauses.items():
            if name in asked and _is_contradiction(",".join(of_package.values())):
                yield tuple(of_package)


def _is_contradiction(clauses: str) -> bool:
    try:
        return VersionWish(clauses).is_contradiction
    except InvalidVersion:
        return False  # versions of packages come in more kinds than are read here


NOTHING_NEEDED = Needed()


def normal_name(text: str) -> str:
    """The name in a requirement, as indexes write it."""
    match = _NAME.match(text)
    return re.sub(r"[-_.]+", "-", match[1] if match else text).lower()
