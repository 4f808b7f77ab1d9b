"""What is built from its source, resolved by the real uv from an index and a repository on loopback."""

import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from cudaforge.errors import InputError, NegativeAnswer, SurroundingsError
from cudaforge.packages.built import fetch_source
from cudaforge.packages.closure import resolve_closure
from cudaforge.packages.model import GitCommit, LockedWheel
from cudaforge.records import replace
from tests.index.conftest import Serve, request, site
from tests.support.repositories import commit, make_sdist, serve_repositories, source_files
from tests.support.wheels import hash_of, make_wheel

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="this host has no git")


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    make_wheel(files, "torch", "2.13.0")
    make_sdist(files, "only-source", "1.5")
    return files


@pytest.fixture
def repository(tmp_path: Path):
    root = tmp_path / "repositories"
    (root / "repo").mkdir(parents=True)
    with serve_repositories(root) as address:
        yield root / "repo", f"{address}/repo"


def built(wheels) -> LockedWheel:
    (one,) = (wheel for wheel in wheels if wheel.is_built)
    return one


def test_a_source_archive_is_locked_where_it_is_allowed_and_kept(
    tmp_path: Path, shelf: Path, serve_index: Serve
):
    here = site(tmp_path, index=serve_index(shelf).url)
    wanted = request("torch==2.13.0", packages=("only-source",))
    with pytest.raises(NegativeAnswer, match=r"only-source 1\.5 has no wheel") as error:
        resolve_closure(wanted, here)
    assert 'build_from_source = ["only-source"]' in (error.value.problems[0].remedy or "")

    allowed = replace(wanted, from_source=("only-source",))
    wheels = resolve_closure(allowed, here)
    path = shelf / "only_source-1.5.tar.gz"
    assert (built(wheels).filename, built(wheels).sha256) == (path.name, hash_of(path))
    make_sdist(shelf, "only-source", "1.6")
    assert built(resolve_closure(replace(allowed, preferred=wheels), here)).version == "1.5"
    assert built(resolve_closure(allowed, here)).version == "1.6"


def test_code_of_a_repository_runs_only_where_that_is_allowed(
    tmp_path: Path, shelf: Path, serve_index: Serve, repository
):
    directory, address = repository
    here = site(tmp_path, index=serve_index(shelf).url)
    told = commit(directory, source_files("ops", "2.1"))
    wheel = built(resolve_closure(request("torch==2.13.0", packages=(f"ops @ git+{address}@{told}",)), here))
    assert (wheel.version, wheel.sha256, wheel.git) == ("2.1", "", GitCommit(url=address, commit=told))

    ran = tmp_path / "ran"
    files = source_files("ops", "2.2", is_dynamic=True)
    files["backend.py"] += f"open({str(ran)!r}, 'w').close()\n"
    untold = commit(directory, files)
    wanted = request("torch==2.13.0", packages=(f"ops @ git+{address}@{untold}",))
    with pytest.raises(NegativeAnswer) as error:
        resolve_closure(wanted, here)
    assert error.value.problems[0].remedy == 'allow it: build_from_source = ["ops"]'
    assert not ran.exists()
    wheels = resolve_closure(replace(wanted, from_source=("ops",)), here)
    assert built(wheels).version == "2.2"
    assert ran.exists()


def test_a_commit_that_is_not_there_or_no_git_is_told(
    tmp_path: Path, shelf: Path, serve_index: Serve, repository, monkeypatch: pytest.MonkeyPatch
):
    directory, address = repository
    commit(directory, source_files("ops", "2.1"))
    here = site(tmp_path, index=serve_index(shelf).url)
    wanted = request("torch==2.13.0", packages=(f"ops @ git+{address}@{'7' * 40}",))
    with pytest.raises(SurroundingsError, match="cannot be fetched, or has no such commit"):
        resolve_closure(wanted, here)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(SurroundingsError, match="git is missing"):
        resolve_closure(wanted, here)


def test_other_addresses_than_of_commits_are_refused(tmp_path: Path, shelf: Path, serve_index: Serve):
    wanted = request("torch==2.13.0", packages=("ops @ https://h/ops.zip",))
    with pytest.raises(InputError, match="asked for by its address"):
        resolve_closure(wanted, site(tmp_path, index=serve_index(shelf).url))


def test_the_files_of_a_commit_are_one_archive_the_same_each_time_and_without_history(
    tmp_path: Path, repository
):
    directory, address = repository
    first = commit(directory, source_files("ops", "2.1"))
    commit(directory, {"later.py": ""})
    wheel = LockedWheel(
        package="ops",
        version="2.1",
        filename=f"ops-{first}.tar.gz",
        index="default",
        sha256="",
        size=None,
        git=GitCommit(url=address, commit=first),
    )
    here = site(tmp_path)
    paths = [fetch_source(wheel, address, site=here, cache=tmp_path / name) for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with tarfile.open(paths[0]) as archive:
        assert sorted(archive.getnames()) == ["source/backend.py", "source/ops.py", "source/pyproject.toml"]
    shutil.rmtree(directory)
    offline = replace(here, offline=True)
    assert fetch_source(wheel, address, site=offline, cache=tmp_path / "a") == paths[0]
    with pytest.raises(SurroundingsError, match="nothing may be downloaded"):
        fetch_source(wheel, address, site=offline, cache=tmp_path / "c")
    with pytest.raises(SurroundingsError, match="cannot be fetched"):
        fetch_source(wheel, address, site=here, cache=tmp_path / "c")
    assert not [path for path in (tmp_path / "c" / "sources").iterdir() if path.is_dir()]
