"""What a lock entry must hold before its values may go into a Dockerfile.

The declaration was checked when it was read; a lock is a file that people edit and merge, so nothing
here relies on that.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

from cudaforge.display import escaped, show
from cudaforge.errors import Location, Problem
from cudaforge.lockfile.model import LockedImage, LockedSnapshot
from cudaforge.quoting import UnsafeText, dump_copy, find_unsafe_character, quote_ignore
from cudaforge.references import InvalidReference, parse_reference
from cudaforge.renderer.account import is_user
from cudaforge.renderer.context import has_apt, make_labels
from cudaforge.renderer.model import LABEL_PREFIX
from cudaforge.resources import find_resource

LOCK_NAME = "cudaforge.lock"
MAXIMUM_STEPS = 100
"""Own steps and copies of one image. BuildKit refuses the 130th layer, and bases bring up to 20."""
MAXIMUM_BYTES = 32_000
"""Of one value. BuildKit refuses lines above 65,535 bytes, and every byte may become two."""

_OWN_DIRECTORIES = ("/opt/venv", "/opt/python", "/run/cudaforge")
_NAME = re.compile(r"(?=.{1,128}\Z)[a-z0-9]+(?:[._-][a-z0-9]+)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9]+)?")
_ENTRY_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_OS = re.compile(r"[a-z0-9][a-z0-9._-]*")
_OS_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(?:=[A-Za-z0-9.+:~-]+)?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_SECRET = re.compile(r"(?!cudaforge-)[A-Za-z0-9_][A-Za-z0-9._-]*")
_PYTHON = re.compile(r"\d+\.\d+(?:\.\d+)?(?:(?:a|b|rc)\d+)?t?")
_TEMPLATE = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_ARCHIVE_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~%+-]+)*")
_KEYRING = re.compile(r"(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+")
_ARCHIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*(?: [a-z][a-z0-9-]*){2,}")
_PROVIDERS = ("distro", "image", "standalone")


def check_image(image: LockedImage) -> tuple[Problem, ...]:
    """Everything in the entry that cannot be rendered, found at once."""
    return tuple(
        Problem(
            what=what,
            where=Location(file=LOCK_NAME, key=f"images.{escaped(image.name)}.{key}"),
            remedy=remedy,
        )
        for key, what, remedy in _find_problems(image)
    )


_Finding = tuple[str, str, str | None]


def _find_problems(image: LockedImage) -> Iterator[_Finding]:
    yield from _check_grammars(image)
    yield from _check_support(image)
    yield from _check_values(image)
    yield from _check_copies(image)
    steps = len(image.run) + len(image.copy)
    if steps > MAXIMUM_STEPS:
        yield "run", f"{steps} run and copy steps; an image takes {MAXIMUM_STEPS}", "join commands with &&"


def _check_grammars(image: LockedImage) -> Iterator[_Finding]:
    yield from _matching("name", [image.name], _NAME.fullmatch, "an image name")
    yield from _matching("os", [image.os], _OS.fullmatch, "an operating system")
    digests = [image.digest, image.closure.sha256]
    yield from _matching("digest", digests, _ENTRY_DIGEST.fullmatch, "a SHA-256")
    if not image.base.is_bootstrap:
        yield from _matching("base", [image.base.reference], _is_reference, "an image reference")
    if image.base.digest is not None:
        yield from _matching("base.digest", [image.base.digest], _DIGEST.fullmatch, "a sha256 digest")
    yield from _matching("python", [image.python], _PYTHON.fullmatch, "a Python version")
    if image.standalone is not None:
        yield from _matching("standalone", [image.standalone.version], _PYTHON.fullmatch, "a Python version")
        hashes = [archive.sha256 for archive in image.standalone.archives]
        yield from _matching("standalone", hashes, _SHA256.fullmatch, "a SHA-256")
    yield from _matching("tags", image.tags, _is_reference, "an image reference")
    yield from _matching("platforms", image.platforms, _PLATFORM.fullmatch, "a platform")
    templates = [framework.template for framework in image.frameworks]
    yield from _matching("frameworks", templates, _has_template, "one of the install templates")
    yield from _matching("apt", image.os_packages, _OS_PACKAGE.fullmatch, "an OS package")
    if image.snapshot is not None:
        yield from _check_snapshot(image.snapshot)
    yield from _matching("user", [image.user], is_user, "a user: app, 1234 or 1234:1234")
    yield from _matching("secrets", image.secrets, _SECRET.fullmatch, "a secret's id")
    yield from _matching("env", image.env, _ENV_NAME.fullmatch, "a variable's name")
    yield from _matching("labels", image.labels, _LABEL_NAME.fullmatch, "a label's name")
    for name in image.labels:
        if name.startswith(LABEL_PREFIX):
            yield f"labels.{name}", f"labels below {LABEL_PREFIX} are cudaforge's own", "take another name"
    if not image.workdir.startswith("/"):
        yield "workdir", f"{show(image.workdir)} is not an absolute path", None
    inside = PurePosixPath(posixpath.normpath(image.workdir))
    for own in _OWN_DIRECTORIES:
        if inside.is_relative_to(own):
            shown = escaped(image.workdir)
            yield "workdir", f"'{shown}' is in {own}, which cudaforge makes", "take another: /app"


def _check_snapshot(snapshot: LockedSnapshot) -> Iterator[_Finding]:
    stamp = _TIMESTAMP.fullmatch
    yield from _matching("snapshot.timestamp", [snapshot.timestamp], stamp, "20260601T000000Z or alike")
    yield from _matching("snapshot.url", [snapshot.url], _ARCHIVE_URL.fullmatch, "an archive's address")
    yield from _matching("snapshot.keyring", [snapshot.keyring], _KEYRING.fullmatch, "a keyring's path")
    parts = "a path below the address, a suite and components"
    yield from _matching("snapshot.archives", snapshot.archives, _ARCHIVE.fullmatch, parts)
    if not snapshot.archives:
        yield "snapshot.archives", "is empty", None


def _check_support(image: LockedImage) -> Iterator[_Finding]:
    if image.template is not None:
        yield "template", "own templates are not supported yet", "remove it; `run` adds steps"
    if image.python_provider not in _PROVIDERS:
        known = " or ".join(_PROVIDERS)
        yield "python_provider", f"{show(image.python_provider)} is not supported yet", known
    if (image.python_provider == "standalone") != (image.standalone is not None):
        yield "standalone", "an archive is there where Python is a standalone one, and only there", None
    elif image.standalone is not None and not all(map(image.standalone.find_archive, image.platforms)):
        yield "standalone", f"no archive of Python is there for {', '.join(image.platforms)}", None
    partial = [wheel.package for wheel in image.closure.wheels if wheel.is_built and wheel.platforms]
    if partial:
        yield (
            "build_from_source",
            f"{partial[0]} is built on some of the platforms alone, which is not supported yet",
            "make one image for each platform: a matrix with the axis `platforms`",
        )
    if image.os_packages and not has_apt(image):
        family = escaped(image.os_family)
        yield (
            "os",
            f"installing OS packages on {family} is not supported yet",
            "take a Debian or Ubuntu base, or a base that has the packages",
        )


def _check_values(image: LockedImage) -> Iterator[_Finding]:
    values = {
        "workdir": image.workdir,
        **{f"env.{name}": value for name, value in image.env.items()},
        **{f"labels.{name}": name + value for name, value in make_labels(image).items()},
        **{f"run[{number}]": step for number, step in enumerate(image.run)},
        **{f"command[{number}]": word for number, word in enumerate(image.command or ())},
        **{f"entrypoint[{number}]": word for number, word in enumerate(image.entrypoint or ())},
    }
    for key, value in values.items():
        unsafe = find_unsafe_character(value)
        if unsafe is not None:
            yield escaped(key), f"{unsafe} in {show(value)}", None
    totals = {
        **values,
        "command": "".join(image.command or ()),
        "entrypoint": "".join(image.entrypoint or ()),
    }
    for key, value in totals.items():
        size = len(value.encode("utf-8", "replace"))
        if size > MAXIMUM_BYTES:
            yield escaped(key), f"{size} bytes; at most {MAXIMUM_BYTES} fit", "put it into a file"


def _check_copies(image: LockedImage) -> Iterator[_Finding]:
    for number, copy in enumerate(image.copy):
        if copy.source.startswith("/") or ".." in copy.source.split("/"):
            yield f"copy[{number}].from", f"{show(copy.source)} leaves the project", None
        if not copy.target:
            yield f"copy[{number}].to", "is empty", None
        try:
            dump_copy(copy.source, copy.target)
            quote_ignore(copy.source)
        except UnsafeText as refusal:
            yield f"copy[{number}]", str(refusal), "rename it, or copy the directory that holds it"


def _has_template(name: str) -> bool:
    if _TEMPLATE.fullmatch(name) is None:
        return False
    return (find_resource("templates") / "frameworks" / f"{name}.j2").is_file()


def _is_reference(text: str) -> bool:
    try:
        parse_reference(text)
    except InvalidReference:
        return False
    return True


def _matching(
    key: str, values: Iterable[str], is_right: Callable[[str], object], meant: str
) -> Iterator[_Finding]:
    for value in values:
        if not is_right(value):
            yield key, f"{show(value)} is not {meant}", None
