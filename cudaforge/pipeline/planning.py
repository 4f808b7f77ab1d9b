"""Which of the locked images a CI job has to make."""

from __future__ import annotations

import re

from cudaforge.declaration.model import Declaration
from cudaforge.display import show
from cudaforge.errors import InputError, Location, NegativeAnswer, Problem
from cudaforge.lockfile.model import Lock
from cudaforge.lockfile.shards import divide
from cudaforge.lockfile.text import load_lock_alone
from cudaforge.pipeline.git import Repository
from cudaforge.pipeline.host import LOCK_FILE
from cudaforge.records import record, replace

MOST_SHARDS = 10_000
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

    That is: their lock entry differs, or a file that goes into them does, committed or not, and known to git
    or not. All of them where the commit has no lock, or none that can be read. Raises InputError for what is
    no commit of the project's repository, and for a .dockerignore that cannot be used, SurroundingsError
    without git.
    """
    from cudaforge.pipeline.changed import ChangedFiles

    git = Repository(declaration.root)
    commit = git.find_commit(since)
    before = git.read(commit, LOCK_FILE)
    old = _entries(before) if before is not None else frozenset[str]()
    files = ChangedFiles(git, commit, [image for image in lock.images if image.digest in old])
    return replace(
        lock,
        images=tuple(image for image in lock.images if image.digest not in old or files.touch(image)),
    )


def _entries(text: str) -> frozenset[str]:
    try:
        lock = load_lock_alone(text, file=LOCK_FILE, find_closure=lambda _: None)
    except (InputError, NegativeAnswer):
        return frozenset()
    return frozenset(image.digest for image in lock.images)
