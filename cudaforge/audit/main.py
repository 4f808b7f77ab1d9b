"""Auditing one Dockerfile: reading, inferring, judging."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cudaforge.audit import (
    rules_base,
    rules_conda,
    rules_cuda,
    rules_hosts,
    rules_inherited,
    rules_packages,
    rules_python,
    rules_stages,
)
from cudaforge.audit.choice import is_confirmed
from cudaforge.audit.dockerfile import Dockerfile, Instruction, read_dockerfile
from cudaforge.audit.frameworks import settle
from cudaforge.audit.loaded import system_cuda
from cudaforge.audit.model import Asked, Facts, Finding, Report, Severity, Silenced, judge
from cudaforge.audit.names import normal
from cudaforge.audit.scene import Scene
from cudaforge.audit.state import ReadFile
from cudaforge.audit.walk import walk
from cudaforge.codes import Code
from cudaforge.errors import InputError, Location, Problem
from cudaforge.matrix.model import CudaProvider
from cudaforge.matrix.tables import Matrix
from cudaforge.records import replace

_PLATFORMS = ("linux/amd64", "linux/arm64")
_RULES = (
    rules_base,
    rules_stages,
    rules_python,
    rules_packages,
    rules_conda,
    rules_cuda,
    rules_hosts,
    rules_inherited,
)
_IGNORE = re.compile(r"cudaforge:\s*ignore=(?P<codes>[a-z0-9-]+(?:,[a-z0-9-]+)*)(?:\s+(?P<reason>\S.*))?$")


def audit_dockerfile(content: bytes, *, file: str, asked: Asked, matrix: Matrix, read: ReadFile) -> Report:
    """What is wrong with a Dockerfile. `read` gives files of its build context.

    Raises InputError for what is no Dockerfile, and for a suppression without a reason or of no known code.
    """
    dockerfile = read_dockerfile(content, file)
    image = walk(dockerfile, asked, matrix, read, file=file.rpartition("/")[2])
    if image.platform in _PLATFORMS:
        asked = replace(asked, platform=image.platform)
    outcome = settle(image, asked, matrix)
    scene = Scene(
        matrix=matrix,
        asked=asked,
        dockerfile=dockerfile,
        image=image,
        outcome=outcome,
        system=system_cuda(image, matrix),
    )
    rules_packages.check_indexes(scene)
    for rules in _RULES:
        rules.check(scene)
    _say_what_is_not_known(scene)
    kept, silenced = _suppress(scene.findings, dockerfile, file)
    unknowns = tuple(sorted(scene.unknowns, key=lambda one: one.line))
    return Report(
        file=file,
        verdict=judge(kept, unknowns),
        findings=kept,
        unknowns=unknowns,
        silenced=silenced,
        facts=_facts(scene),
    )


def _say_what_is_not_known(scene: Scene) -> None:
    for installed in scene.installed():
        build = installed.build
        line = installed.install.line if installed.install else scene.base.line
        if build is None and installed.install is not None:
            continue  # said where it is installed
        if build is not None and not is_confirmed(build):
            scene.unknown(line, f"{installed.framework} {build.reported}: its facts are only inferred")
        elif build is None and (scene.asked.gpus or scene.asked.driver):
            scene.unknown(
                line, f"{installed.framework} of {scene.base.text}: which GPUs it has code for is not known"
            )
    if not scene.installed() and not scene.outcome.failures and not scene.outcome.conda:
        scene.unknown(scene.base.line, "no framework that the facts know is installed")


def _suppress(
    findings: Sequence[Finding], dockerfile: Dockerfile, file: str
) -> tuple[tuple[Finding, ...], tuple[Silenced, ...]]:
    """Take back what comments say to ignore: on their own line, or on the instruction after them."""
    ignored: dict[tuple[int, str], str] = {}
    for comment in dockerfile.comments:
        match = _IGNORE.search(comment.text)
        if match is None:
            if "cudaforge:" in comment.text and "ignore" in comment.text:
                raise _bad_comment(file, comment.line, "this suppression cannot be read")
            continue
        reason = match["reason"]
        if not reason:
            raise _bad_comment(file, comment.line, "a suppression needs a reason")
        for code in match["codes"].split(","):
            if code not in {one.value for one in Code}:
                raise _bad_comment(file, comment.line, f"{code} is no code that cudaforge knows")
            for line in _covered(dockerfile, comment.line):
                ignored[line, code] = reason
    kept = [one for one in findings if one.file is not None or (one.line, one.code.value) not in ignored]
    silenced = [
        Silenced(finding=one, reason=ignored[one.line, one.code.value]) for one in findings if one not in kept
    ]
    order = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
    kept.sort(key=lambda one: (order.index(one.severity), one.line, one.code.value))
    return tuple(kept), tuple(silenced)


def _covered(dockerfile: Dockerfile, line: int) -> range:
    for one in dockerfile.instructions:
        if one.line <= line <= one.end or one.line > line:
            return range(one.line, one.end + 1)
    return range(0)


def _bad_comment(file: str, line: int, what: str) -> InputError:
    return InputError(
        Problem(
            what=what,
            where=Location(file=file, line=line),
            remedy="# cudaforge: ignore=CODE why it is fine here",
        )
    )


def _started(one: Instruction | None) -> tuple[str, ...] | None:
    """What an instruction starts; the shell form as a shell does."""
    if one is None:
        return None
    return one.exec_form or ("/bin/sh", "-c", one.text.strip())


def _facts(scene: Scene) -> Facts:
    image, base, system = scene.image, scene.base, scene.system
    builds = {
        one.framework: one.build.reported if one.build else one.version.text for one in scene.installed()
    }
    pythons = [one.python.minor for one in scene.installed() if one.python is not None and one.python.minor]
    names = {normal(one.install.requirement.name) for one in scene.installed() if one.install is not None}
    return Facts(
        base=base.text,
        os=base.os.id if base.os else None,
        python=pythons[0] if pythons else base.python,
        cuda=str(system.cuda) if system.cuda else None,
        cudnn=str(system.cudnn) if system.cudnn else None,
        frameworks=builds,
        builds={one.framework: one.build.build for one in scene.installed() if one.build},
        copies=tuple(image.copies),
        is_for_gpu=any(
            one.build is None or one.build.provider is not CudaProvider.NONE for one in scene.installed()
        ),
        packages=tuple(
            dict.fromkeys(
                str(one.requirement)
                for one in image.installs
                if normal(one.requirement.name) not in names and not one.is_constraint
            )
        ),
        apt=tuple(dict.fromkeys(one.name for one in image.apt)),
        env=dict(image.env),
        workdir=image.workdir if image.workdir != "/" else None,
        user=image.user,
        command=_started(image.command),
        entrypoint=_started(image.entrypoint),
    )
