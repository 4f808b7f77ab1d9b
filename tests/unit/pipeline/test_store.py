"""Directories that `vendor` is given: new ones, its own, and what cannot be one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cudaforge.errors import InputError, SurroundingsError
from cudaforge.pipeline.store import MARK, PID, check_store, open_store, tidy_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "store"
    open_store(directory)
    return directory


def refused(directory: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_store(directory)
    (problem,) = caught.value.problems
    assert problem.where is not None
    assert problem.where.file == str(directory)
    assert "name an empty directory" in str(problem.remedy)
    return problem.what


def test_a_file_is_no_directory(tmp_path: Path):
    file = tmp_path / "file"
    file.write_text("mine")
    assert refused(file) == f"{file} is a file, where a directory has to be"
    assert refused(file / "below" / "it") == f"{file} is a file, where a directory has to be"
    assert file.read_text() == "mine"


def test_a_link_to_nothing_is_no_directory(tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    assert refused(link) == f"{link} is a symbolic link to nothing"
    assert not (tmp_path / "gone").exists()


def test_a_path_that_leads_nowhere_is_the_users_mistake(tmp_path: Path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert refused(loop / "x") == f"{loop} is a symbolic link to nothing"
    long = tmp_path / ("x" * 300)
    with pytest.raises(InputError, match="File name too long") as caught:
        open_store(long)
    assert caught.value.problems[0].remedy == "name a place with a shorter path"


def test_a_mark_that_is_no_file_is_not_waited_for(store: Path):
    (store / MARK).unlink()
    os.mkfifo(store / MARK)
    with pytest.raises(InputError, match=f"{MARK} is neither a file nor a directory"):
        check_store(store)


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff", "null"])
def test_a_damaged_mark_is_told_with_what_belongs_in_it(content: str, store: Path):
    (store / MARK).write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=f"{MARK} is damaged") as caught:
        check_store(store)
    remedy = str(caught.value.problems[0].remedy)
    (store / MARK).write_text(remedy.partition("put ")[2].partition(" into")[0])
    check_store(store)


def test_a_directory_without_a_mark_is_not_ours(tmp_path: Path):
    (tmp_path / "wheels").mkdir()
    with pytest.raises(InputError, match="is no directory that cudaforge vendor filled"):
        check_store(tmp_path)


def test_a_link_to_a_directory_is_followed(store: Path, tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(store)
    open_store(link)


@pytest.mark.parametrize("name", ["lost+found", f".{MARK}.1234.abcdefgh"])
def test_the_root_of_a_new_disk_and_a_mark_half_written_are_nothing(name: str, tmp_path: Path):
    (tmp_path / name).mkdir()
    open_store(tmp_path)
    assert (tmp_path / MARK).is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_not_writable_fails_by_its_surroundings(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(SurroundingsError, match="EACCES") as caught:
        open_store(tmp_path)
    assert "make it writable" in str(caught.value.problems[0].remedy)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_is_not_readable_fails_by_its_surroundings(store: Path):
    store.chmod(0)
    try:
        with pytest.raises(SurroundingsError, match="cannot be read"):
            check_store(store)
    finally:
        store.chmod(0o700)


def test_all_that_stands_in_the_way_is_told_at_once(store: Path):
    a, b = "a" * 64, "b" * 64
    files = [f"collected/{a}.json", f"debs/{a}.deb", f"projects/{a}.json", f"pythons/{a}.tar.gz", PID]
    files += ["sources/a.tar.gz/commit", "uv/0.1-x/uv", f"wheels/{a}/a-1-py3-none-any.whl"]
    files += [f"bases/sha256-{b}/{name}" for name in ("oci-layout", "index.json", f"blobs/sha256/{a}")]
    directories = [f"bases/sha256-{a}", f"wheels/{b}", f"uv/0.2-x/wheels/{a}"]
    for name in files:
        (store / name).mkdir(parents=True)
    for name in directories:
        (store / name).parent.mkdir(exist_ok=True, parents=True)
        (store / name).touch()
    for name in ("wheels/notes", "sources/notes", "bases/notes"):
        (store / name).write_text("not of interest")
    with pytest.raises(SurroundingsError) as caught:
        tidy_store(store)
    told = {problem.what for problem in caught.value.problems}
    assert told == {f"{store / name} is a directory, where a file has to be" for name in files} | {
        f"{store / name} is a file, where a directory has to be" for name in directories
    }
    assert all(f"cudaforge vendor {store}" in str(one.remedy) for one in caught.value.problems)
    assert all((store / name).exists() for name in files + directories)


def test_a_link_to_a_disk_that_is_not_there_is_told(store: Path):
    (store / "wheels").symlink_to(store.parent / "unmounted")
    (store / "debs").touch()
    with pytest.raises(SurroundingsError) as caught:
        tidy_store(store)
    assert [problem.what for problem in caught.value.problems] == [
        f"{store}/debs is a file, where a directory has to be",
        f"{store}/wheels is a symbolic link to nothing",
    ]


def test_what_a_killed_run_left_is_taken_away(store: Path):
    left = [f"wheels/{'a' * 64}/.big.whl.abcd1234", "pythons/.p.tar.gz.77.abcdefgh", "debs/.new-x/y.deb"]
    kept = [f"wheels/{'a' * 64}/big.whl", "debs/.hidden", "debs/x.deb"]
    for name in left + kept:
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text("x")
    tidy_store(store)
    assert [name for name in left if (store / name).exists()] == []
    assert [name for name in kept if not (store / name).exists()] == []
    assert not (store / "debs/.new-x").exists()
