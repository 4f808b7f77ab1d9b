"""What an image has in it while its Dockerfile is read, instruction by instruction."""

from __future__ import annotations

import re
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
class CondaRequest:
    """What conda is asked for in one command, beside the one package that it stands at."""

    specs: Mapping[str, tuple[str, str]]
    """Package to the version and the build that are wished."""
    channels: tuple[str, ...]
    """In the order in which they count."""
    is_closed: bool
    """Whether these are all: else the channels of the installation follow."""
    driver: str | None
    """What CONDA_OVERRIDE_CUDA says of the driver that a build does not have."""
    package: str = ""
    build: str = ""
    is_clear: bool = True
    """Whether its version could be read."""


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
    copied_line: int | None = None
    """Where the files of another stage that have it were copied from."""
    conda: CondaRequest | None = None
    """What more conda was asked for, where it installs."""


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
        self.env: dict[str, str] = {}
        self.env_lines: dict[str, int] = {}
        self.programs: dict[str, Python] = {}
        """Names that start a Python, or the pip of one."""
        self.venvs: dict[str, Python] = {}
        self.installs: list[Install] = []
        self.apt: list[AptPackage] = []
        self.loose: list[Loose] = []
        self.unknowns: list[Unknown] = []
        self.unmanaged = False
        """Whether the file that PEP 668 looks for was removed, or pip told to go on."""
        self.files: dict[str, str | None] = {}
        """What was copied in: path in the image to path in the context, None where that is not known."""
        self.copies_all = False
        self.copies: list[tuple[str, str]] = []
        """From the context to the image, in order."""
        self.workdir = "/"
        self.user: str | None = None
        self.shell: tuple[str, ...] = ("/bin/sh", "-c")
        self.command: Instruction | None = None
        self.entrypoint: Instruction | None = None
        self.counter = 0
        self.conda: Python | None = None
        """The base environment of conda."""
        self.conda_envs: dict[str, Python] = {}
        """Its others, by name."""
        self.conda_channels: list[str] = []
        """What `conda config` put before the channels of the installation."""
        self.ignored: Callable[[str], bool] = _nothing
        """Whether .dockerignore keeps a path of the context out."""
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
        new.counter, new.copies = self.counter, list(self.copies)
        new.conda_envs, new.conda_channels = dict(self.conda_envs), list(self.conda_channels)
        new.ignored = self.ignored
        return new

    def note_unknown(self, line: int, message: str) -> None:
        """Something that the audit cannot find out."""
        self.unknowns.append(Unknown(line=line, message=message))

    def note_condition(self, command: Command, what: str) -> None:
        """What a condition of the shell decides, that cannot be decided from the file."""
        on = f"the condition {command.condition}" if command.condition else "a condition of the shell"
        self.note_unknown(command.line, f"{what} depends on {on}")

    def note_missing(self, value: str, line: int, path: str | None, *, is_mounted: bool) -> None:
        """A file that is to be installed from and that cannot be read: a finding where it cannot be there."""
        command = Command(words=(), line=line, assignments={})
        if path is not None and self.ignored(path):
            self.note("ignored-file", command, value, detail=path)
            return
        is_elsewhere = value in ("$", "-", "/dev/stdin") or value.startswith(("http://", "https://"))
        may_be_written = value.startswith(("/tmp/", "/root/", "/opt/")) and not self.files  # noqa: S108 -- a name in an image
        if path is None and not (
            is_elsewhere or self.copies_all or is_mounted or self.links.get(value) or may_be_written
        ):
            self.note("no-file", command, value)
            return
        self.note_unknown(line, f"what {value[:60]} requires is not known")

    def note(self, kind: str, command: Command, text: str, detail: str = "") -> None:
        """Something that a rule looks at later."""
        self.loose.append(
            Loose(kind=kind, line=command.line, text=text, detail=detail, is_certain=command.is_certain)
        )

    def python_of(self, program: str) -> Python | None:
        """The environment that a program belongs to: by its path, or by what is first on PATH."""
        directory, _, name = program.rpartition("/")
        if directory:
            plain = directory.removesuffix("/bin")
            known = self.venvs.get(plain) or self._conda_env(plain)
            if known is not None:
                return known
            return self.programs.get(name) if directory in _SYSTEM_PATHS else None
        for part in (self.scope.get("PATH") or "").split(":"):
            directory = part.removesuffix("/").removesuffix("/bin")
            venv = self.venvs.get(directory) or self._conda_env(directory)
            if venv is not None and name.startswith(("python", "pip")):
                return venv
        return self.programs.get(name)

    def _conda_env(self, directory: str) -> Python | None:
        """The environment of conda in a directory: by its name, or the base where conda itself is."""
        parent, _, name = directory.rpartition("/")
        if parent.endswith("/envs"):
            return self.conda_envs.get(name)
        return self.conda if re.search(r"conda\d?|forge\d?$|mamba", name) else None


def _nothing(path: str) -> bool:
    del path
    return False


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
