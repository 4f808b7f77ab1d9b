"""Findings about Python, pip and what they cannot install."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from cudaforge.audit.choice import Why, is_pinned, needed_tag
from cudaforge.audit.names import channels, main_name, nearest_index, normal, serves
from cudaforge.audit.outcome import Failure
from cudaforge.audit.scene import Scene, where
from cudaforge.audit.state import Install, Loose, Python
from cudaforge.codes import Code
from cudaforge.matrix.model import FrameworkBuild
from cudaforge.matrix.sources import Strength
from cudaforge.versions import Version

_PROGRAM = re.compile(r"(?:\S*/)?(python(?:3(?:\.\d+)?)?)")


def check(scene: Scene) -> None:
    """All of them."""
    for failure in scene.outcome.failures:
        _failure(scene, failure)
    for loose in scene.image.loose:
        _loose(scene, loose)
    _started(scene)


def _failure(scene: Scene, failure: Failure) -> None:
    install, choice = failure.install, failure.choice
    if any(
        one.code is Code.INDEX_DOES_NOT_EXIST and one.line in (install.line, *_lines_of(scene, install))
        for one in scene.findings
    ):
        return
    asked = install.text or str(install.requirement)
    why = choice.why or Why.RELEASE_UNKNOWN
    if why in _TOLD:
        _TOLD[why](scene, failure)
    else:
        scene.unknown(install.line, f"{asked}: {_UNKNOWN[why]} ({scene.asked.as_of})")


_UNKNOWN = {
    Why.RELEASE_UNKNOWN: "the facts know no such release",
    Why.NOT_YET: "not yet released on that day",
    Why.PYTHON_UNKNOWN: "which Python installs it is not known",
    Why.INDEX_UNKNOWN: "what its index has is not known",
    Why.EXTRA_UNKNOWN: "which build its extras give is not known",
}


def _lines_of(scene: Scene, install: Install) -> tuple[int, ...]:
    """The lines of the instruction that an installation stands in."""
    for one in scene.dockerfile.instructions:
        if one.line <= install.line <= one.end:
            return tuple(range(one.line, one.end + 1))
    return ()


def _source(builds: tuple[FrameworkBuild, ...]) -> str:
    return builds[-1].source.citation() if builds else "the metadata of the wheels"


def _python(scene: Scene, failure: Failure) -> None:
    install, near = failure.install, failure.choice.near
    line, file = where(install, scene)
    minors = sorted({minor for one in near for minor in one.pythons if not minor.endswith("t")}, key=Version)
    scene.error(
        Code.PYTHON_UNSUPPORTED,
        line,
        f"{install.text or install.requirement} has no wheel for Python {install.python.minor}: "
        f"it has them for {', '.join(minors)}",
        _source(near),
        file=file,
        advice=f"use Python {minors[-1]}, or a release that has wheels for {install.python.minor}",
    )


def _platform(scene: Scene, failure: Failure) -> None:
    install, near = failure.install, failure.choice.near
    line, file = where(install, scene)
    platforms = sorted({platform for one in near for platform in one.platforms})
    scene.error(
        Code.NO_WHEEL_FOR_ARCH,
        line,
        f"{install.text or install.requirement} has no wheel for {scene.asked.platform}: "
        f"only for {', '.join(platforms)}",
        _source(near),
        file=file,
        advice="take an index or a release that has wheels for that platform",
    )


def _build(scene: Scene, failure: Failure) -> None:
    install, near, why = failure.install, failure.choice.near, failure.choice.why
    line, file = where(install, scene)
    looked = channels(scene.matrix, install)
    if any(one.source.strength is Strength.INFERRED for one in near):
        scene.unknown(line, f"{install.text}: builds of that release are known only by inference")
        return
    label = next(
        (one.version.partition("+")[2] for one in install.requirement.specifier if "+" in one.version), ""
    )
    indexes = {
        row.name: row.url
        for row in scene.matrix.indexes.values()
        if any(serves(row.name, build) and (not label or build.build == label) for build in near)
    }
    if _is_skipped(scene, failure):
        return
    have = ", ".join(sorted({build.build for build in near}))
    if why is Why.INDEX:
        url = next(iter(indexes.values()), None)
        at = "the common index" if looked.default else ", ".join(looked.named) or "its index"
        scene.error(
            Code.WRONG_INDEX,
            line,
            f"{install.text or install.requirement} is not on {at}"
            + (f": {url} has it" if url else "; the common index has it"),
            _source(near),
            file=file,
            fix=_index_fix(scene, install, url) if file is None else None,
            advice=f"--extra-index-url {url}" if url else "leave the index out for it",
        )
        return
    scene.error(
        Code.NO_SUCH_BUILD,
        line,
        f"{install.text or install.requirement} has no such build"
        + (f" on {', '.join(looked.named)}" if looked.named else "")
        + f": it was built for {have}",
        _source(near),
        file=file,
        advice="; ".join(sorted(indexes.values())[-2:]) or None,
    )


def _is_skipped(scene: Scene, failure: Failure) -> bool:
    """Says so where the framework has the release, and the package of that name does not."""
    install, near, name = failure.install, failure.choice.near, normal(failure.install.requirement.name)
    own = sorted({one.version for one in scene.matrix.builds(failure.framework) if main_name(one)[0] == name})
    if not own or not near or any(main_name(one)[0] == name for one in near):
        return False
    before = [one.text for one in own if one < near[0].version][-1:]
    after = [one.text for one in own if one > near[0].version][:1]
    line, file = where(install, scene)
    scene.error(
        Code.NO_SUCH_BUILD,
        line,
        f"{name} {near[0].version} is not on the index: the nearest: {', '.join(before + after)}",
        _source(near),
        file=file,
        advice=f"install {name}=={(after or before)[0]}",
    )
    return True


def _index_fix(scene: Scene, install: Install, url: str | None) -> object:
    if url is None or install.origin.index is not None:
        return None
    return scene.mend_install_with(install, f"--extra-index-url {url}")


def _glibc(scene: Scene, failure: Failure) -> None:
    install, near = failure.install, failure.choice.near
    line, file = where(install, scene)
    needed = min((one.glibc for one in near), default=None)
    if failure.choice.why is Why.MUSL:
        has = f"{scene.base.text} has musl instead"
    else:
        systems = scene.base.systems
        has = f"{systems[0].id} has {systems[0].glibc}" if systems else "the image has an older one"
    scene.error(
        Code.GLIBC_TOO_OLD,
        line,
        f"{install.text or install.requirement} needs glibc {needed}, and {has}",
        f"{_source(near)} {scene.base.source}",
        file=file,
        advice="start from a newer system"
        if failure.choice.why is Why.GLIBC
        else "start from Debian or Ubuntu",
    )


def _pip(scene: Scene, failure: Failure) -> None:
    install, near = failure.install, failure.choice.near
    line, file = where(install, scene)
    tag = needed_tag(scene.matrix, near[-1]) if near else None
    if tag is None:
        return
    scene.error(
        Code.PIP_TOO_OLD,
        line,
        f"pip {install.pip} of the system does not see {tag.tag} wheels, which "
        f"{install.text or install.requirement} has: pip {tag.pip} does",
        tag.source.citation(),
        file=file,
        fix=_upgrade_fix(scene, install),
        advice="upgrade pip before: pip install --upgrade pip",
    )


def _upgrade_fix(scene: Scene, install: Install) -> object:
    if install.file is not None or install.line > len(scene.dockerfile.lines):
        return None
    match = re.search(
        r"(?:^RUN\s+|&&\s*)((?:python3? -m )?pip3? install)\b", scene.dockerfile.lines[install.line - 1]
    )
    if match is None:
        return None
    return scene.mend(install.line, match[1], f"{match[1]} --upgrade pip && {match[1]}")


def _loose(scene: Scene, loose: Loose) -> None:
    if not loose.is_certain:
        return
    base = scene.base
    match loose.kind:
        case "no-python":
            scene.error(
                Code.PYTHON_MISSING,
                loose.line,
                f"{loose.text}: nothing before this line installs it, and {base.text} does not have it",
                base.source,
                advice="install python3 and python3-pip before, or start from an image with Python",
            )
        case "no-pip":
            scene.error(
                Code.PYTHON_MISSING,
                loose.line,
                f"{loose.text}: Python {loose.detail} is there without pip",
                base.source,
                advice="install python3-pip, too; for a Python that was added, run get-pip.py with it",
            )
        case "pep668":
            scene.error(
                Code.PEP668,
                loose.line,
                f"{loose.text} refuses to install into the system's Python {loose.detail} "
                f"(externally-managed-environment)",
                base.source,
                fix=_break_fix(scene, loose.line),
                advice="use a virtual environment, or --break-system-packages",
            )
        case "no-ensurepip":
            scene.error(
                Code.PYTHON_MISSING,
                loose.line,
                f"{loose.text} -m venv fails: ensurepip is not available without {loose.detail}",
                "Debian and Ubuntu, package python3-venv: it has the ensurepip that venv needs",
                advice=f"apt-get install {loose.detail} before, or use virtualenv",
            )
        case "no-venv":
            options = "--system --break-system-packages" if loose.detail else "--system"
            scene.error(
                Code.PYTHON_MISSING,
                loose.line,
                f"{loose.text} finds no virtual environment, and takes no other Python unless it is told to",
                "uv, the pip interface: it installs into virtual environments by default",
                fix=scene.mend(loose.line, "uv pip install", f"uv pip install {options}"),
                advice=f"make one before (uv venv), or install with {options}",
            )
        case "redirect":
            _redirect(scene, loose)
        case "no-file":
            scene.error(
                Code.REQUIREMENTS_NOT_VISIBLE,
                loose.line,
                f"{loose.text} is not in the image: no COPY before this line brings it",
                "the Dockerfile reference: a RUN sees what was copied before it",
                advice=f"COPY {loose.text.rpartition('/')[2]} before",
            )
        case "ignored-file":
            scene.error(
                Code.REQUIREMENTS_NOT_VISIBLE,
                loose.line,
                f"{loose.detail} is not in the build context: .dockerignore keeps it out",
                ".dockerignore next to the Dockerfile",
                advice=f"write !{loose.detail} at the end of .dockerignore",
            )
        case _:
            pass


_TOLD: Mapping[Why, Callable[[Scene, Failure], None]] = {
    Why.PYTHON: _python,
    Why.PLATFORM: _platform,
    Why.BUILD: _build,
    Why.INDEX: _build,
    Why.GLIBC: _glibc,
    Why.MUSL: _glibc,
    Why.PIP: _pip,
}


def _break_fix(scene: Scene, line: int) -> object:
    text = scene.dockerfile.lines[line - 1] if line <= len(scene.dockerfile.lines) else ""
    match = re.search(r"\bpip3? install\b", text)
    return scene.mend(line, match[0], f"{match[0]} --break-system-packages") if match else None


def _redirect(scene: Scene, loose: Loose) -> None:
    document = "POSIX shell: an unquoted < or > redirects"
    if loose.detail == "<":
        message = f"the shell takes {loose.text} for a redirection and fails: there is no such file"
        tell = scene.error
    else:
        message = f"the shell takes {loose.text} for a redirection into a file: the limit is not seen"
        tell = scene.warn
    tell(
        Code.SHELL_REDIRECT,
        loose.line,
        message,
        document,
        fix=scene.mend(loose.line, loose.text, f'"{loose.text}"'),
        advice="quote it",
    )


def _started(scene: Scene) -> None:
    """The Python that the container starts has what was installed."""
    for one in (scene.image.entrypoint, scene.image.command):
        if one is None:
            continue
        words = one.exec_form or tuple(one.text.split())
        match = _PROGRAM.fullmatch(words[0]) if words else None
        if match is None:
            continue
        _program(scene, words[0], one.line)
        return


def _program(scene: Scene, program: str, line: int) -> None:
    base = scene.base
    python = scene.image.python_of(program)
    used = [one for one in scene.image.installs if not one.is_constraint]
    if python is None:
        knows_all = (
            base.is_known and base.python is None and not base.contents and base.framework_image is None
        )
        is_open = (
            scene.image.may_have_program(program)
            or scene.image.conda is not None
            or "uv" in scene.image.links
            or program.startswith("/")
        )
        others = {one.rpartition("/")[2] for one in scene.image.programs}
        if knows_all and not is_open and others & {"python3", "pip3"} and "uv-python" not in others:
            scene.error(
                Code.PYTHON_MISSING,
                line,
                f"{program} is not in the image: {'python3 is' if 'python3' in others else 'no Python is'}",
                base.source,
                fix=scene.mend(line, f'"{program}"', '"python3"')
                or scene.mend(line, f"{program} ", "python3 "),
                advice="start python3, or install python-is-python3",
            )
        return
    _mismatch(scene, program, python, used, line)


def _mismatch(scene: Scene, program: str, python: Python, used: list[Install], line: int) -> None:
    named = {one.install.python for one in scene.installed() if one.install is not None}
    if not named or python in named or python.minor is None:
        return
    other = next(iter(named))
    if other.minor is None or (other.minor == python.minor and other.path is None and python.path is None):
        return
    install = next(one for one in used if one.python is other)
    scene.error(
        Code.PYTHON_PIP_MISMATCH,
        line,
        f"{program} is Python {python.minor}{_of(python)}, and {normal(install.requirement.name)} was "
        f"installed into Python {other.minor}{_of(other)} (line {install.copied_line or install.line})",
        scene.base.source,
        advice=f"install with {program} -m pip, or start the Python that has the packages",
    )


def _of(python: Python) -> str:
    return f" in {python.path}" if python.path else ""


def is_open_ended(install: Install) -> bool:
    """Whether a requirement lets in any newer release."""
    if is_pinned(install):
        return False
    return not any(
        one.operator in ("<", "<=", "~=") or (one.operator == "==" and one.version.endswith(".*"))
        for one in install.requirement.specifier
    )


def is_missing_index(scene: Scene, install: Install) -> tuple[str, str | None] | None:
    """An index that an installation names and that does not exist, and the nearest that does."""
    missing = channels(scene.matrix, install).missing
    return (missing[0], nearest_index(scene.matrix, missing[0])) if missing else None
