"""What came of the installations of an image: its frameworks, and what went wrong."""

from __future__ import annotations

from cudaforge.audit.choice import Choice
from cudaforge.audit.conda_choice import CondaOutcome
from cudaforge.audit.state import Install, Python
from cudaforge.matrix.companion import Companion
from cudaforge.matrix.model import FrameworkBuild
from cudaforge.records import record
from cudaforge.versions import Version


@record()
class Installed:
    """A framework as the image has it."""

    framework: str
    version: Version
    build: FrameworkBuild | None
    """None where the version is known and its build is not."""
    install: Install | None
    """None where the base image brings it."""
    python: Python | None = None
    is_pinned: bool = True
    is_by_companion: str | None = None
    """The package that brought it, where none asked for it by name."""


@record()
class Swap:
    """A framework that a later installation replaces."""

    before: Installed
    after: Installed
    by: Install


@record()
class Failure:
    """An installation of a framework that cannot be done, or of which nothing is known."""

    framework: str
    install: Install
    choice: Choice


@record()
class Clash:
    """A package that does not go with the framework that it is installed with or beside."""

    row: Companion
    install: Install
    framework: Installed
    is_impossible: bool
    """Whether the installer refuses; else it leaves a pair that does not go together."""


class Outcome:
    """What came of all installations."""

    def __init__(self) -> None:
        self.installed: dict[str, Installed] = {}
        self.swaps: list[Swap] = []
        self.failures: list[Failure] = []
        self.clashes: list[Clash] = []
        self.conda: list[CondaOutcome] = []
        self.extras: list[tuple[Install, Choice]] = []
        self.unknown_companions: list[Install] = []
        self.unproven_companions: list[tuple[Install, Companion]] = []
        """Packages that pip compiles for the framework there is, whatever their makers go by."""
        self.unresolved: set[str] = set()
        """Frameworks that are installed, with a version that is not known."""
