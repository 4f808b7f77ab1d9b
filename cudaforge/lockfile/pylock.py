"""The closure file: PEP 751, without addresses.

Each wheel has its file name, size and SHA-256, and its package the *name* of the index that serves it; the
addresses are filled in when an image is built, so that a lock travels between sites. A file that only some
platforms of an image take is an entry with a marker of their machines. The standard wants a
`url` or a `path` for each wheel: `wheels/` beside the file is where they would be if someone put them there.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from typing import Any

from cudaforge.errors import Location, NegativeAnswer, Problem
from cudaforge.lockfile.model import Closure
from cudaforge.packages.machines import machine_marker, platforms_of_marker
from cudaforge.packages.model import GitCommit, LockedWheel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LOCK_VERSION = "1.0"
_TOOL = "cudaforge"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\.(?:whl|tar\.gz)")
_REPOSITORY = re.compile(r"https?://[A-Za-z0-9.:-]+(?:/[A-Za-z0-9_~+][A-Za-z0-9._~+-]*)+/?")
_SUBDIRECTORY = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._+-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*)*)?")


def closure_file(name: str) -> str:
    """Where the closure of an image goes, relative to the lock."""
    return f"cudaforge.lock.d/pylock.{name}.toml"


def dump_closure(wheels: Sequence[LockedWheel], *, python: str, platforms: Sequence[str] = ()) -> str:
    """The text of a closure file; the same wheels give the same bytes. Of several `platforms` it says so."""
    import tomli_w

    ordered = sorted(wheels, key=lambda wheel: (wheel.package, wheel.filename))
    several = platforms if len(platforms) > 1 else ()
    document = {
        "lock-version": LOCK_VERSION,
        **({"environments": [machine_marker((one,)) for one in several]} if several else {}),
        "created-by": _TOOL,
        "requires-python": f"=={python.removesuffix('t')}.*",
        "packages": [_package(wheel) for wheel in ordered],
    }
    return tomli_w.dumps(document)


def load_closure(text: str, *, file: str) -> Closure:
    """The closure in the text of a file. Raises NegativeAnswer for one that cudaforge did not write."""
    try:
        document = tomllib.loads(text)
        wheels = tuple(_wheel(package) for package in document["packages"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NegativeAnswer(
            Problem(
                what=f"the closure is damaged ({type(error).__name__}: {error})",
                where=Location(file=file),
                remedy="cudaforge lock",
            )
        ) from None
    return Closure(file=file, sha256=hashlib.sha256(text.encode()).hexdigest(), wheels=wheels)


def _package(wheel: LockedWheel) -> dict[str, object]:
    if wheel.git is not None:
        subdirectory = {"subdirectory": wheel.git.subdirectory} if wheel.git.subdirectory else {}
        return {
            "name": wheel.package,
            "version": wheel.version,
            **_marker(wheel),
            "vcs": {"type": "git", "url": wheel.git.url, "commit-id": wheel.git.commit, **subdirectory},
            "tool": {_TOOL: {"index": wheel.index}},
        }
    described: dict[str, object] = {"name": wheel.filename, "path": f"wheels/{wheel.filename}"}
    if wheel.size is not None:
        described["size"] = wheel.size
    described["hashes"] = {"sha256": wheel.sha256}
    return {
        "name": wheel.package,
        "version": wheel.version,
        **_marker(wheel),
        **({"sdist": described} if wheel.is_built else {"wheels": [described]}),
        "tool": {_TOOL: {"index": wheel.index}},
    }


def _marker(wheel: LockedWheel) -> dict[str, str]:
    return {"marker": machine_marker(wheel.platforms)} if wheel.platforms else {}


def _platforms(package: dict[str, Any]) -> tuple[str, ...]:
    return platforms_of_marker(package["marker"]) if "marker" in package else ()


def _wheel(package: dict[str, Any]) -> LockedWheel:
    if "vcs" in package:
        return _commit(package)
    (wheel,) = [package["sdist"]] if "sdist" in package else package["wheels"]
    if not _FILENAME.fullmatch(wheel["name"]) or not _SHA256.fullmatch(wheel["hashes"]["sha256"]):
        raise ValueError(f"{package['name']} has a malformed file")
    if "sdist" in package:
        _check_source(package)
    return LockedWheel(
        package=package["name"],
        version=package["version"],
        filename=wheel["name"],
        index=package["tool"][_TOOL]["index"],
        sha256=wheel["hashes"]["sha256"],
        size=wheel.get("size"),
        platforms=_platforms(package),
    )


def _commit(package: dict[str, Any]) -> LockedWheel:
    vcs = package["vcs"]
    git = GitCommit(url=vcs["url"], commit=vcs["commit-id"], subdirectory=vcs.get("subdirectory", ""))
    _check_source(package)
    if not (
        vcs["type"] == "git"
        and _REPOSITORY.fullmatch(git.url)
        and _COMMIT.fullmatch(git.commit)
        and _SUBDIRECTORY.fullmatch(git.subdirectory)
    ):
        raise ValueError(f"{package['name']} has a malformed repository")
    return LockedWheel(
        package=package["name"],
        version=package["version"],
        filename=f"{package['name']}-{git.commit}.tar.gz",
        index=package["tool"][_TOOL]["index"],
        sha256="",
        size=None,
        git=git,
        platforms=_platforms(package),
    )


def _check_source(package: dict[str, Any]) -> None:
    """Name and version of what is built stand in the Dockerfile."""
    if not _NAME.fullmatch(package["name"]) or not _VERSION.fullmatch(package["version"]):
        raise ValueError("a source has a malformed name or version")
