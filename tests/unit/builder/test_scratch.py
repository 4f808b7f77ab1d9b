import os
import subprocess
import sys

import pytest

from cudaforge.builder import scratch
from cudaforge.builder.scratch import discard, find_mounts, scratch_directory, sweep_scratch, write_private
from cudaforge.errors import InputError, SurroundingsError


def test_the_directory_is_private_and_goes_away(tmp_path):
    with scratch_directory(tmp_path / "new") as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        write_private(directory / "secret", b"s")
        assert (directory / "secret").stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "new").iterdir()) == []


def test_it_goes_away_on_an_interrupt(tmp_path):
    with pytest.raises(KeyboardInterrupt), scratch_directory(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_no_directory_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is a file, where"), scratch_directory(tmp_path / "file"):
        pass


def test_a_private_file_follows_no_link_and_replaces_nothing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "there").write_text("old")
    for name in ("link", "there"):
        with pytest.raises(SurroundingsError, match="cannot write"):
            write_private(tmp_path / name, b"s")
    assert not (tmp_path / "elsewhere").exists()


def test_what_a_killed_run_left_is_swept_up(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / f"cudaforge-{gone.pid}-abc"
    ours = tmp_path / f"cudaforge-{os.getpid()}-abc"
    for path in (left, ours, tmp_path / "other"):
        path.mkdir()
    (left / "secret").write_text("s")
    sweep_scratch(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {ours.name, "other"}


def test_a_link_with_such_a_name_is_left_alone(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "precious").mkdir()
    (tmp_path / f"cudaforge-{gone.pid}-x").symlink_to(tmp_path / "precious")
    sweep_scratch(tmp_path)
    assert (tmp_path / "precious").is_dir()


def test_what_is_mounted_below_is_found(tmp_path):
    ours = tmp_path / "a b"
    ours.mkdir()
    said = "".join(
        f"45 27 254:0 / {place} rw,relatime - ext4 /dev/vda rw\n"
        for place in ("/", f"{tmp_path}/a\\040b/mnt", f"{tmp_path}/a", f"{tmp_path}/a\\040bc")
    )
    (tmp_path / "mounts").write_text(said)
    assert find_mounts(ours, mounts=tmp_path / "mounts") == (ours / "mnt",)
    assert find_mounts(ours, mounts=tmp_path / "none") == ()


def test_what_cannot_be_unmounted_is_never_entered(tmp_path, monkeypatch):
    """Removing what is mounted there would remove the files of others."""
    ours = tmp_path / "ours"
    (ours / "mnt").mkdir(parents=True)
    (ours / "mnt/precious").write_text("theirs")
    monkeypatch.setattr(scratch, "find_mounts", lambda directory: (directory / "mnt",))
    discard(ours)
    assert (ours / "mnt/precious").exists()


def test_directories_that_may_not_be_listed_go_too(tmp_path):
    """Podman without root leaves such ones. To root it makes no difference."""
    ours = tmp_path / "ours"
    (ours / "mnt/target").mkdir(parents=True)
    (tmp_path / "precious").mkdir(mode=0o500)
    (ours / "mnt/link").symlink_to(tmp_path / "precious")
    (ours / "mnt/target").chmod(0)
    (ours / "mnt").chmod(0o100)
    discard(ours)
    assert not ours.exists()
    assert (tmp_path / "precious").stat().st_mode & 0o777 == 0o500
