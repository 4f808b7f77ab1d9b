import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cudaforge.bootstrap.cache import build_directory, disk_errors, hold_lock, scratch_directory
from cudaforge.bootstrap.deadline import start_deadline
from cudaforge.errors import SurroundingsError


def interrupt_in(make: Callable[[Path], AbstractContextManager[Path]], place: Path) -> None:
    with make(place) as scratch:
        (scratch / "half").write_text("")
        raise KeyboardInterrupt


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    place = tmp_path / "base"
    with pytest.raises(KeyboardInterrupt):
        interrupt_in(build_directory, place)
    assert list(tmp_path.iterdir()) == []
    with build_directory(place) as scratch:
        (scratch / "file").write_text("")
        assert not place.exists()
    assert [path.name for path in place.iterdir()] == ["file"]
    assert list(tmp_path.iterdir()) == [place]


def test_what_a_killed_run_left_is_removed(tmp_path):
    (tmp_path / ".base.new").mkdir()
    (tmp_path / ".base.new/old").write_text("")
    with build_directory(tmp_path / "base") as scratch:
        assert list(scratch.iterdir()) == []


def test_a_scratch_directory_goes_on_every_way_out(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupt_in(scratch_directory, tmp_path / "scratch")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_waited_for_until_the_deadline(tmp_path):
    with (
        hold_lock(tmp_path / "x", start_deadline("first", 5)),
        pytest.raises(SurroundingsError, match="second did not end"),
        hold_lock(tmp_path / "x", start_deadline("second", 0.2)),
    ):
        pass
    with hold_lock(tmp_path / "x", start_deadline("third", 0.2)):
        pass


def test_a_full_disk_says_where(tmp_path):
    with pytest.raises(SurroundingsError, match=r"cannot use .*: No space left"), disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "file"))
