"""Rows for new releases of the packages that go with a framework: what their METADATA says."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from cudaforge.matrix.companion import Companion
from cudaforge.matrix.sources import Strength
from cudaforge.refresher.model import FoundRelease, Proposal

if TYPE_CHECKING:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

FILE = "companions.toml"
_CLOSED = ("==", "===", "~=", "<", "<=")


def propose_companion(
    known: Companion, found: FoundRelease, requirements: Iterable[Requirement], installed_by: Collection[str]
) -> Proposal:
    """The row of a new release. `installed_by` are the packages that install the framework.

    METADATA that sets no upper limit says no more than that the package needs the framework: `needs` is
    left out then, and told as missing.
    """
    from packaging.utils import canonicalize_name

    entry: dict[str, object] = {"version": found.version}
    missing = []
    wanted = [
        one for one in requirements if canonicalize_name(one.name) in installed_by and one.marker is None
    ]
    needs = [one for one in wanted if any(clause.operator in _CLOSED for clause in one.specifier)]
    if needs:
        entry["needs"] = written(needs[0].specifier)
    else:
        said = ", ".join(str(one) for one in wanted) or f"no {known.framework}"
        missing.append(f"needs (its METADATA says {said})")
    if found.released is not None:
        entry["released"] = found.released
    if found.pythons:
        entry["pythons"] = " ".join(next(iter(found.pythons.values())))
    return Proposal(
        row=f"{known.framework} {known.package} {found.version}",
        file=FILE,
        table="companions",
        block={"framework": known.framework, "package": known.package, "role": known.role.value},
        entries=(entry,),
        strength=Strength.INDEX,
        basis=f"METADATA of a Linux wheel of {known.package} on the package index: Requires-Dist; release "
        "day and Pythons as the index lists its wheels",
        missing=tuple(missing),
    )


def written(specifier: SpecifierSet) -> str:
    """A set of limits as rows write it: the lower ones first."""
    order = [">=", ">", "~=", "==", "===", "!=", "<", "<="]
    clauses = sorted(specifier, key=lambda one: (order.index(one.operator), one.version))
    return ",".join(f"{one.operator}{one.version}" for one in clauses)
