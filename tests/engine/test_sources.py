"""Packages that are built from their source: a commit of a repository, and a source archive of an index."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.index import Index, serve
from tests.support.repositories import commit, make_sdist, serve_repositories, source_files
from tests.support.tiny import TinyProject, clean_environment, make_tiny_wheel
from tests.support.wheels import hash_of, make_wheel

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
    pytest.mark.skipif(shutil.which("git") is None, reason="this host has no git"),
]


@dataclass
class Place:
    """A project, an index and a repository that has `gitted` 2.1 below `deep/er`."""

    project: TinyProject
    index: Index
    address: str
    commit: str

    @property
    def reference(self) -> str:
        return f"gitted @ git+{self.address}/repo@{self.commit}#subdirectory=deep/er"


@pytest.fixture
def place(engine: Engine, tmp_path: Path) -> Iterator[Place]:
    make_tiny_wheel(tmp_path / "wheels")
    make_sdist(tmp_path / "wheels", "only-source", "1.5")
    make_wheel(tmp_path / "wheels", "brought", "1.0")
    repository = tmp_path / "repositories" / "repo"
    repository.mkdir(parents=True)
    files = source_files("gitted", "2.1", body="kind = 'commit'\n")
    found = commit(repository, {f"deep/er/{path}": text for path, text in files.items()})
    commit(repository, {"deep/er/gitted.py": "kind = 'later'\n"})
    with serve(Index(files=tmp_path / "wheels")) as index, serve_repositories(repository.parent) as address:
        variables = clean_environment(
            tmp_path, UV_DEFAULT_INDEX=index.url, XDG_CACHE_HOME=str(tmp_path / "cache")
        )
        project = TinyProject(root=tmp_path / "project", environment=variables)
        yield Place(project, index, address, found)
    subprocess.run(["docker", "rmi", "--force", f"{project.name}:one"], capture_output=True, check=False)


def inside(project: TinyProject, *command: str) -> str:
    argv = ["docker", "run", "--rm", "--network=none", f"{project.name}:one", *command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_commit_and_a_source_archive_are_built_and_only_their_wheels_installed(
    place: Place, tmp_path: Path
) -> None:
    project = place.project
    lines = f'packages = ["{place.reference}", "only-source"]\nbuild_from_source = ["only_source"]'
    project.declare(f"one\n{lines}")
    done = project.run("up", timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]

    closure = (project.root / "cudaforge.lock.d" / "pylock.one.toml").read_text()
    assert hash_of(tmp_path / "wheels" / "only_source-1.5.tar.gz") in closure
    assert f'commit-id = "{place.commit}"' in closure

    code = "import gitted, only_source; print(gitted.kind, gitted.version, only_source.version)"
    assert inside(project, "python", "-c", code) == "commit 2.1 1.5\n"
    missing = "for one in git gcc cc make; do command -v $one; done; ls -d /wheels /build; true"
    assert inside(project, "sh", "-c", missing) == ""
    assert project.run("lock").returncode == 0
    again = project.run("up")
    assert again.returncode == 0, again.stderr[-4000:]


def test_another_source_archive_than_the_locked_is_refused(place: Place, tmp_path: Path) -> None:
    project = place.project
    project.declare('one\npackages = ["only-source"]\nbuild_from_source = ["only-source"]')
    assert project.run("lock").returncode == 0
    make_sdist(tmp_path / "wheels", "only-source", "1.5", body="forged = True\n")
    done = project.run("build", UV_CACHE_DIR=str(tmp_path / "fresh"))
    assert done.returncode == 1, done.stderr
    assert "another file here than the one that was locked" in done.stderr
