"""Fetching what wheels are built from into the cache: source archives, and commits of git repositories.

Nothing of them runs here. A source archive has to be the locked file, by SHA-256; a commit is a hash over all
that it holds, its submodules' commits too, and git checks it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from cudaforge.errors import NegativeAnswer, Problem, SurroundingsError
from cudaforge.files import hash_file, held_lock, write_bytes_atomically, write_error
from cudaforge.packages.addresses import credentials_of, host_of, redact
from cudaforge.packages.model import GitCommit, LockedWheel
from cudaforge.packages.site import Site
from cudaforge.packages.uv import git_variables
from cudaforge.process import ProgramNotFound, ProgramTimeout, run

DEADLINE = 900.0
"""Seconds that one download, or one command of git, may take."""
LARGEST = 512 * 1024 * 1024
"""Bytes that a source archive may have."""
_FOUND = 200


def fetch_source(wheel: LockedWheel, address: str, *, site: Site, cache: Path) -> Path:
    """The archive that a wheel is built from, out of the cache or else from its address at this site.

    Raises NegativeAnswer where it is another one than the locked, SurroundingsError where it cannot be had.
    """
    key = wheel.sha256
    if wheel.git is not None:
        key = hashlib.sha256(f"{wheel.git.url}@{wheel.git.commit}".encode()).hexdigest()
    path = cache / "sources" / f"{key}.tar.gz"
    with held_lock(path.with_name(f"{key}.lock"), timeout=DEADLINE, on_wait=_say_nothing):
        if path.is_file() and (wheel.git is not None or hash_file(path) == wheel.sha256):
            return path
        if site.offline:
            raise SurroundingsError(
                Problem(
                    what=f"the source of {wheel.package} is not in the cache, and nothing may be downloaded",
                    remedy="run once without --offline",
                )
            )
        if wheel.git is not None:
            _archive_commit(wheel.git, path, site)
        else:
            write_bytes_atomically(path, _download(wheel, address, site))
    return path


def _say_nothing(_: str) -> None:
    """Another build of this run may well be fetching it."""


def _download(wheel: LockedWheel, address: str, site: Site) -> bytes:
    from cudaforge.web import Client

    credentials = credentials_of(address)
    headers = {}
    if credentials is not None:
        parts = urlsplit(address)
        address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(credentials).encode()).decode()
    client = Client(timeout=DEADLINE, run_timeout=DEADLINE, ca_bundle=site.ca_bundle, proxies=site.proxies)
    answer = client.get(address, headers=headers, max_body=LARGEST)
    if answer.status != _FOUND:
        raise SurroundingsError(
            Problem(
                what=f"{host_of(address)} answered with status {answer.status} for {wheel.filename}",
                remedy="use an index that has it, or lock again: cudaforge upgrade",
            )
        )
    found = hashlib.sha256(answer.body).hexdigest()
    if found != wheel.sha256:
        raise NegativeAnswer(
            Problem(
                what=f"{wheel.filename} is another file here than the one that was locked",
                because=(f"locked: sha256 {wheel.sha256}", f"{host_of(address)} has: sha256 {found}"),
                remedy="use the index that was locked from, or lock again: cudaforge upgrade",
            )
        )
    return answer.body


def _archive_commit(git: GitCommit, path: Path, site: Site) -> None:
    """Put the files of a commit and of its submodules into an archive: always the same bytes."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="git-", dir=path.parent) as name:
            tree = Path(name) / "tree"
            tree.mkdir()
            _check_out(git, tree, site)
            _write_archive(tree, Path(name) / "archive.tar.gz")
            (Path(name) / "archive.tar.gz").replace(path)
    except OSError as error:
        raise write_error(path, error) from None


def _check_out(git: GitCommit, tree: Path, site: Site) -> None:
    _git(("init", "--quiet"), git, tree, site)
    # Some servers give a commit alone only where a branch or tag ends at it.
    alone = ("fetch", "--quiet", "--no-tags", "--depth=1", "--", git.url, git.commit)
    everything = ("fetch", "--quiet", "--", git.url, "+refs/*:refs/fetched/*")
    try:
        _git(alone, git, tree, site)
    except SurroundingsError:
        _git(everything, git, tree, site)
    _git(("checkout", "--quiet", "--detach", git.commit, "--"), git, tree, site)
    found = _git(("rev-parse", "--verify", "HEAD^{commit}"), git, tree, site).strip()
    if found != git.commit:
        raise NegativeAnswer(
            Problem(what=f"{host_of(git.url)} has no commit {git.commit}", because=(f"it gave {found}",))
        )
    _git(("submodule", "--quiet", "update", "--init", "--recursive"), git, tree, site)


def _git(words: Sequence[str], git: GitCommit, tree: Path, site: Site) -> str:
    variables = {**site.environment(), **git_variables(os.environ)}
    if site.ca_bundle is not None:
        variables["GIT_SSL_CAINFO"] = str(site.ca_bundle)
    where = f"the repository {git.url} at {git.commit}"
    try:
        answer = run(["git", *words], timeout=DEADLINE, env=variables, cwd=tree)
    except ProgramNotFound:
        raise SurroundingsError(
            Problem(what=f"{where} cannot be fetched: git is missing", remedy="install git")
        ) from None
    except ProgramTimeout:
        raise SurroundingsError(
            Problem(what=f"{where} was not fetched within {DEADLINE:g} s", remedy="try again")
        ) from None
    if answer.returncode != 0:
        lines = redact(answer.stderr).strip().splitlines()
        raise SurroundingsError(
            Problem(
                what=f"{where} cannot be fetched",
                because=tuple(lines[-3:]) or (f"git {words[0]}: exit status {answer.returncode}",),
                remedy="see that `git ls-remote` reaches it from here, and that the commit is still there",
            )
        )
    return answer.stdout


def _write_archive(tree: Path, target: Path) -> None:
    with (
        target.open("xb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for one in sorted(tree.rglob("*")):
            below = one.relative_to(tree)
            if ".git" not in below.parts:
                archive.add(one, arcname=f"source/{below}", recursive=False, filter=_neutral)


def _neutral(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member
