"""Putting refreshed facts into files: a checkout's `matrices/`, or an overlay of a project."""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import path_error, relative_to_here, write_together
from cudaforge.matrix.check import check_matrix
from cudaforge.pipeline.asking import Difference
from cudaforge.records import record
from cudaforge.refresher.editing import UnusualLayout
from cudaforge.refresher.writing import Edited, edit_file, files_of, write_overlay
from cudaforge.resources import find_resource, is_checkout

_OVERLAY = "cudaforge-facts"


@record()
class Record:
    """What would be written."""

    files: Mapping[Path, tuple[str | None, str]]
    """Each file with its text now (None: there is none) and then."""
    refused: tuple[tuple[str, str], ...]
    """Rows that cannot be written, each with the reason."""
    findings: tuple[Problem, ...]
    """Why the facts would no longer agree: nothing is written then."""
    undeclared: tuple[Path, ...] = ()
    """Overlays that the declaration does not name yet."""

    def diff(self) -> str:
        """The changes of all files, as a unified diff."""
        return "".join(
            line
            for path, (old, new) in self.files.items()
            for line in difflib.unified_diff(
                (old or "").splitlines(keepends=True),
                new.splitlines(keepends=True),
                fromfile=str(path) if old is not None else "/dev/null",
                tofile=str(path),
                n=1,
            )
        )


def prepare(difference: Difference, file: Path, *, today: str) -> Record:
    """What there is to write for a declaration: into `matrices/` where it, and cudaforge itself, are of a
    checkout, else into overlays. Changes no file."""
    matrices = find_resource("matrices")
    edited = [
        _edit(name, matrices, difference, today)
        for name in files_of(difference.proposals, difference.tombstones)
    ]
    refused = tuple(one for part in edited for one in part.refused)
    changed = [part for part in edited if part.rows]
    findings = tuple(_check(matrices, changed)) if changed else ()
    if _is_of_checkout(file, matrices):
        files: dict[Path, tuple[str | None, str]] = {
            relative_to_here(matrices / one.file): (_read(matrices / one.file), one.text) for one in changed
        }
        return Record(files=files, refused=refused, findings=findings)
    declared = _declared(file)
    targets: dict[Path, tuple[str | None, str]] = {}
    for one in changed:
        path = _target(one, declared, file.parent)
        old = targets[path][0] if path in targets else _read_optional(path)
        try:
            targets[path] = (old, write_overlay(targets[path][1] if path in targets else old, one))
        except UnusualLayout as error:
            refused = (*refused, (f"{path}", str(error)))
    undeclared = tuple(path for path in targets if path.resolve() not in {one.resolve() for one in declared})
    return Record(files=targets, refused=refused, findings=findings, undeclared=undeclared)


def write(record_: Record) -> None:
    """Write all files, or none. Raises NegativeAnswer where the facts would not agree, and SurroundingsError
    where the disk does not take them."""
    if record_.findings:
        raise NegativeAnswer(record_.findings)
    write_together({path: text for path, (_, text) in record_.files.items()})


def _edit(name: str, matrices: Path, difference: Difference, today: str) -> Edited:
    return edit_file(
        name,
        _read(matrices / name),
        [one for one in difference.proposals if one.file == name],
        [one for one in difference.tombstones if f"{one.table}.toml" == name],
        today=today,
    )


def _check(matrices: Path, edited: Sequence[Edited]) -> Iterator[Problem]:
    """What `data check` would say of the files as they would be, and does not say now."""
    with tempfile.TemporaryDirectory(prefix="cudaforge-facts-") as directory:
        copy = Path(directory) / "matrices"
        shutil.copytree(matrices, copy)
        before = set(map(str, check_matrix(copy)))
        for one in edited:
            (copy / one.file).write_text(one.text, encoding="utf-8", newline="")
        for finding in check_matrix(copy):
            if str(finding) not in before:
                row = f"{finding.row}: " if finding.row else ""
                yield Problem(
                    what=f"{finding.file}: {row}{finding.what} [{finding.rule}]",
                    remedy="nothing was written; add the row by hand",
                )


def _is_of_checkout(file: Path, matrices: Path) -> bool:
    """Whether the declaration is, or would be, there: another project has its own facts, also beside an
    editable install."""
    return is_checkout() and file.resolve().is_relative_to(matrices.parent.resolve())


def _declared(file: Path) -> tuple[Path, ...]:
    if not file.exists():
        return ()
    from cudaforge.pipeline.decide import load

    return load(file).overlays


def _target(edited: Edited, declared: Sequence[Path], root: Path) -> Path:
    """The overlay for the rows of a matrix file. Releases go into one of their own framework."""
    framework = next((str(row["framework"]) for subject, row in edited.rows if subject == "builds"), None)
    for path in declared:
        if framework is None or _framework_of(path) == framework:
            return path
    return root / (f"{_OVERLAY}-{framework}.toml" if framework is not None else f"{_OVERLAY}.toml")


def _framework_of(path: Path) -> str | None:
    from cudaforge.declaration.source import read_source

    head = read_source(path).tree.get("framework")
    name = head.get("name") if isinstance(head, Mapping) else None
    return name if isinstance(name, str) else None


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise path_error(path, error, "read") from None
    except UnicodeDecodeError:
        raise SurroundingsError(Problem(what=f"cannot read {path}: it is not UTF-8")) from None


def _read_optional(path: Path) -> str | None:
    return _read(path) if path.exists() else None
