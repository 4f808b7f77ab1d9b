"""What a project starts with: a declaration to edit, and its schema for editors."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from cudaforge.declaration.layers import real_directory
from cudaforge.declaration.schema import declaration_schema
from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem
from cudaforge.files import find_obstacle, write_atomically, write_together
from cudaforge.matrix import load_matrix
from cudaforge.pipeline.host import ignore

if TYPE_CHECKING:
    from cudaforge.pipeline.decide import Note

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_DEFAULT_NAME = "project"
_DEFAULT_BRANCH = "main"
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")


def init_project(path: Path, *, framework: str, force: bool = False) -> Path:
    """Write a starter declaration for a framework that the matrix knows.

    Raises InputError for an unknown framework and for a file that is there already, unless `force`.
    """
    from cudaforge.renderer.starter import render_starter

    matrix = load_matrix()
    found = matrix.find_framework(framework)
    if found is None:
        near = difflib.get_close_matches(framework.lower(), matrix.frameworks, n=1)
        known = f"known: {', '.join(sorted(matrix.frameworks))}"
        raise InputError(
            Problem(
                what=f"there is no framework {show(framework)}",
                where=Location(file="command line", key="FRAMEWORK"),
                remedy=f"did you mean {near[0]}? {known}" if near else known,
            )
        )
    _refuse_existing(path, force=force)
    newest = max(build.version for build in matrix.builds(found.name))
    text = render_starter(project=_project_name(path), framework=found.name, release=str(newest.minor()))
    write_atomically(path, text)
    return path


def init_ci(path: Path, *, system: str, force: bool = False, on_note: Note = ignore) -> tuple[Path, ...]:
    """Write the files with which a CI system makes what is declared at `path`, into the repository around it.
    They install the cudaforge that runs here, from where it came.

    Raises InputError for files that are there and not as cudaforge wrote them, unless `force`, and for what
    has the place of a file or directory and is none. Then nothing is written.
    """
    from cudaforge.quoting import UnsafeText
    from cudaforge.renderer.mark import is_ours
    from cudaforge.renderer.starter import declaration_of, render_ci

    root = real_directory(path)
    repository = next((one for one in (root, *root.parents) if (one / ".git").exists()), root)
    directory = root.relative_to(repository).as_posix()
    try:
        files = render_ci(
            system,
            directory=directory,
            file=path.name,
            branch=_branch(repository),
            requirement=_requirement(on_note),
        )
    except UnsafeText as error:
        raise InputError(
            Problem(what=f"no CI file can carry the project's path: {error}", where=Location(file=str(path)))
        ) from None
    for one in files:
        target = repository / one.path
        _refuse_obstacle(target)
        if force or not target.exists():
            continue
        there = target.read_text(encoding="utf-8", errors="replace")
        if not is_ours(one.path, there):
            raise _not_ours(target, "not as cudaforge wrote it")
        other = declaration_of(there)
        # One that was written before files said whose they are says nothing of it.
        if other not in (None, declaration_of(one.text)):
            raise _not_ours(target, f"for {other}")
    if not path.exists():
        on_note(f"{path} is not there yet: cudaforge init -f {shlex.quote(str(path))} writes one")
    write_together({repository / one.path: one.text for one in files})
    return tuple(repository / one.path for one in files)


def _requirement(on_note: Note) -> str:
    """What pip installs this cudaforge by: a commit, an archive, or a release (PEP 610)."""
    from importlib.metadata import PackageNotFoundError, distribution

    from cudaforge import __version__

    release = f"cudaforge=={__version__}"
    try:
        origin = json.loads(distribution("cudaforge").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        origin = {"dir_info": {}}
    url, commit = origin.get("url", ""), origin.get("vcs_info", {}).get("commit_id")
    if url.startswith("https://") and "@" not in url:
        if commit is not None:
            return f"cudaforge @ git+{url}@{commit}"
        if "archive_info" in origin:
            return f"cudaforge @ {url}"
    if origin:
        on_note(
            f"this cudaforge came from no index, and the files install {release} from one: "
            "where yours does not have it, change these lines"
        )
    return release


def _branch(repository: Path) -> str:
    """The branch that is checked out; `main` where that cannot be said."""
    try:
        head = (repository / ".git" / "HEAD").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return _DEFAULT_BRANCH
    name = head.removeprefix("ref: refs/heads/")
    return name if name != head and _BRANCH.fullmatch(name) else _DEFAULT_BRANCH


def _refuse_obstacle(target: Path) -> None:
    """Raise InputError where something else has the place of the file, or of a directory above it."""
    obstacle = find_obstacle(target)
    if obstacle is not None:
        raise InputError(
            Problem(
                what=f"{target} cannot be written: {obstacle}",
                where=Location(file=str(target)),
                remedy="move it away",
            )
        )


def _not_ours(path: Path, how: str) -> InputError:
    return InputError(
        Problem(
            what=f"{path} is there already, and {how}",
            where=Location(file=str(path)),
            remedy="move it away, or overwrite it with --force",
        )
    )


def write_schema(path: Path, *, force: bool = False) -> None:
    """Write the declaration's JSON Schema. Raises InputError for another file that is there."""
    text = json.dumps(declaration_schema(), indent=2) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8", errors="replace") != text:
        _refuse_existing(path, force=force)
    write_atomically(path, text)


def _refuse_existing(path: Path, *, force: bool) -> None:
    if not path.parent.is_dir():
        raise InputError(
            Problem(
                what=f"there is no directory {path.parent}",
                where=Location(file=str(path)),
                remedy="make it first",
            )
        )
    if path.exists() and not force:
        raise InputError(
            Problem(
                what=f"{path} is there already",
                where=Location(file=str(path)),
                remedy="write to another file with -f, or overwrite it with --force",
            )
        )


def _project_name(path: Path) -> str:
    """A name that is a valid image repository, from the directory's."""
    name = _NOT_IN_NAMES.sub("-", real_directory(path).name.lower()).strip("-")
    return name[:64].strip("-") or _DEFAULT_NAME
