"""What a project starts with: a declaration to edit, and its schema for editors."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path

from cudaforge.declaration.layers import real_directory
from cudaforge.declaration.schema import declaration_schema
from cudaforge.errors import InputError, Location, Problem
from cudaforge.files import write_atomically
from cudaforge.matrix import load_matrix

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_DEFAULT_NAME = "project"


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
                what=f"there is no framework {framework!r}",
                where=Location(file="command line", key="FRAMEWORK"),
                remedy=f"did you mean {near[0]}? {known}" if near else known,
            )
        )
    _refuse_existing(path, force=force)
    newest = max(build.version for build in matrix.builds(found.name))
    text = render_starter(project=_project_name(path), framework=found.name, release=str(newest.minor()))
    write_atomically(path, text)
    return path


def write_schema(path: Path, *, force: bool = False) -> None:
    """Write the declaration's JSON Schema. Raises InputError for another file that is there."""
    text = json.dumps(declaration_schema(), indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
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
