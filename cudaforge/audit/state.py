"""What an image has in it while its Dockerfile is read, instruction by instruction."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from packaging.requirements import Requirement

from cudaforge.audit.bases import Base
from cudaforge.audit.dockerfile import Instruction
from cudaforge.audit.model import Unknown
from cudaforge.audit.shell import Command
from cudaforge.records import record
from cudaforge.versions import Version

ReadFile = Callable[[str], "str | None"]
"""The text of a file of the build context, by its path there; None where there is none."""


class Python:
    """One Python environment. Environments are the same only where they are one object."""

    def __init__(
        self,
        minor: str | None,
        provider: str,
        *,
        pip: Version | None = None,
        managed: bool = False,
        path: str | None = None,
    ) -> None:
        self.minor = minor
        self.provider = provider
        """`image`, `distro`, `added` (another minor than the distribution's), `conda`, `standalone`."""
        self.pip = pip
        """Its pip, where the facts say which."""
        self.managed = managed
        """Whether pip refuses to install into it (PEP 668)."""
        self.path = path
        """The directory of a virtual environment."""
        self.has_pip = provider != "added"
        self.is_used = False


@record()
class Origin:
    """Where an installer looks for packages."""

    index: str | None = None
    """The one index that replaces the default; None for the default."""
    extra: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    no_index: bool = False
    direct: bool = False
    """Whether the wheel is named by its address: no index is asked."""


@record()
class Install:
    """One requirement that an installer was given."""

    requirement: Requirement
    python: Python
    origin: Origin
    tool: str
    """`pip`, `uv` or `conda`."""
    line: int
    text: str
    """As it stands in the file."""
    file: str | None = None
    command: int = 0
    """Which installation it belongs to: what one command installs is resolved together."""
    upgrades: bool = False
    no_deps: bool = False
    prerelease: bool = False
    is_constraint: bool = False
    best_match: bool = True
    """Whether all indexes are looked at for the newest: pip does, uv takes the first that has the package."""
    pip: Version | None = None
    after_unread: bool = False
    """Whether with it, or before it, something was installed whose needs are not known."""
    copied_line: int | None = None
    """Where the files of another stage that have it were copied from."""


@record()
class Loose:
    """A finding-to-be that needs no more than the command that it stands in."""

    kind: str
    line: int
    text: str
    detail: str = ""
    is_certain: bool = True


@record()
class AptPackage:
    """A package of the operating system's archive."""

    name: str
    version: str | None
    line: int


class Image:
    """The state of one stage."""

    def __init__(self, base: Base | None, scope: Mapping[str, str | None]) -> None:
        self.base = base
        self.scope: dict[str, str | None] = dict(scope)
        self.needed: list[Base] = []
        """The bases of other stages that this one copies from."""
        self.env: dict[str, str] = {}
        self.env_lines: dict[str, int] = {}
        self.programs: dict[str, Python] = {}
        """Names that start a Python, or the pip of one."""
        self.venvs: dict[str, Python] = {}
        self.installs: list[Install] = []
        self.apt: list[AptPackage] = []
        self.loose: list[Loose] = []
        self.unknowns: list[Unknown] = []
        self.unread: set[Python] = set()
        """Pythons into which something was installed whose needs are not known."""
        self.unmanaged = False
        """Whether the file that PEP 668 looks for was removed, or pip told to go on."""
        self.files: dict[str, str | None] = {}
        """What was copied in: path in the image to path in the context, None where that is not known."""
        self.copies_all = False
        self.copies: list[tuple[str, str]] = []
        """From the context to the image, in order."""
        self.workdir = "/"
        self.directory: str | None = None
        """Where the shell of the present RUN went with `cd`; None for the working directory."""
        self.brought: list[str] = []
        """Directories that got files in a way that cannot be read: clones, copies from other images."""
        self.is_opaque = False
        """Whether a program ran of which it is not known what it leaves behind."""
        self.user: str | None = None
        self.shell: tuple[str, ...] = ("/bin/sh", "-c")
        self.command: Instruction | None = None
        self.entrypoint: Instruction | None = None
        self.counter = 0
        self.conda: Python | None = None
        self.removed_python = False
        self.links: dict[str, str] = {}
        self.platform: str | None = None
        """The platform that FROM fixes, whatever the build is for."""

    def child(self) -> Image:
        """The state of a stage that starts from this one."""
        new = Image(self.base, self.scope)
        new.env, new.env_lines = dict(self.env), dict(self.env_lines)
        new.programs, new.venvs = dict(self.programs), dict(self.venvs)
        new.installs, new.apt = list(self.installs), list(self.apt)
        new.loose, new.unknowns = list(self.loose), list(self.unknowns)
        new.unmanaged, new.files, new.copies_all = self.unmanaged, dict(self.files), self.copies_all
        new.workdir, new.user, new.shell = self.workdir, self.user, self.shell
        new.command, new.entrypoint, new.conda = self.command, self.entrypoint, self.conda
        new.platform = self.platform
        new.needed = list(self.needed)
        new.counter, new.copies = self.counter, list(self.copies)
        new.brought, new.is_opaque, new.links = list(self.brought), self.is_opaque, dict(self.links)
        new.unread = set(self.unread)
        return new

    def place(self, path: str) -> str:
        """The whole path of what a command names."""
        return normal_path(path if path.startswith("/") else f"{self.directory or self.workdir}/{path}")

    def may_have(self, path: str) -> bool:
        """Whether a file may be there although no COPY from the build context brings it."""
        inside = (path == one or path.startswith(f"{one.rstrip('/')}/") for one in self.brought)
        return self.is_opaque or self.base is None or not self.base.is_known or any(inside)

    def may_have_program(self, name: str) -> bool:
        """Whether a program may be on PATH although nothing that was understood brings it."""
        parts = (self.scope.get("PATH") or "").split(":")
        return self.is_opaque or any(self.may_have(f"{part}/{name}") for part in parts if part)

    def note_unknown(self, line: int, message: str) -> None:
        """Something that the audit cannot find out."""
        self.unknowns.append(Unknown(line=line, message=message))

    def note(self, kind: str, command: Command, text: str, detail: str = "") -> None:
        """Something that a rule looks at later."""
        self.loose.append(
            Loose(kind=kind, line=command.line, text=text, detail=detail, is_certain=command.is_certain)
        )

    def python_of(self, program: str) -> Python | None:
        """The environment that a program belongs to: by its path, or by what is first on PATH."""
        directory, _, name = program.rpartition("/")
        if directory:
            directory = self.place(directory)
            known = self.venvs.get(directory.removesuffix("/bin"))
            if known is not None:
                return known
            return self.programs.get(name) if directory in _SYSTEM_PATHS else None
        for part in (self.scope.get("PATH") or "").split(":"):
            venv = self.venvs.get(part.removesuffix("/").removesuffix("/bin"))
            if venv is not None and name.startswith(("python", "pip")):
                return venv
        return self.programs.get(name)


_SYSTEM_PATHS = ("/usr/bin", "/usr/local/bin", "/bin", "/opt/conda/bin")


def normal_path(path: str) -> str:
    """The path without `.`, `..` and doubled slashes."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
