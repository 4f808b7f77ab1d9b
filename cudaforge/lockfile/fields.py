"""Where two lock entries differ, field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cudaforge.lockfile.effects import Value
from cudaforge.lockfile.model import (
    Closure,
    Lock,
    LockedBase,
    LockedFramework,
    LockedImage,
    LockedPython,
    LockedSnapshot,
    LockedWheel,
    OsPackage,
)
from cudaforge.lockfile.plain import to_plain
from cudaforge.records import field_names, replace

Difference = tuple[str, Value, Value]
"""Dotted name, what was and what is; None stands for what is not there."""

_SETS = frozenset(("architectures", "ptx", "platforms", "os_packages", "secrets", "tags"))
"""Lists of which each element stands for itself."""
_FIRST = ("architectures", "ptx", "driver_floor")
"""Where an image runs is told before what is in it."""
_IN_THEIR_OWN_WAY = frozenset(
    (*_FIRST, "name", "digest", "base", "frameworks", "closure", "standalone", "snapshot")
)
"""The digest only sums up the others."""


def image_differences(old: LockedImage, new: LockedImage) -> Iterator[Difference]:
    """Every difference between two entries of one image."""
    for field in _FIRST:
        yield from _values(field, getattr(old, field), getattr(new, field))
    yield from _frameworks(old.frameworks, new.frameworks)
    yield from _base(old.base, new.base)
    yield from _standalone(old.standalone, new.standalone)
    yield from _snapshot(old.snapshot, new.snapshot)
    for field in field_names(LockedImage):
        if field not in _IN_THEIR_OWN_WAY:
            yield from _values(field, getattr(old, field), getattr(new, field))
    yield from _closure(
        old.closure,
        new.closure,
        is_same_python=old.python == new.python,
        is_same_platforms=old.platforms == new.platforms,
    )


def lock_differences(old: Lock, new: Lock) -> Iterator[Difference]:
    """Every difference between two locks that is none of an image."""
    for field in ("project", "declaration", "as_of", "matrix", "tools"):
        yield from _values(field, getattr(old, field), getattr(new, field))
    cores = ({point.name: " and ".join(point.core) for point in lock.dropped} for lock in (old, new))
    yield from _tables("dropped", *cores)
    for kind in ("images", "dropped"):
        yield from _order(kind, *([one.name for one in getattr(lock, kind)] for lock in (old, new)))


def _values(field: str, was: Any, now: Any) -> Iterator[Difference]:  # noqa: ANN401 -- of any field
    if was == now:
        return
    if isinstance(was, Mapping):
        yield from _tables(field, was, now)
    elif field in _SETS:
        yield from ((field, one, None) for one in was if one not in now)
        yield from ((field, None, one) for one in now if one not in was)
        yield from _order(field, was, now)
    elif field == "verify":
        for part in field_names(type(was)):
            yield from _values(f"{field}.{part}", getattr(was, part), getattr(now, part))
    else:
        yield field, _plain(was), _plain(now)


def _plain(value: Any) -> Value:  # noqa: ANN401 -- of any field
    if isinstance(value, tuple):
        return tuple(
            one if isinstance(one, str) else " -> ".join(map(str, to_plain(one).values())) for one in value
        )
    scalar: Value = str(value) if isinstance(value, float) else value
    return scalar


def _tables(field: str, was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Difference]:
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            yield f"{field}.{key}", was.get(key), now.get(key)


def _order(field: str, was: Sequence[str], now: Sequence[str]) -> Iterator[Difference]:
    if list(was) != list(now) and sorted(was) == sorted(now):
        yield field, tuple(was), tuple(now)


def _frameworks(was: Sequence[LockedFramework], now: Sequence[LockedFramework]) -> Iterator[Difference]:
    before, after = ({one.name: one for one in frameworks} for frameworks in (was, now))
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        field = f"frameworks.{name}"
        if old is None or new is None:
            yield field, old.reported if old else None, new.reported if new else None
            continue
        if old.reported != new.reported:
            yield field, old.reported, new.reported
        elif old.version != new.version:
            yield field, old.version, new.version
        is_told = all(one.reported.endswith(f"+{one.build}") for one in (old, new))
        if old.build != new.build and not (is_told and old.reported != new.reported):
            yield f"{field}.build", old.build, new.build
        for part in ("proof", "template"):
            yield from _values(f"{field}.{part}", getattr(old, part), getattr(new, part))
    yield from _order("frameworks", tuple(before), tuple(after))


def _base(was: LockedBase, now: LockedBase) -> Iterator[Difference]:
    """Of another base everything is other; of the same one its digest, or the packages that make it."""
    if was.reference != now.reference:
        yield "base", was.reference, now.reference
        return
    yield from _values("base.codename", was.codename, now.codename)
    before, after = ({one.name: one for one in base.packages} for base in (was, now))
    yield from _packages("base.packages", before, after)
    if was.packages == now.packages:
        yield from _values("base.digest", was.digest, now.digest)
    if was.digest == now.digest and was.manifests and now.manifests:
        manifests = ({one.platform: one.digest for one in base.manifests} for base in (was, now))
        yield from _tables("base.manifests", *manifests)


def _standalone(was: LockedPython | None, now: LockedPython | None) -> Iterator[Difference]:
    if was == now:
        return
    texts = [one.version if one else None for one in (was, now)]
    if was is not None and now is not None and texts[0] == texts[1]:
        # The same version, and yet another archive.
        texts = [
            ", ".join(f"{archive.path} ({archive.sha256})" for archive in one.archives) for one in (was, now)
        ]
    yield "standalone", texts[0], texts[1]


def _snapshot(was: LockedSnapshot | None, now: LockedSnapshot | None) -> Iterator[Difference]:
    if was == now:
        return
    texts = [f"{one.service} {one.timestamp}" if one else None for one in (was, now)]
    if was is not None and now is not None and texts[0] == texts[1]:
        # The same time, and yet other parts of the archive.
        texts = [f"{one.url} ({', '.join(one.archives)}; {one.keyring})" for one in (was, now)]
    yield "snapshot", texts[0], texts[1]


def _closure(
    was: Closure, now: Closure, *, is_same_python: bool, is_same_platforms: bool
) -> Iterator[Difference]:
    if was.sha256 == now.sha256:
        return
    if was.is_missing or now.is_missing:
        yield "closure", was.sha256, now.sha256
        return
    before, after = (_by_package(closure, with_files=is_same_platforms) for closure in (was, now))
    found = list(_packages("packages", before, after))
    yield from found
    if not found and is_same_python and is_same_platforms:
        yield "closure", was.sha256, now.sha256


def _by_package(closure: Closure, *, with_files: bool) -> Mapping[str, LockedWheel]:
    """The packages by name: of one with a file for each platform those of all. Without the files where other
    platforms have others anyway."""
    files: dict[str, list[LockedWheel]] = {}
    for wheel in closure.wheels:
        files.setdefault(wheel.package, []).append(wheel)
    return {package: _as_one(those) if with_files else _bare(those[0]) for package, those in files.items()}


def _as_one(wheels: Sequence[LockedWheel]) -> LockedWheel:
    if len(wheels) == 1:
        return wheels[0]
    names, hashes = ([getattr(one, field) for one in wheels] for field in ("filename", "sha256"))
    sizes = [one.size for one in wheels if one.size is not None]
    return replace(wheels[0], filename=", ".join(names), sha256=", ".join(hashes), size=sum(sizes))


def _bare(wheel: LockedWheel) -> LockedWheel:
    return replace(wheel, filename="", sha256="", size=None, platforms=())


def _packages(
    field: str, was: Mapping[str, LockedWheel | OsPackage], now: Mapping[str, LockedWheel | OsPackage]
) -> Iterator[Difference]:
    for name in sorted(was.keys() | now.keys()):
        old, new = was.get(name), now.get(name)
        if old == new:
            continue
        was_version, now_version = (one.version if one else None for one in (old, new))
        if old is not None and new is not None and was_version == now_version:
            # The same version, and yet another file.
            was_version, now_version = (f"{one.version} ({one.filename}, {one.sha256})" for one in (old, new))
        yield f"{field}.{name}", was_version, now_version
