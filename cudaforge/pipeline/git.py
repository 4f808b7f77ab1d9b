"""The repository that a project lies in, if git knows one."""

from __future__ import annotations

from pathlib import Path

from cudaforge import process
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.pipeline.decide import Note

_SECONDS = 60.0
_SHORT = 12


def ask_git(root: Path, *words: str) -> process.Completed:
    """What git says in a directory. Raises ProgramNotFound, and ProgramTimeout after a minute."""
    return process.run(("git", *words), timeout=_SECONDS, cwd=root)


def short_revision(root: Path) -> str:
    """The project's commit, twelve digits of it or more. Raises SurroundingsError where it has none."""
    done = ask_git(root, "rev-parse", "--verify", f"--short={_SHORT}", "HEAD")
    if done.returncode != 0:
        raise SurroundingsError(
            Problem(
                what="{revision} needs a commit, and git knows none here",
                because=tuple(done.stderr.strip().splitlines()[:1]),
                remedy="commit the project, or leave {revision} out of --tag",
            )
        )
    return done.stdout.strip()


def find_revision(root: Path, *, on_note: Note) -> str | None:
    """The project's commit for its provenance. None where files of it differ from what was committed, where
    it is none of git's, and, which is told, where git takes too long."""
    try:
        head = ask_git(root, "rev-parse", "--verify", "HEAD")
        if head.returncode != 0:
            return None
        changes = ask_git(root, "status", "--porcelain", "--", ".")
    except process.ProgramNotFound:
        return None
    except process.ProgramTimeout as error:
        on_note(f"{error}: the provenance names no commit")
        return None
    is_clean = changes.returncode == 0 and not changes.stdout.strip()
    return head.stdout.strip() if is_clean else None
