"""Which of the locked images a CI job has to make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cudaforge import process
from cudaforge.declaration.model import Declaration
from cudaforge.display import show
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem, SurroundingsError
from cudaforge.lockfile.model import Lock, LockedImage
from cudaforge.lockfile.shards import divide
from cudaforge.lockfile.text import load_lock_alone
from cudaforge.pipeline.host import LOCK_FILE
from cudaforge.records import record, replace

GIT_SECONDS = 60.0
MOST_SHARDS = 10_000
_OBJECT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHARD = re.compile(r"(?P<index>[0-9]{1,5})/(?P<count>[0-9]{1,5})")


@record()
class Shard:
    """One of several jobs. `index` counts from 1."""

    index: int
    count: int


def parse_shard(text: str) -> Shard:
    """`3/8`. Raises InputError."""
    found = _SHARD.fullmatch(text)
    if found is not None:
        shard = Shard(index=int(found["index"]), count=int(found["count"]))
        if 1 <= shard.index <= shard.count <= MOST_SHARDS:
            return shard
    raise InputError(
        Problem(
            what=f"{show(text)} is no shard",
            where=Location(file="command line", key="--shard"),
            remedy=f"write I/N with 1 <= I <= N <= {MOST_SHARDS}, such as 3/8",
        )
    )


def only_shard(lock: Lock, shard: Shard) -> Lock:
    """The lock with one shard's images."""
    return replace(lock, images=divide(lock.images, shard.count)[shard.index - 1])


def only_changed(lock: Lock, declaration: Declaration, since: str) -> Lock:
    """The lock with the images that are not as they were in a commit.

    That is: their lock entry differs, or a file that goes into them does, committed or not. All of them
    where the commit has no lock, or none that can be read. Raises InputError for what is no commit of the
    project's repository, SurroundingsError without git.
    """
    git = _Git(declaration.root)
    commit = git.find_commit(since)
    before = git.read(commit, LOCK_FILE)
    old = _entries(before) if before is not None else frozenset[str]()
    changed = git.changed_files(commit)
    return replace(
        lock,
        images=tuple(image for image in lock.images if image.digest not in old or _touches(image, changed)),
    )


def _entries(text: str) -> frozenset[str]:
    try:
        lock = load_lock_alone(text, file=LOCK_FILE, find_closure=lambda _: None)
    except (InputError, NegativeAnswer):
        return frozenset()
    return frozenset(image.digest for image in lock.images)


def _touches(image: LockedImage, changed: frozenset[str]) -> bool:
    """Whether a changed file goes into the image: one that it copies, or its own template."""
    if image.template is not None and image.template in changed:
        return True
    return any(_is_below(path, copied.source) for copied in image.copy for path in changed)


def _is_below(path: str, source: str) -> bool:
    parts = [part for part in source.split("/") if part not in ("", ".")]
    return path.split("/")[: len(parts)] == parts


def _is_object(done: process.Completed) -> bool:
    """Whether git has named one object. `^HEAD`, which leaves commits out, is a revision for it as well."""
    return done.returncode == 0 and _OBJECT.fullmatch(done.stdout.strip()) is not None


class _Git:
    """The repository that a project lies in."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find_commit(self, revision: str) -> str:
        """The id of the commit that a revision of any of git's kinds stands for. Raises InputError for what
        stands for none, or for more than one."""
        # In two steps: what is put behind a search (`:/text`) is searched for, too.
        named = self._rev_parse(revision)
        commit = self._rev_parse(f"{named.stdout.strip()}^{{commit}}") if _is_object(named) else named
        if not _is_object(commit):
            raise InputError(
                Problem(
                    what=f"{show(revision)} is no commit of the repository that {self._root} is in",
                    where=Location(file="command line", key="--since"),
                    because=tuple(commit.stderr.strip().splitlines()[:1]),
                    remedy="fetch it first; a shallow clone has few commits",
                )
            )
        return commit.stdout.strip()

    def _rev_parse(self, revision: str) -> process.Completed:
        return self._run("rev-parse", "--verify", "--quiet", "--end-of-options", revision)

    def read(self, commit: str, path: str) -> str | None:
        """A file of the project as it was; None where it was not there."""
        done = self._run("show", f"{commit}:./{path}")
        return done.stdout if done.returncode == 0 else None

    def changed_files(self, commit: str) -> frozenset[str]:
        """Paths relative to the project of what is not as in the commit, files unknown to git included."""
        return frozenset(
            (
                *self._paths("diff", "--name-only", "--relative", "--no-renames", "-z", commit, "--", "."),
                *self._paths("ls-files", "--others", "--exclude-standard", "-z", "--", "."),
            )
        )

    def _paths(self, *words: str) -> Iterator[str]:
        done = self._run(*words)
        if done.returncode != 0:
            raise SurroundingsError(
                Problem(
                    what=f"git {words[0]} failed in {self._root}",
                    because=tuple(done.stderr.strip().splitlines()[:3]),
                    remedy="leave --since away",
                )
            )
        return (path for path in done.stdout.split("\0") if path)

    def _run(self, *words: str) -> process.Completed:
        return process.run(("git", *words), timeout=GIT_SECONDS, cwd=self._root)
