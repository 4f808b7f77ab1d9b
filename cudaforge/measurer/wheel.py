"""Measuring one wheel."""

from __future__ import annotations

from cudaforge.errors import InputError, Problem
from cudaforge.measurer.archive import Archive, Member
from cudaforge.measurer.collector import LIBRARY, Collector, Naming
from cudaforge.measurer.metadata import Metadata, read_metadata
from cudaforge.measurer.model import EVERYTHING, Limits, Measured
from cudaforge.measurer.readable import Malformed, Readable
from cudaforge.measurer.tells import TELLERS


def measure_wheel(file: Readable, name: str, *, limits: Limits = EVERYTHING) -> Measured:
    """What a wheel says of itself. `name` is its file name, which has its tags.

    `file` is anything that is read in parts: `cudaforge.web.RemoteFile`, `LocalFile`. Libraries beyond
    the limits are left out, and `skipped` names them. Nothing of the wheel is run. Raises InputError
    for what is no wheel, or a broken one; what `file` raises passes through.
    """
    try:
        archive = Archive(file)
        metadata = read_metadata(archive)
        return _measure(archive, metadata, _naming(name, file.size), limits)
    except Malformed as error:
        raise InputError(Problem(what=f"{name} cannot be measured: {error}")) from None


def _measure(archive: Archive, metadata: Metadata, naming: Naming, limits: Limits) -> Measured:
    collector = Collector()
    for path in TELLERS:
        if path in archive.members:
            collector.add_text(path, archive.read_text(path))
    libraries = [one for one in archive.members.values() if LIBRARY.fullmatch(one.name)]
    spent = 0
    for member in sorted(libraries, key=lambda one: one.packed):
        if _is_beyond(member, spent, limits):
            collector.skip_library(_path(member), member.packed)
            continue
        spent += member.packed
        collector.add_library(_path(member), archive.open(member))
    return collector.finish(metadata, naming)


def _is_beyond(member: Member, spent: int, limits: Limits) -> bool:
    return (limits.member is not None and member.packed > limits.member) or (
        limits.total is not None and spent + member.packed > limits.total
    )


def _path(member: Member) -> str:
    """Where the file is below the installation directory."""
    top, _, rest = member.name.partition("/")
    if top.endswith(".data"):
        scheme, _, inner = rest.partition("/")
        return inner if scheme in ("purelib", "platlib") else rest
    return member.name


def _naming(name: str, size: int) -> Naming:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    from cudaforge.packages.tags import tag_glibc, wheel_platform, wheel_python

    try:
        tags = parse_wheel_filename(name)[3]
    except InvalidWheelFilename:
        raise Malformed("its name is not that of a wheel: NAME-VERSION-PYTHON-ABI-PLATFORM.whl") from None
    platforms = {wheel_platform(tag.platform) for tag in tags} - {None, "any"}
    pythons = {wheel_python(tag.interpreter, tag.abi) for tag in tags} - {None}
    glibcs = {tag_glibc(tag.platform) for tag in tags} - {None}
    return Naming(
        artefact=name,
        platforms=tuple(sorted(one for one in platforms if one)),
        pythons=tuple(sorted(one for one in pythons if one)),
        tag_glibc=min((one for one in glibcs if one), key=lambda one: int(one.split(".")[1]), default=None),
        size=size,
    )
