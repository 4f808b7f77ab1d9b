"""Declarations written into a directory, and the problems that reading them gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from cudaforge.declaration import load_declaration
from cudaforge.declaration.model import Declaration
from cudaforge.errors import ExitCode, InputError, Problem

IMAGE = '[images.a]\nframework = "pytorch"\n'


def write(root: Path, text: str | bytes, name: str = "cudaforge.toml") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(root: Path, text: str | bytes) -> Declaration:
    return load_declaration(write(root, text))


def problems(root: Path, text: str | bytes) -> tuple[Problem, ...]:
    """The problems of a bad declaration; fails the test for a good one."""
    path = write(root, text)
    return problems_of(path)


def problems_of(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        load_declaration(path)
    assert caught.value.exit_code is ExitCode.INPUT
    assert all(problem.what.isprintable() for problem in caught.value.problems)
    return caught.value.problems


def only(found: tuple[Problem, ...]) -> Problem:
    assert len(found) == 1, found
    return found[0]


def places(found: tuple[Problem, ...]) -> list[tuple[int | None, str | None]]:
    return [(one.where.line, one.where.key) if one.where else (None, None) for one in found]
