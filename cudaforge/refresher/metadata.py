"""What wheels require by their METADATA: from the file beside a wheel (PEP 658), else out of the wheel itself
by ranges, without the rest of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cudaforge.errors import Problem
from cudaforge.measurer import Malformed
from cudaforge.measurer.archive import Archive
from cudaforge.measurer.metadata import parse_metadata, read_metadata
from cudaforge.refresher.model import WheelFile
from cudaforge.web import Client, RemoteFile, Unreachable
from cudaforge.web.client import OK

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MAX_BODY = 4 * 1024 * 1024


def read_requirements(client: Client, wheel: WheelFile) -> tuple[Requirement, ...]:
    """The `Requires-Dist` of a wheel; what is none is left out. Raises Unreachable."""
    try:
        if wheel.has_metadata:
            answer = client.get(f"{wheel.url}.metadata", max_body=_MAX_BODY)
            if answer.status == OK:
                return parse_metadata(answer.body.decode("utf-8", "replace")).requires
        return read_metadata(Archive(RemoteFile(client, wheel.url))).requires
    except Malformed as error:
        raise Unreachable(Problem(what=f"{wheel.filename} on the index cannot be read: {error}")) from None


def exact(requirement: Requirement) -> str | None:
    """The version that a requirement pins, without a local label; None where it does not pin one."""
    clauses = list(requirement.specifier)
    if len(clauses) != 1 or clauses[0].operator not in ("==", "==="):
        return None
    version = clauses[0].version
    return None if "*" in version else version.partition("+")[0]
