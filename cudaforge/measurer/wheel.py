"""Measuring one wheel."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cudaforge.errors import InputError, Problem
from cudaforge.measurer.archive import Archive, Member
from cudaforge.measurer.collector import LIBRARY, Collector, Naming
from cudaforge.measurer.metadata import Metadata, read_metadata
from cudaforge.measurer.model import EVERYTHING, Limits, Measured
from cudaforge.measurer.readable import Malformed, Readable
from cudaforge.measurer.tags import naming_of_wheel
from cudaforge.measurer.tells import TELLERS


def measure_wheel(
    file: Readable,
    name: str,
    *,
    limits: Limits = EVERYTHING,
    on_library: Callable[[str, int], None] | None = None,
) -> Measured:
    """What a wheel says of itself. `name` is its file name, which has its tags.

    `file` is anything that is read in parts: `cudaforge.web.RemoteFile`, `LocalFile`. Libraries beyond
    the limits are left out, and `skipped` names them; `on_library` hears of each before it is read, with
    its packed bytes. Nothing of the wheel is run. Raises InputError for what is no wheel, or a broken
    one; what `file` raises passes through.
    """
    try:
        archive = Archive(file)
        metadata = read_metadata(archive)
        return _measure(archive, metadata, naming_of_wheel(name, file.size), limits, on_library or _ignore)
    except Malformed as error:
        raise InputError(Problem(what=f"{name} cannot be measured: {error}")) from None


def _ignore(_: str, __: int) -> None:
    """Nobody wants to hear."""


def _measure(
    archive: Archive,
    metadata: Metadata,
    naming: Naming,
    limits: Limits,
    on_library: Callable[[str, int], None],
) -> Measured:
    collector = Collector()
    for member in archive.members.values():
        if _path(member) in TELLERS:
            collector.add_text(_path(member), archive.read_text(member.name))
    libraries = [one for one in archive.members.values() if LIBRARY.fullmatch(one.name)]
    within = _within(libraries, limits)
    # In the order in which they lie there: what comes along with one part is the next.
    for member in sorted(libraries, key=lambda one: one.offset):
        if member.name in within:
            on_library(_path(member), member.packed)
            collector.add_library(_path(member), archive.open(member))
        else:
            collector.skip_library(_path(member), member.packed)
    return collector.finish(metadata, naming)


def _within(libraries: Iterable[Member], limits: Limits) -> frozenset[str]:
    """The names of those that are read, small ones first."""
    names, spent = set(), 0
    for member in sorted(libraries, key=lambda one: one.packed):
        is_small = limits.member is None or member.packed <= limits.member
        if is_small and (limits.total is None or spent + member.packed <= limits.total):
            spent += member.packed
            names.add(member.name)
    return frozenset(names)


def _path(member: Member) -> str:
    """Where the file is below the installation directory."""
    top, _, rest = member.name.partition("/")
    if top.endswith(".data"):
        scheme, _, inner = rest.partition("/")
        return inner if scheme in ("purelib", "platlib") else rest
    return member.name
