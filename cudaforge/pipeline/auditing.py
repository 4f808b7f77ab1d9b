"""Auditing files and trees: finding Dockerfiles, reading what stands next to them, mending them."""

from __future__ import annotations

import codecs
import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from cudaforge.audit import Asked, Finding, Fix, Report, Unknown, Verdict, audit_dockerfile
from cudaforge.audit.dockerfile import MAXIMUM_BYTES, read_dockerfile
from cudaforge.declaration import fields
from cudaforge.declaration.kinds import BadValue, bad
from cudaforge.declaration.values import GPU
from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem
from cudaforge.files import write_atomically
from cudaforge.matrix import Matrix, load_matrix
from cudaforge.pipeline.cog import is_cog
from cudaforge.records import record
from cudaforge.resolver.named_gpus import NamedGpus, named_gpus
from cudaforge.resolver.rules.scene import DEFAULT_PLATFORM
from cudaforge.versions import Version

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WORDS = ("gpu", "driver", "platform")
_NAME = re.compile(r"(?:Dockerfile|Containerfile)(?:[.\-_][\w.-]+)?|.+\.(?:[Dd]ockerfile|[Cc]ontainerfile)")
_NOT_ONES = (".dockerignore", ".j2", ".md", ".orig", ".bak", ".py")
_SKIPPED = frozenset((".git", ".hg", "node_modules", ".venv", "venv", "__pycache__", ".tox"))
_MOST_FILES = 2_000
_LARGEST_LOCK = 8 * 1024 * 1024
_MOST_ROUNDS = 12
_BUILD_ARG = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@record()
class Given:
    """What the command line says: places to look at, and what to look with."""

    paths: tuple[Path, ...]
    asked: Asked


@record()
class Mended:
    """A file that was mended: the difference, and the audit of what it is now."""

    report: Report
    diff: str


def read_arguments(
    words: Sequence[str], *, build_args: Sequence[str], as_of: str | None, matrix: Matrix
) -> Given:
    """The paths among the words, and the wishes. Raises InputError with every mistake in them."""
    problems: list[Problem] = []
    paths: list[Path] = []
    gpus: list[tuple[str, NamedGpus]] = []
    plain: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name.lower() not in _WORDS:
            paths.append(Path(word))
            continue
        try:
            _read_word(name.lower(), value.removeprefix("="), gpus, plain, matrix)
        except BadValue as error:
            problems += (_problem(one.what, word, one.remedy) for one in error.mistakes)
    arguments = _build_args(build_args, problems)
    day = _day(as_of, matrix, problems)
    if problems:
        raise InputError(problems)
    asked = Asked(
        as_of=day,
        gpus=tuple(gpus),
        driver=Version(plain["driver"]) if "driver" in plain else None,
        platform=plain.get("platform") or _platform_of(gpus),
        build_args=arguments,
    )
    return Given(paths=tuple(paths) or (Path(),), asked=asked)


def _platform_of(gpus: Sequence[tuple[str, NamedGpus]]) -> str:
    """The platform of the machines that all of the GPUs are built into, else the default one."""
    elsewhere = {named.apart_from(DEFAULT_PLATFORM) for _, named in gpus}
    return elsewhere.pop() or DEFAULT_PLATFORM if len(elsewhere) == 1 else DEFAULT_PLATFORM


def _read_word(
    name: str, value: str, gpus: list[tuple[str, NamedGpus]], plain: dict[str, str], matrix: Matrix
) -> None:
    if name == "gpu":
        text = GPU.read(value)
        found = named_gpus(matrix, text)
        if not found.capabilities:
            bad(f"nothing is known of the GPU {show(text)}", "see `cudaforge data list gpus`")
        gpus.append((text, found))
    elif name == "driver":
        plain[name] = str(fields.DRIVER.kind.read(value))
    else:
        plain[name] = fields.PLATFORMS.kind.read([value])[0]


def _problem(what: str, word: str, remedy: str | None) -> Problem:
    return Problem(what=what, where=Location(file="command line", key=word[:80]), remedy=remedy)


def _build_args(texts: Sequence[str], problems: list[Problem]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not _BUILD_ARG.fullmatch(name) or (not equals and name not in os.environ):
            problems.append(_problem("--build-arg takes NAME=VALUE", text, "--build-arg CUDA=12.8.1"))
        else:
            found[name] = value if equals else os.environ[name]
    return found


def _day(text: str | None, matrix: Matrix, problems: list[Problem]) -> str:
    """The facts know nothing of later days: without a date, the last one that they reach."""
    if text is None:
        return matrix.as_of
    try:
        day = date.fromisoformat(text).isoformat()
    except ValueError:
        problems.append(_problem(f"--as-of takes a date, not {show(text)}", "--as-of", "--as-of 2026-01-31"))
        return matrix.as_of
    if day > matrix.as_of:
        what = f"--as-of {day}: the facts reach to {matrix.as_of}"
        problems.append(_problem(what, "--as-of", "an earlier day, or `cudaforge data update`"))
    return day


def audit(given: Given, matrix: Matrix) -> tuple[Report, ...]:
    """The audits of all files, in the order in which they were named.

    Raises InputError for a path that is not there, and for a named file that is no Dockerfile. One that was
    only found below a directory (a template, a fragment) is unknown, and keeps no other from being audited.
    """
    return tuple(
        (_audit_file if path in given.paths else _audit_found)(path, given.asked, matrix)
        for path in find_files(given.paths)
    )


def load_facts() -> Matrix:
    """The facts that are audited with."""
    return load_matrix()


def find_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The Dockerfiles among files and below directories. Raises InputError where there is none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(_below(path))
            if not inside:
                raise InputError(
                    Problem(
                        what=f"no Dockerfile below {path}",
                        where=Location(file=str(path)),
                        remedy="name the file: any name will do then",
                    )
                )
            found += inside
        else:
            found.append(path)
    return tuple(dict.fromkeys(found))


def _below(directory: Path) -> Iterator[Path]:
    count = 0
    for parent, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if name not in _SKIPPED)
        for name in files:
            if _NAME.fullmatch(name) and not name.endswith(_NOT_ONES):
                count += 1
                if count > _MOST_FILES:
                    raise InputError(
                        Problem(
                            what=f"more than {_MOST_FILES} Dockerfiles below {directory}",
                            where=Location(file=str(directory)),
                            remedy="name a smaller directory",
                        )
                    )
                yield Path(parent) / name


def _content(path: Path) -> bytes:
    """The bytes of a plain file; one byte more than is allowed where it is too large."""
    if not path.is_file():
        kind = "is no plain file" if path.exists() else "is not there"
        raise InputError(
            Problem(
                what=f"{path} {kind}",
                where=Location(file=str(path)),
                remedy="name a Dockerfile, or a directory with some",
            )
        )
    try:
        with path.open("rb") as file:
            return file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise InputError(
            Problem(what=f"cannot read {path}: {error.strerror}", where=Location(file=str(path)))
        ) from None


def _text(content: bytes) -> str:
    """As pip reads requirement files: in UTF-16 and UTF-32, too, where they say so at their head."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return content.decode(name, errors="replace")
    return content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")


def context_reader(directory: Path) -> Callable[[str], str | None]:
    """Gives the texts of files of a build context, and of nothing outside of it."""
    root = directory.resolve()

    def read(name: str) -> str | None:
        try:
            path = (root / name).resolve()
            limit = _LARGEST_LOCK if "lock" in path.name else MAXIMUM_BYTES
            if not path.is_relative_to(root) or not path.is_file() or path.stat().st_size > limit:
                return None
            return _text(path.read_bytes())
        except (OSError, ValueError):
            return None

    return read


def _audit_file(path: Path, asked: Asked, matrix: Matrix) -> Report:
    if is_cog(path):
        _content(path)
        unknown = Unknown(line=1, message="cog builds this image itself: `--adopt` makes a declaration of it")
        return Report(file=str(path), verdict=Verdict.UNKNOWN, findings=(), unknowns=(unknown,))
    return audit_dockerfile(
        _content(path), file=str(path), asked=asked, matrix=matrix, read=context_reader(path.parent)
    )


def _audit_found(path: Path, asked: Asked, matrix: Matrix) -> Report:
    content = _content(path)
    try:
        read_dockerfile(content, str(path))
    except InputError as error:
        problem = error.problems[0]
        line = problem.where.line if problem.where is not None and problem.where.line else 1
        unknown = Unknown(line=line, message=f"this cannot be read as a Dockerfile: {problem.what}")
        return Report(file=str(path), verdict=Verdict.UNKNOWN, findings=(), unknowns=(unknown,))
    return _audit_file(path, asked, matrix)


def mend(reports: Sequence[Report], asked: Asked, matrix: Matrix) -> tuple[Mended, ...]:
    """Write the mended lines into the files, and audit them again, until nothing is left to mend.

    Raises InputError and SurroundingsError as `write_atomically` does.
    """
    return tuple(_mend(report, asked, matrix) for report in reports)


def _mend(report: Report, asked: Asked, matrix: Matrix) -> Mended:
    path = Path(report.file)
    if is_cog(path):
        return Mended(report=report, diff="")
    before = _content(path).decode("utf-8")
    text, current = before, report
    for _ in range(_MOST_ROUNDS):
        changed = apply_fixes(text, current.findings)
        if changed == text:
            break
        text = changed
        current = audit_dockerfile(
            text.encode("utf-8"),
            file=report.file,
            asked=asked,
            matrix=matrix,
            read=context_reader(path.parent),
        )
    if text != before:
        write_atomically(path, text)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        text.splitlines(keepends=True),
        f"{path} (before)",
        f"{path} (mended)",
    )
    return Mended(report=current, diff="".join(lines))


def apply_fixes(text: str, findings: Sequence[Finding]) -> str:
    """The text with the fix of each finding; of several for the same words, the first."""
    lines = text.split("\n")
    done: list[Fix] = []
    for finding in findings:
        fix = finding.fix
        if fix is None or any(one.line == fix.line and one.old in fix.old + one.new for one in done):
            continue
        if any(one.line == fix.line and (fix.old in one.old or one.old in fix.old) for one in done):
            continue
        if fix.old in lines[fix.line - 1]:
            lines[fix.line - 1] = lines[fix.line - 1].replace(fix.old, fix.new, 1)
            done.append(fix)
    return "\n".join(lines)


def worst(reports: Sequence[Report]) -> Verdict:
    """The worst verdict of several."""
    order = list(Verdict)
    return min((report.verdict for report in reports), key=order.index, default=Verdict.FINE)


def fails(reports: Sequence[Report], fail_on: Verdict) -> bool:
    """Whether one of the verdicts is as bad as `fail_on`, or worse."""
    order = list(Verdict)
    return order.index(worst(reports)) <= order.index(fail_on)
