"""Packages that go with a framework: with which of its releases, and how that is known."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING

from cudaforge.matrix.days import was_there
from cudaforge.matrix.sources import Source
from cudaforge.records import record, replace
from cudaforge.versions import Version, VersionWish

if TYPE_CHECKING:
    from cudaforge.matrix.model import FrameworkBuild


class CompanionRole(str, Enum):
    """What a companion is to its framework."""

    COMPANION = "companion"
    """Released for it: where the package is in a closure, nothing moves it from this version."""
    DEPENDENCY = "dependency"
    """Required by the framework's own metadata (`triton`, `keras`)."""
    EXTENSION = "extension"
    """Compiled against it (`vllm`, `xformers`): vetoes every other release."""


class Abi(str, Enum):
    """Which of a framework's interfaces the binaries of a package use."""

    FRAMEWORK = "framework"
    """Those of the release that it was compiled against: no later one has to have them."""
    STABLE = "stable"
    """Those that later releases keep."""
    NONE = "none"
    """None: it has no binaries that use the framework's."""


@record()
class Companion:
    """A release of a package that goes with some releases of a framework and with no others."""

    framework: str
    package: str
    """Normalised name: `torchvision`."""
    version: Version
    needs: VersionWish
    """The framework releases that it works with, by its own metadata."""
    role: CompanionRole
    abi: Abi = Abi.FRAMEWORK
    source_only: bool = False
    """Whether the package index has it as a source archive alone."""
    pythons: tuple[str, ...] = ()
    """Minor versions that it has wheels for; empty where nobody has looked."""
    released: str | None = None
    until: Version | None = None
    """Where `is_open`: the newest release of the framework by the day that it was released; None where the
    days of both are not known. The matrix fills it in."""
    source: Source

    @property
    def is_open(self) -> bool:
        """Whether it is compiled against one release, and its metadata sets no upper limit: that says
        nothing of the releases that came after it."""
        is_compiled = self.abi is Abi.FRAMEWORK and self.role is not CompanionRole.DEPENDENCY
        return is_compiled and not self.needs.has_ceiling

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows which releases it goes with."""
        return self.is_open and self.until is None

    @property
    def fits(self) -> str:
        """The releases that it goes with, as a limit: `>=2.1.1,<=2.1.2`."""
        return f"{self.needs},<={self.until}" if self.is_open and self.until is not None else str(self.needs)

    def goes_with(self, version: Version) -> bool:
        """Whether it is known to go with that release of the framework."""
        if not self.needs.allows(version):
            return False
        return not self.is_open or (self.until is not None and version <= self.until)


def dated(row: Companion, builds: Iterable[FrameworkBuild]) -> Companion:
    """The row with the newest of the framework's releases that was there on its day, of those that it allows:
    no pre-release."""
    there = [
        one.version
        for one in builds
        if row.released is not None
        and was_there(one.released, row.released)
        and row.needs.allows(one.version)
    ]
    return replace(row, until=max((one for one in there if not one.is_prerelease), default=None))
