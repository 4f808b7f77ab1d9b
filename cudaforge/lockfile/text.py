"""The lock file's text: TOML, versioned, the same bytes for the same lock."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from cudaforge.display import show
from cudaforge.errors import Location, NegativeAnswer, Problem
from cudaforge.lockfile.compose import entry_digest
from cudaforge.lockfile.model import (
    LOCK_SCHEMA,
    USUAL_DECLARATION,
    Closure,
    Declared,
    DroppedPoint,
    Lock,
    LockedBase,
    LockedImage,
    OsPackage,
)
from cudaforge.lockfile.plain import WrongShape, from_plain, to_plain
from cudaforge.lockfile.pylock import load_closure
from cudaforge.records import replace

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_HEADER = """\
# Made by cudaforge from the declaration beside it. Do not edit: `cudaforge lock` makes it anew.
# Commit it together with cudaforge.lock.d/.
"""
MEND = "cudaforge lock"
_CONFLICT_MARKS = ("<<<<<<<", "=======", ">>>>>>>")
_FILE_NAME = re.compile(r"(?!\.{1,2}\Z)[^/\0]+")
_PACKAGE_FIELDS = 6
_UNPINNED = "unpinned"
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
"""How a lock writes its day."""


def dump_lock(lock: Lock) -> str:
    """The text of a lock file."""
    import tomli_w

    named = _named_bases(lock.images)
    names = {base: name for name, base in named.items()}
    document = {
        "schema": LOCK_SCHEMA,
        "project": lock.project,
        "file": lock.file if lock.file != USUAL_DECLARATION else None,
        "declaration": lock.declaration,
        "matrix": lock.matrix,
        "as_of": lock.as_of,
        "tools": dict(sorted(lock.tools.items())),
        "declared": [to_plain(one) for one in lock.declared],
        "bases": [_dump_base(named[name]) for name in sorted(named)],
        "images": [_dump_image(image, base=names[image.base]) for image in lock.images],
        "dropped": [to_plain(point) for point in lock.dropped],
    }
    return _HEADER + "\n" + tomli_w.dumps({key: value for key, value in document.items() if value})


def load_lock(text: str, *, file: str, read_closure: Callable[[str], str]) -> Lock:
    """The lock in the text of a file.

    `read_closure` gives the text of a closure file by its path relative to the lock. Raises
    NegativeAnswer, with the command that mends it, for a lock that is damaged, edited by hand or of
    another format version.
    """

    def locked_closure(closure_file: str, sha256: str) -> Closure:
        closure = load_closure(read_closure(closure_file), file=closure_file)
        if closure.sha256 != sha256:
            raise damaged(closure_file, "it is not the closure that was locked")
        return closure

    return _load_lock(text, file=file, closure_of=locked_closure)


def load_lock_alone(text: str, *, file: str, find_closure: Callable[[str], str | None]) -> Lock:
    """The lock in the text of a file, whose closures may be elsewhere: for comparing, and nothing else.

    A closure that `find_closure` does not give, or that is not the one that was locked, `is_missing`. Raises
    NegativeAnswer as `load_lock` does.
    """

    def closure_if_there(closure_file: str, sha256: str) -> Closure:
        found = find_closure(closure_file)
        if found is not None and hashlib.sha256(found.encode()).hexdigest() == sha256:
            return load_closure(found, file=closure_file)
        return Closure(file=closure_file, sha256=sha256, wheels=(), is_missing=True)

    return _load_lock(text, file=file, closure_of=closure_if_there)


def _load_lock(text: str, *, file: str, closure_of: Callable[[str, str], Closure]) -> Lock:
    document = _parse(text, file)
    try:
        bases = load_bases(document.get("bases", []))
        return Lock(
            project=document["project"],
            file=_load_file(document.get("file", USUAL_DECLARATION), file),
            declaration=document["declaration"],
            matrix=document["matrix"],
            tools=document.get("tools", {}),
            as_of=_load_day(document.get("as_of"), file),
            images=tuple(
                _load_image(image, bases, closure_of=closure_of, file=file)
                for image in document.get("images", [])
            ),
            dropped=tuple(
                from_plain(DroppedPoint, point, path="dropped") for point in document.get("dropped", [])
            ),
            declared=tuple(_load_declared(one) for one in document.get("declared", [])),
        )
    except WrongShape as error:
        raise damaged(file, f"{error.path} {error.what}") from None
    except KeyError as error:
        raise damaged(file, f"{error} is missing") from None
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise damaged(file, f"{type(error).__name__}: {error}") from None


def damaged(file: str, detail: str) -> NegativeAnswer:
    """The answer for a lock that cannot be used as it is."""
    return NegativeAnswer(
        Problem(what=f"the lock is damaged: {detail}", where=Location(file=file), remedy=MEND)
    )


def _parse(text: str, file: str) -> dict[str, Any]:
    if any(line.startswith(_CONFLICT_MARKS) for line in text.splitlines()):
        raise NegativeAnswer(
            Problem(
                what="the lock has merge-conflict markers",
                where=Location(file=file),
                remedy=f"merge the declaration, then {MEND}",
            )
        )
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise damaged(file, str(error)) from None
    if not document:
        raise damaged(file, "it is empty")
    schema = document.get("schema")
    if schema is None:
        raise damaged(file, "it does not say its format: schema is missing")
    if schema != LOCK_SCHEMA:
        raise _other_schema(schema, file)
    return document


def find_day(value: object) -> str | None:
    """The value as a day that a lock may be of, as YYYY-MM-DD; None for anything else."""
    if not isinstance(value, str) or not DAY.fullmatch(value):
        return None
    try:
        # Packages are taken up to the end of it, which the last day that there is has none of.
        return value if date.fromisoformat(value) < date.max else None
    except ValueError:
        return None


def _load_day(day: object, file: str) -> str | None:
    if day is None:
        return None
    found = find_day(day)
    if found is not None:
        return found
    raise damaged(file, f"as_of is {day!r}, and no day")


def _load_file(name: object, file: str) -> str:
    if isinstance(name, str) and _FILE_NAME.fullmatch(name):
        return name
    raise damaged(file, "its file is no name of a declaration beside it")


def _other_schema(schema: object, file: str) -> NegativeAnswer:
    if isinstance(schema, int) and schema > LOCK_SCHEMA:
        return NegativeAnswer(
            Problem(
                what=f"the lock has format {schema}; this cudaforge reads format {LOCK_SCHEMA}",
                where=Location(file=file, key="schema"),
                remedy="install a newer cudaforge, or make the lock anew: cudaforge lock",
            )
        )
    return damaged(file, f"its format is {schema!r}, not {LOCK_SCHEMA}")


def _dump_base(base: LockedBase) -> dict[str, object]:
    plain: dict[str, object] = to_plain(replace(base, packages=()))
    if base.packages:
        plain["packages"] = [_dump_package(package) for package in base.packages]
    return plain


def _load_declared(plain: Mapping[str, Any]) -> Declared:
    images, values = plain.get("images", []), plain.get("values", {})
    lists = (images, *(one for one in values.values() if not isinstance(one, (str, int))))
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists):
        raise WrongShape("declared", "has a value that none can be")
    return Declared(
        images=tuple(images),
        values={key: tuple(one) if isinstance(one, list) else one for key, one in values.items()},
    )


def _dump_package(package: OsPackage) -> str:
    """One line a package: there are a hundred of them, and diffs of them are read by people."""
    return (
        f"{package.name} {package.version} {package.architecture} "
        f"{package.size} {package.sha256} {package.filename}"
    )


def _load_base(plain: Mapping[str, Any]) -> LockedBase:
    packages = []
    for line in plain.get("packages", []):
        fields = line.split(" ")
        if len(fields) != _PACKAGE_FIELDS:
            raise WrongShape("bases.packages", "has a malformed line")
        name, version, architecture, size, sha256, filename = fields
        packages.append(
            OsPackage(
                name=name,
                version=version,
                architecture=architecture,
                filename=filename,
                sha256=sha256,
                size=int(size),
            )
        )
    rest = {key: value for key, value in plain.items() if key != "packages"}
    return replace(from_plain(LockedBase, rest, path="bases"), packages=tuple(packages))


def _dump_image(image: LockedImage, *, base: str) -> dict[str, object]:
    plain: dict[str, object] = to_plain(image)
    plain["base"] = base
    plain["closure"] = {"file": image.closure.file, "sha256": image.closure.sha256}
    return plain


def _named_bases(images: Sequence[LockedImage]) -> dict[str, LockedBase]:
    """The bases by the names that images call them by: the reference, and where one reference stands for
    several, as after an upgrade of some images alone, with the digest behind a space, and the platforms of a
    base that is for several and the snapshot of one that was made from it."""
    found = dict.fromkeys(image.base for image in images)
    times = Counter(base.reference for base in found)
    return {base.reference if times[base.reference] == 1 else _full_name(base): base for base in found}


def load_bases(plain: Sequence[Mapping[str, Any]]) -> dict[str, LockedBase]:
    """The bases by all names that images may call them by. Raises ValueError, LookupError, TypeError or
    AttributeError for other shapes."""
    bases = [_load_base(one) for one in plain]
    return {_full_name(base): base for base in bases} | {base.reference: base for base in bases}


def _full_name(base: LockedBase) -> str:
    platforms = ",".join(one.platform for one in base.manifests)
    return " ".join(
        word for word in (base.reference, base.digest or _UNPINNED, platforms, base.snapshot) if word
    )


def _load_image(
    plain: Mapping[str, Any],
    bases: Mapping[str, LockedBase],
    *,
    closure_of: Callable[[str, str], Closure],
    file: str,
) -> LockedImage:
    image = read_image(plain, bases, closure_of=closure_of)
    if entry_digest(image) != image.digest:
        raise damaged(file, f"the entry of {show(image.name)} was edited")
    return image


def read_image(
    plain: Mapping[str, Any], bases: Mapping[str, LockedBase], *, closure_of: Callable[[str, str], Closure]
) -> LockedImage:
    """An image's entry, whether or not its digest is right. `closure_of` gives the closure by its file and
    SHA-256. Raises ValueError, LookupError, TypeError or AttributeError for other shapes."""
    name = str(plain.get("name", "?"))
    closure = closure_of(str(plain["closure"]["file"]), plain["closure"]["sha256"])
    rest = {**plain, "base": to_plain(bases[plain["base"]]), "closure": to_plain(replace(closure, wheels=()))}
    return replace(
        from_plain(LockedImage, rest, path=f"images.{name}"), base=bases[plain["base"]], closure=closure
    )
