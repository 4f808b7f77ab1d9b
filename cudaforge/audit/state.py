"""What an image has in it while its Dockerfile is read, instruction by instruction."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

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
        self.parent: Python | None = None
        """The Python that a virtual environment was made of, and starts."""
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
    backend: str | None = None
    """What uv was told with --torch-backend: the channel that all of PyTorch comes from."""
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
    after_unread: bool = False
    """Whether with it, or before it, something was installed whose needs are not known."""
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


def _nothing(_path: str) -> bool:
    return False


@dataclass(eq=False)
class Image:
    """The state of one stage."""

    base: Base | None
    scope: dict[str, str | None]
    needed: list[Base] = field(default_factory=list)
    """The bases of other stages that this one copies from."""
    env: dict[str, str] = field(default_factory=dict)
    env_lines: dict[str, int] = field(default_factory=dict)
    programs: dict[str, Python] = field(default_factory=dict)
    """Names that start a Python, or the pip of one."""
    venvs: dict[str, Python] = field(default_factory=dict)
    installs: list[Install] = field(default_factory=list)
    apt: list[AptPackage] = field(default_factory=list)
    loose: list[Loose] = field(default_factory=list)
    unknowns: list[Unknown] = field(default_factory=list)
    unread: set[Python] = field(default_factory=set)
    """Pythons into which something was installed whose needs are not known."""
    unmanaged: bool = False
    """Whether the file that PEP 668 looks for was removed, or pip told to go on."""
    files: dict[str, str | None] = field(default_factory=dict)
    """What was copied in: path in the image to path in the context, None where that is not known."""
    globs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Directories that got only files whose names match one of the patterns."""
    copies_all: bool = False
    copies: list[tuple[str, str]] = field(default_factory=list)
    """From the context to the image, in order."""
    moved: list[tuple[Python, str, int]] = field(default_factory=list)
    """Virtual environments that come from another stage, with their directory and the line of the COPY."""
    workdir: str = "/"
    directory: str | None = None
    """Where the shell of the present RUN went with `cd`; None for the working directory."""
    brought: list[str] = field(default_factory=list)
    """Directories that got files in a way that cannot be read: clones, copies from other images."""
    is_opaque: bool = False
    """Whether a program ran of which it is not known what it leaves behind."""
    user: str | None = None
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    command: Instruction | None = None
    entrypoint: Instruction | None = None
    counter: int = 0
    conda: Python | None = None
    """The base environment of conda."""
    conda_envs: dict[str, Python] = field(default_factory=dict)
    """Its others, by name."""
    conda_channels: list[str] = field(default_factory=list)
    """What `conda config` put before the channels of the installation."""
    ignored: Callable[[str], bool] = _nothing
    """Whether .dockerignore keeps a path of the context out."""
    removed_python: bool = False
    links: dict[str, str] = field(default_factory=dict)
    platform: str | None = None
    """The platform that FROM fixes, whatever the build is for."""

    def child(self) -> Image:
        """The state of a stage that starts from this one."""
        new = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | list | set):
                setattr(new, name, copy(value))
        new.directory, new.removed_python = None, False
        return new

    def place(self, path: str) -> str:
        """The whole path of what a command names."""
        return normal_path(path if path.startswith("/") else f"{self.directory or self.workdir}/{path}")

    def in_context(self, value: str) -> str | None:
        """The path in the build context of a file in the image; None for one that no COPY brings as it is."""
        place = self.place(value)
        if place in self.files:
            return self.files[place]
        for directory, source in self.files.items():
            if source is not None and place.startswith(f"{directory.rstrip('/')}/"):
                inside = place[len(directory.rstrip("/")) + 1 :]
                patterns = self.globs.get(directory)
                if patterns and not any(fnmatchcase(inside.partition("/")[0], one) for one in patterns):
                    continue
                return f"{source}/{inside}".strip("/")
        return None

    def overwrite(self, value: str) -> None:
        """A file of the image is written by a command: what it holds now cannot be read."""
        place = self.place(value)
        self.files[place] = None
        self.brought.append(place)

    def may_have(self, path: str) -> bool:
        """Whether a file may be there although no COPY from the build context brings it."""
        if self.base is not None and self.base.framework_image is not None and path.startswith("/etc/"):
            return True
        inside = (path == one or path.startswith(f"{one.rstrip('/')}/") for one in self.brought)
        return self.is_opaque or self.base is None or not self.base.is_known or any(inside)

    def may_have_program(self, name: str) -> bool:
        """Whether a program may be on PATH although nothing that was understood brings it."""
        parts = (self.scope.get("PATH") or "").split(":")
        return self.is_opaque or any(self.may_have(f"{part}/{name}") for part in parts if part)

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
        if path is None and not (
            is_elsewhere
            or self.copies_all
            or is_mounted
            or self.links.get(value)
            or self.may_have(self.place(value))
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
            directory = self.place(directory)
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
