"""A wheel's METADATA: its name, its version, what it requires."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cudaforge.measurer.archive import Archive
from cudaforge.measurer.readable import Malformed
from cudaforge.records import record

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MEMBER = re.compile(r"([^/]+)\.dist-info/METADATA")
_FIELD = re.compile(r"([A-Za-z-]+):[ \t]*(.*)")
_MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_EXTRA = re.compile(r"extra\s*==\s*['\"]([A-Za-z0-9._-]+)['\"]")
_MOST_REQUIREMENTS = 2000


@record()
class Metadata:
    """What the file says."""

    name: str
    """Normalised."""
    version: str
    requires: tuple[Requirement, ...]
    """Without lines that are no PEP 508 requirement."""


def read_metadata(archive: Archive) -> Metadata:
    """The METADATA of a wheel. Raises Malformed where it has none, or several."""
    names = [name for name in archive.members if _MEMBER.fullmatch(name)]
    if len(names) != 1:
        raise Malformed("it holds no METADATA of one package, as a wheel does")
    return parse_metadata(archive.read_text(names[0]))


def parse_metadata(text: str) -> Metadata:
    """The head of a METADATA file. Raises Malformed where it names no package."""
    from packaging.utils import canonicalize_name

    fields = list(_fields(text))
    known = dict(reversed(fields))
    if not known.get("name") or not known.get("version"):
        raise Malformed("its METADATA names no package and version")
    return Metadata(
        name=str(canonicalize_name(known["name"])),
        version=known["version"],
        requires=tuple(_requirements(value for name, value in fields if name == "requires-dist")),
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for line in re.split(r"\r?\n\r?\n", text, maxsplit=1)[0].splitlines():
        if match := _FIELD.fullmatch(line):
            yield match[1].lower(), match[2].strip()


def _requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    from packaging.requirements import InvalidRequirement, Requirement

    for number, line in enumerate(lines):
        if number == _MOST_REQUIREMENTS:
            return
        try:
            yield Requirement(line)
        except InvalidRequirement:
            continue


def applying(
    requires: Iterable[Requirement], *, platform: str, python: str | None
) -> Iterator[tuple[Requirement, str]]:
    """The requirements that hold on a platform, each with the extra that asks for it (empty: none does)."""
    place = {
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_machine": _MACHINES.get(platform, ""),
    }
    if python is not None:
        place["python_version"] = python.rstrip("t")
        place["python_full_version"] = f"{python.rstrip('t')}.0"
    for one in requires:
        if one.marker is None or _holds(one, place, ""):
            yield one, ""
            continue
        extra = next((name for name in _EXTRA.findall(str(one.marker)) if _holds(one, place, name)), None)
        if extra is not None:
            yield one, extra


def _holds(requirement: Requirement, place: dict[str, str], extra: str) -> bool:
    from packaging.markers import InvalidMarker, UndefinedComparison, UndefinedEnvironmentName

    try:
        return requirement.marker is None or requirement.marker.evaluate({**place, "extra": extra})
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, ValueError):
        return False
