"""What wheels require by their METADATA: from the file beside a wheel (PEP 658), else out of the wheel itself
by ranges, without the rest of it."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from cudaforge.errors import Problem
from cudaforge.refresher.model import WheelFile
from cudaforge.web import Client, RemoteFile, Unreachable
from cudaforge.web.client import OK, shown
from cudaforge.web.remote import as_stream

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MEMBER = re.compile(r"[^/]+\.dist-info/METADATA")
_MAX_BODY = 4 * 1024 * 1024


def read_requirements(client: Client, wheel: WheelFile) -> tuple[Requirement, ...]:
    """The `Requires-Dist` of a wheel; what is none is left out. Raises Unreachable."""
    from packaging.requirements import InvalidRequirement, Requirement

    found = []
    for line in _read(client, wheel).decode("utf-8", "replace").split("\n\n", 1)[0].splitlines():
        key, _, text = line.partition(":")
        if key.lower() == "requires-dist":
            try:
                found.append(Requirement(text.strip()))
            except InvalidRequirement:
                continue
    return tuple(found)


def _read(client: Client, wheel: WheelFile) -> bytes:
    if wheel.has_metadata:
        answer = client.get(f"{wheel.url}.metadata", max_body=_MAX_BODY)
        if answer.status == OK:
            return answer.body
    remote = RemoteFile(client, wheel.url)
    try:
        with zipfile.ZipFile(as_stream(remote)) as archive:
            members = [info for info in archive.infolist() if _MEMBER.fullmatch(info.filename)]
            if len(members) != 1 or members[0].file_size > _MAX_BODY:
                raise Unreachable(Problem(what=f"{shown(wheel.url)} has no METADATA that can be read"))
            return archive.read(members[0])
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
        what = f"{shown(wheel.url)} is no wheel that can be read ({type(error).__name__})"
        raise Unreachable(Problem(what=what)) from None


def applying(
    requirements: Iterable[Requirement], *, extras: Iterable[str], platform: str, python: str
) -> Iterator[Requirement]:
    """Those of the requirements that hold on Linux, for a platform, a Python and some extras."""
    machine = _MACHINES[platform]
    for one in requirements:
        if one.marker is None or any(
            one.marker.evaluate(_place(machine, python, extra)) for extra in (*extras, "")
        ):
            yield one


def exact(requirement: Requirement) -> str | None:
    """The version that a requirement pins, without a local label; None where it does not pin one."""
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator not in ("==", "==="):
        return None
    version = specifiers[0].version
    return None if "*" in version else version.partition("+")[0]


_MACHINES: Mapping[str, str] = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


def _place(machine: str, python: str, extra: str) -> dict[str, str]:
    minor = python.rstrip("t")
    return {
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "platform_machine": machine,
        "python_version": minor,
        "python_full_version": f"{minor}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": extra,
    }
