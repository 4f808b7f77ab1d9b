"""The facts as they were on a day: without what was released later."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from cudaforge.matrix.days import was_there
from cudaforge.matrix.row_source import RowSource
from cudaforge.matrix.tables import Matrix

if TYPE_CHECKING:
    from cudaforge.matrix.companion import Companion, CompanionRole
    from cudaforge.matrix.model import FrameworkBuild, FrameworkImage, StandalonePython


class PastMatrix(Matrix):
    """What was released by the end of a day, as YYYY-MM-DD. The revision is that of all facts.

    Builds of frameworks, their packages and images, and standalone Pythons are left out where they are
    newer, or where their day is not known: it would be guessed. All else stays: it is chosen because of them.
    """

    day: str

    def __init__(self, rows: RowSource, day: str) -> None:
        super().__init__(rows)
        self.day = day
        self._past_builds: dict[str, tuple[FrameworkBuild, ...]] = {}

    def builds(self, framework: str) -> tuple[FrameworkBuild, ...]:
        """The builds of a framework by then."""
        if framework not in self._past_builds:
            every = super().builds(framework)
            self._past_builds[framework] = tuple(row for row in every if was_there(row.released, self.day))
        return self._past_builds[framework]

    def companions(self, framework: str, role: CompanionRole | None = None) -> tuple[Companion, ...]:
        """The packages of a framework by then; one of an unknown day is the package index's to date."""
        every = super().companions(framework, role)
        return tuple(row for row in every if row.released is None or was_there(row.released, self.day))

    @cached_property
    def framework_images(self) -> tuple[FrameworkImage, ...]:
        """The images with frameworks by then."""
        return tuple(row for row in super().framework_images if was_there(row.released, self.day))

    @cached_property
    def standalone_pythons(self) -> tuple[StandalonePython, ...]:
        """The standalone Pythons by then."""
        return tuple(row for row in super().standalone_pythons if was_there(row.released, self.day))
