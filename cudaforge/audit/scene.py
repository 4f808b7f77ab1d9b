"""What rules look at, and how they say what they found."""

from __future__ import annotations

import re
from functools import cached_property

from cudaforge.audit.bases import Base
from cudaforge.audit.dockerfile import Dockerfile
from cudaforge.audit.loaded import SystemCuda
from cudaforge.audit.model import Asked, Finding, Fix, Severity, Unknown
from cudaforge.audit.names import normal
from cudaforge.audit.outcome import Installed, Outcome
from cudaforge.audit.state import Image, Install
from cudaforge.codes import Code
from cudaforge.matrix.tables import Matrix
from cudaforge.records import replace
from cudaforge.versions import Version

_NO_DEVICES = ("", "-1", "none", "NoDevFiles")
_GPU_NAME = re.compile(r"(^|[-_\[,])(gpu|cuda\d*|and-cuda|cu1\dx?)\b|-gpu$|-cu\d+$|-cuda\d+x$")


class Scene:
    """One image with all that was inferred, and the findings so far."""

    def __init__(
        self,
        *,
        matrix: Matrix,
        asked: Asked,
        dockerfile: Dockerfile,
        image: Image,
        outcome: Outcome,
        system: SystemCuda,
    ) -> None:
        self.matrix, self.asked, self.dockerfile = matrix, asked, dockerfile
        self.image, self.outcome, self.system = image, outcome, system
        self.findings: list[Finding] = []
        self.unknowns: list[Unknown] = list(image.unknowns)

    @property
    def base(self) -> Base:
        """The base image of the final stage."""
        assert self.image.base is not None  # noqa: S101 -- every stage begins with FROM
        return self.image.base

    def error(self, code: Code, line: int, message: str, source: str, **more: object) -> None:
        """What breaks the image."""
        self._add(code, Severity.ERROR, line, message, source, **more)

    def warn(self, code: Code, line: int, message: str, source: str, **more: object) -> None:
        """What will hurt, or may."""
        self._add(code, Severity.WARNING, line, message, source, **more)

    def note(self, code: Code, line: int, message: str, source: str, **more: object) -> None:
        """What is good to know."""
        self._add(code, Severity.NOTE, line, message, source, **more)

    def _add(
        self, code: Code, severity: Severity, line: int, message: str, source: str, **more: object
    ) -> None:
        fix, advice, file = more.get("fix"), more.get("advice"), more.get("file")
        finding = Finding(
            code=code,
            severity=severity,
            line=line,
            message=message,
            source=source,
            fix=fix if isinstance(fix, Fix) else None,
            advice=advice if isinstance(advice, str) else None,
            file=file if isinstance(file, str) else None,
        )
        if not any(
            (one.code, one.line, one.message) == (finding.code, finding.line, finding.message)
            for one in self.findings
        ):
            self.findings.append(finding)

    def unknown(self, line: int, message: str) -> None:
        """What is not known."""
        if not any(one.message == message for one in self.unknowns):
            self.unknowns.append(Unknown(line=line, message=message))

    def mend(self, line: int, old: str, new: str) -> Fix | None:
        """The fix of a line of the Dockerfile, where the old text stands there; None where it does not."""
        lines = self.dockerfile.lines
        if old and old != new and 0 < line <= len(lines) and old in lines[line - 1]:
            return Fix(line=line, old=old, new=new)
        return None

    def mend_install(self, install: Install, new: str) -> Fix | None:
        """The fix of a requirement, where it stands in the Dockerfile itself."""
        if install.file is not None:
            return None
        text = self.dockerfile.lines[install.line - 1] if install.line <= len(self.dockerfile.lines) else ""
        quoted = next(
            (f"{mark}{install.text}{mark}" for mark in "\"'" if f"{mark}{install.text}{mark}" in text), None
        )
        old = quoted or install.text
        wanted = f'"{new}"' if set(new) & set("<>[]!~*;") or quoted else new
        return self.mend(install.line, old, wanted) if _stands_alone(text, old) else None

    def mend_install_with(self, install: Install, option: str) -> Fix | None:
        """The fix that gives the installer an option more, behind the requirement."""
        line = self.dockerfile.lines[install.line - 1] if install.line <= len(self.dockerfile.lines) else ""
        quoted = next(
            (f"{mark}{install.text}{mark}" for mark in "\"'" if f"{mark}{install.text}{mark}" in line), None
        )
        old = quoted or install.text
        return self.mend(install.line, old, f"{old} {option}") if _stands_alone(line, old) else None

    def base_fix(self, new: str, base: Base | None = None) -> Fix | None:
        """The fix that puts another image in the place of a base; of that of the image itself without one."""
        base = base or self.base
        fix = self.mend(base.line, base.text, new)
        if fix is not None or not base.text:
            return fix
        return self._arg_fix(base.text, new)

    def _arg_fix(self, text: str, new: str) -> Fix | None:
        """Where the reference is put together of ARGs: the one that holds the tag, or all of it."""
        for one in self.dockerfile.instructions:
            if one.keyword == "FROM":
                break
            name, _, value = one.text.strip().partition("=")
            value = value.strip("\"'")
            if one.keyword == "ARG" and value and name not in self.asked.build_args:
                if value == text:
                    return self.mend(one.line, value, new)
                prefix, suffix = text.partition(value)[0], text.partition(value)[2]
                middle = new.removeprefix(prefix)
                if len(value) > 3 and value in text and new.startswith(prefix) and new.endswith(suffix):  # noqa: PLR2004
                    return self.mend(
                        one.line, value, middle[: len(middle) - len(suffix)] if suffix else middle
                    )
        return None

    @cached_property
    def embedded(self) -> frozenset[Version]:
        """The capabilities of GPUs that are built into boards, such as Jetson."""
        return frozenset(gpu.capability for gpu in self.matrix.gpus if gpu.kind == "embedded")

    @cached_property
    def refuses_gpu(self) -> int | None:
        """The line on which the image hides all GPUs from itself."""
        for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
            value = self.image.env.get(name)
            if value is not None and value in (*_NO_DEVICES, "void"):
                return self.image.env_lines.get(name, 1)
        return None

    @cached_property
    def wants_gpu(self) -> bool:
        """Whether the image is meant for GPUs: by what was asked, its base, its settings or its packages."""
        if self.refuses_gpu is not None:
            return False
        if self.asked.gpus or self.asked.driver is not None or self.base.cuda is not None:
            return True
        if "NVIDIA_VISIBLE_DEVICES" in self.image.env or self.system.is_installed:
            return True
        return any(
            _GPU_NAME.search(normal(one.requirement.name))
            or any(map(_GPU_NAME.search, one.requirement.extras))
            for one in self.image.installs
        )

    def installed(self) -> tuple[Installed, ...]:
        """The frameworks that the image ends up with."""
        return tuple(self.outcome.installed.values())


def where(install: Install | None, scene: Scene) -> tuple[int, str | None]:
    """The line of an installation, and the file that it counts in."""
    if install is None:
        return scene.base.line, None
    return install.line, install.file


def at_install(finding: Finding, file: str | None) -> Finding:
    """The finding with the file that its line counts in."""
    return replace(finding, file=file)


def _stands_alone(line: str, text: str) -> bool:
    """Whether the text stands once in the line, as a word of its own."""
    return len(re.findall(rf"(?<![\w.\[-]){re.escape(text)}(?![\w.\[<>=!~-])", line)) == 1


def title(installed: Installed, scene: Scene) -> str:
    """A framework with its version, as people name it."""
    framework = scene.matrix.frameworks[installed.framework]
    reported = installed.build.reported if installed.build is not None else installed.version.text
    return f"{framework.title} {reported}"
