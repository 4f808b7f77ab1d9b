"""Files put in place: whole, several together, with the time of what they are made of."""

from __future__ import annotations

import os
import socket

import pytest

from cudaforge.errors import CudaforgeError, InputError, SurroundingsError
from cudaforge.files import (
    copy_atomically,
    find_obstacle,
    path_error,
    write_atomically,
    write_bytes_atomically,
    write_together,
)


def test_all_are_written(tmp_path):
    (tmp_path / "a").write_text("old")
    write_together({tmp_path / "a": "new", tmp_path / "b" / "c": "new"})
    assert [(tmp_path / name).read_text() for name in ("a", "b/c")] == ["new", "new"]


def test_where_one_cannot_be_written_all_are_as_they_were(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(CudaforgeError, match="symbolic link"):
        write_together({tmp_path / "a": "new", tmp_path / "b": "new", tmp_path / "link": "new"})
    assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "target").read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "link", "target"]


def test_where_one_cannot_be_written_what_is_no_text_is_as_it_was(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff\r\n")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is a file, where a directory has to be"):
        write_together({tmp_path / "a": "new", tmp_path / "file" / "b": "new"})
    assert (tmp_path / "a").read_bytes() == b"\xff\r\n"


def test_a_directory_in_the_place_of_one_is_named_and_nothing_is_written(tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="b is a directory, where a file has to be"):
        write_together({tmp_path / "a": "new", tmp_path / "b": "new"})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_copy_that_cannot_be_made_names_the_file_that_is_at_fault(tmp_path):
    with pytest.raises(SurroundingsError, match=r"cannot read \S*/gone: No such file"):
        copy_atomically(tmp_path / "gone", tmp_path / "new" / "copy", sha256="")
    (tmp_path / "source").write_text("x")
    with pytest.raises(InputError, match="source is a file, where a directory has to be"):
        copy_atomically(tmp_path / "source", tmp_path / "source" / "copy", sha256="")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_pipe_or_a_device_is_left_what_it_is(tmp_path, kind):
    odd = tmp_path / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(odd))
    before = odd.lstat()
    for write in (lambda: write_atomically(odd, "new"), lambda: write_together({odd: "new"})):
        with pytest.raises(InputError, match=f"odd is a {kind}"):
            write()
    assert (odd.lstat().st_ino, odd.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["odd"]


def test_a_file_takes_the_time_of_what_it_is_made_of(tmp_path, monkeypatch):
    target = tmp_path / "deep" / "made.json"
    write_bytes_atomically(target, b"one", changed=1_000_000_000)
    assert target.read_bytes() == b"one"
    assert target.stat().st_mtime_ns == 1_000_000_000

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SurroundingsError, match="No space left"):
        write_bytes_atomically(target, b"two")
    assert target.read_bytes() == b"one"
    assert [path.name for path in target.parent.iterdir()] == ["made.json"]


def test_the_next_writer_takes_away_what_a_killed_one_left(tmp_path):
    dead, alive = 2**22 + 1, os.getpid()  # pid_max is at most 2**22
    stale, busy = (tmp_path / f".a.lock.{pid}.abcd_123" for pid in (dead, alive))
    other = tmp_path / f".b.lock.{dead}.abcd_123"
    for path in (stale, busy, other):
        path.write_text("x")
    write_atomically(tmp_path / "a.lock", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((busy.name, other.name, "a.lock"))


def test_what_is_in_the_way_is_found_and_what_cannot_be_looked_at_is_not(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    assert find_obstacle(tmp_path / "file") is None
    assert find_obstacle(tmp_path / "none" / "x") is None
    assert find_obstacle(tmp_path) == f"{tmp_path} is a directory, where a file has to be"
    assert find_obstacle(tmp_path / "file" / "x" / "y").startswith(f"{tmp_path}/file is a file")
    assert find_obstacle(tmp_path / "loop" / "x") == f"{tmp_path}/loop is a symbolic link to nothing"
    assert find_obstacle(tmp_path / ("x" * 300) / "y") is None

    def forbidden(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "is_dir", forbidden)
    assert find_obstacle(tmp_path / "file" / "x") is None


@pytest.mark.parametrize(
    ("verb", "remedy"), [("read", "readable"), ("write", "writable"), ("use", "writable")]
)
def test_what_is_not_allowed_is_told_with_what_would_allow_it(tmp_path, verb, remedy):
    error = path_error(tmp_path / "a", PermissionError(13, "Permission denied"), verb)
    assert str(error).startswith(f"cannot {verb} {tmp_path}/a: Permission denied (EACCES)")
    assert f"make it {remedy} for you" in error.problems[0].remedy
