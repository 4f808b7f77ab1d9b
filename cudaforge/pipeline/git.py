"""The repository that a project lies in, if git knows one."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from cudaforge import process
from cudaforge.display import show
from cudaforge.errors import InputError, Location, Problem, SurroundingsError
from cudaforge.pipeline.decide import Note

_SECONDS = 60.0
_SHORT = 12
_TRUST = re.compile(r"git config --global --add safe\.directory \S.*")
_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def ask_git(root: Path, *words: str) -> process.Completed:
    """What git says in a directory. Raises ProgramNotFound, and ProgramTimeout after a minute."""
    return process.run(("git", *words), timeout=_SECONDS, cwd=root)


def short_revision(root: Path) -> str:
    """The project's commit, twelve digits of it or more, with `-dirty` where files that git knows are not as
    in it: as `git describe --dirty` has it. Raises SurroundingsError where it has none."""
    done = ask_git(root, "rev-parse", "--verify", f"--short={_SHORT}", "HEAD")
    if done.returncode != 0:
        raise SurroundingsError(
            Problem(
                what="{revision} needs a commit, and git knows none here",
                because=tuple(done.stderr.strip().splitlines()[:1]),
                remedy=_way_out(done) or "commit the project, or leave {revision} out of --tag",
            )
        )
    return done.stdout.strip() + ("" if _is_clean(root, "--untracked-files=no") else "-dirty")


def find_revision(root: Path, *, on_note: Note) -> str | None:
    """The project's commit for its provenance. None where files of it differ from what was committed, where
    it is none of git's, and, which is told, where git takes too long or does not trust the repository."""
    try:
        head = ask_git(root, "rev-parse", "--verify", "HEAD")
        if head.returncode != 0:
            if remedy := _way_out(head):
                on_note(f"the provenance names no commit: the repository is another user's; {remedy}")
            return None
        return head.stdout.strip() if _is_clean(root) else None
    except process.ProgramNotFound:
        return None
    except process.ProgramTimeout as error:
        on_note(f"{error}: the provenance names no commit")
        return None


def _is_clean(root: Path, *options: str) -> bool:
    """Whether the project's files are as they were committed."""
    changes = ask_git(root, "status", "--porcelain", *options, "--", ".")
    return changes.returncode == 0 and not changes.stdout.strip()


def _way_out(done: process.Completed) -> str | None:
    """The command that makes git look into a repository of another user, as CI mounts them, if it refuses."""
    found = _TRUST.search(done.stderr)
    return found[0] if found is not None else None


class Repository:
    """The repository that a project lies in."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find_commit(self, revision: str) -> str:
        """The id of the commit that a revision of any of git's kinds stands for. Raises InputError for what
        stands for none, or for more than one."""
        # In two steps: what is put behind a search (`:/text`) is searched for, too.
        named = self._rev_parse(revision)
        commit = self._rev_parse(f"{named.stdout.strip()}^{{commit}}") if _is_object(named) else named
        if not _is_object(commit):
            raise InputError(
                Problem(
                    what=f"{show(revision)} is no commit of the repository that {self.root} is in",
                    where=Location(file="command line", key="--since"),
                    because=tuple(commit.stderr.strip().splitlines()[:1]),
                    remedy=_way_out(commit) or "fetch it first; a shallow clone has few commits",
                )
            )
        return commit.stdout.strip()

    def _rev_parse(self, revision: str) -> process.Completed:
        return self._run("rev-parse", "--verify", "--quiet", "--end-of-options", revision)

    def read(self, commit: str, path: str) -> str | None:
        """A file of the project as it was; None where it was not there."""
        done = self._run("show", f"{commit}:./{path}")
        return done.stdout if done.returncode == 0 else None

    def differing(self, commit: str) -> frozenset[str]:
        """What git knows, then or now, and is not as in the commit; below the project, and relative to it. A
        repository within is one path."""
        words = (
            "diff",
            "--name-only",
            "--relative",
            "--no-renames",
            "--ignore-submodules=none",
            "-z",
            commit,
            "--",
            ".",
        )
        return frozenset(self._paths(*words))

    def unknown(self, places: Collection[str]) -> Iterator[str]:
        """Files at or below these places that git does not know, those included that it is to ignore."""
        if not places:
            return
        for path in self._paths("ls-files", "--others", "-z", "--", *sorted(places)):
            if path.endswith("/"):  # a repository of its own
                yield from _files_below(self.root, path.rstrip("/"))
            else:
                yield path

    def files_of(self, commit: str) -> Iterator[str]:
        """What the project had in the commit."""
        return self._paths("ls-tree", "-r", "--name-only", "-z", commit, "--", ".")

    def _paths(self, *words: str) -> Iterator[str]:
        done = self._run(*words)
        if done.returncode != 0:
            raise SurroundingsError(
                Problem(
                    what=f"git {words[0]} failed in {self.root}",
                    because=tuple(done.stderr.strip().splitlines()[:3]),
                    remedy="leave --since away",
                )
            )
        return (path for path in done.stdout.split("\0") if path)

    def _run(self, *words: str) -> process.Completed:
        return ask_git(self.root, "--literal-pathspecs", *words)


def _files_below(root: Path, path: str) -> Iterator[str]:
    for directory, below, files in os.walk(root / path):
        links = [name for name in below if Path(directory, name).is_symlink()]
        for name in (*files, *links):
            yield Path(directory, name).relative_to(root).as_posix()


def _is_object(done: process.Completed) -> bool:
    """Whether git has named one object. `^HEAD`, which leaves commits out, is a revision for it as well."""
    return done.returncode == 0 and _OBJECT.fullmatch(done.stdout.strip()) is not None
