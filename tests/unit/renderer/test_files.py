import errno
import os
import stat
from pathlib import Path

import pytest

from cudaforge.errors import InputError, SurroundingsError
from cudaforge.renderer import RenderedFile, render_lock, write_rendered
from cudaforge.renderer import files as files_module
from tests.support.locks import CPU_IMAGE, GPU_IMAGE, make_lock

BOTH = render_lock(make_lock(GPU_IMAGE, CPU_IMAGE))
ONE = render_lock(make_lock(GPU_IMAGE))
PATHS = tuple(file.path for file in BOTH)


def texts_below(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    directory = tmp_path / "deep" / "out"
    write_rendered(BOTH, directory, force=False)
    return directory


def test_every_file_is_written(out: Path):
    assert texts_below(out) == {file.path: file.text for file in BOTH}


def test_modes_follow_the_umask(tmp_path: Path):
    before = os.umask(0o027)
    try:
        write_rendered(ONE, tmp_path / "out", force=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out" / "docker-bake.json").stat().st_mode) == 0o640


def test_unchanged_files_are_not_touched(out: Path):
    before = {path: (out / path).stat().st_mtime_ns for path in PATHS}
    done = write_rendered(BOTH, out, force=False)
    assert (done.written, done.removed) == ((), ())
    assert done.unchanged == PATHS
    assert {path: (out / path).stat().st_mtime_ns for path in PATHS} == before


def test_own_files_are_replaced_and_obsolete_ones_removed(out: Path):
    done = write_rendered(ONE, out, force=False)
    assert done.written == ("docker-bake.json",)
    assert done.removed == ("quick/Dockerfile", "quick/Dockerfile.dockerignore")
    assert not (out / "quick").exists()
    assert texts_below(out) == {file.path: file.text for file in ONE}


def test_obsolete_files_that_were_edited_or_copied_stay(out: Path):
    (out / "quick" / "Dockerfile").write_text((out / "quick" / "Dockerfile").read_text() + "RUN x\n")
    (out / "backup").mkdir()
    (out / "backup" / "Dockerfile").write_text((out / "train" / "Dockerfile").read_text())
    (out / "other").mkdir()
    (out / "other" / "Dockerfile").write_text("FROM x\n")
    done = write_rendered(ONE, out, force=True)
    assert done.removed == ("quick/Dockerfile.dockerignore",)
    assert (out / "quick" / "Dockerfile").exists()
    assert (out / "backup" / "Dockerfile").exists()
    assert (out / "other" / "Dockerfile").exists()


@pytest.mark.parametrize("path", ["train/Dockerfile", "train/Dockerfile.dockerignore", "docker-bake.json"])
@pytest.mark.parametrize("text", ["", "FROM somebody\n", "\udcff"])
def test_foreign_files_are_kept_and_nothing_is_written(tmp_path: Path, path: str, text: str):
    target = tmp_path / path
    target.parent.mkdir(exist_ok=True)
    target.write_text(text, errors="surrogateescape")
    before = target.read_bytes()
    with pytest.raises(InputError) as refusal:
        write_rendered(ONE, tmp_path, force=False)
    (problem,) = refusal.value.problems
    assert path in problem.what
    assert "--force" in problem.remedy
    assert target.read_bytes() == before
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [target]
    write_rendered(ONE, tmp_path, force=True)
    assert texts_below(tmp_path) == {file.path: file.text for file in ONE}


@pytest.mark.parametrize("path", PATHS)
def test_edited_files_are_kept(out: Path, path: str):
    changed = (out / path).read_text() + "\n"
    (out / path).write_text(changed)
    with pytest.raises(InputError, match="edited"):
        write_rendered(BOTH, out, force=False)
    assert (out / path).read_text() == changed


@pytest.mark.parametrize("force", [False, True])
def test_links_are_never_followed(tmp_path: Path, force: bool):  # noqa: FBT001
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "docker-bake.json").symlink_to(victim)
    with pytest.raises(InputError, match="symbolic link"):
        write_rendered(ONE, out, force=force)
    (out / "docker-bake.json").unlink()
    (tmp_path / "elsewhere").mkdir()
    (out / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="symbolic link"):
        write_rendered(ONE, out, force=force)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="symbolic link"):
        write_rendered(ONE, tmp_path / "link", force=force)
    assert victim.read_text() == "mine"
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, make):
    make(tmp_path / "docker-bake.json")
    with pytest.raises(InputError, match="no plain file"):
        write_rendered(ONE, tmp_path, force=True)


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="no directory"):
        write_rendered(ONE, tmp_path / "out", force=True)


def test_a_full_disk_leaves_the_old_files_and_no_temporary_ones(out: Path, monkeypatch: pytest.MonkeyPatch):
    before = texts_below(out)
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files_module.os, "fsync", fsync)
    changed = [RenderedFile(path=file.path, text=file.text + "#") for file in BOTH]
    with pytest.raises(SurroundingsError) as failure:
        write_rendered(changed, out, force=True)
    assert "ENOSPC" in failure.value.problems[0].what
    assert texts_below(out) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission(tmp_path: Path):
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(SurroundingsError, match="EACCES"):
        write_rendered(ONE, tmp_path / "out", force=False)


def test_a_parent_that_is_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file is a file, where a directory has to be") as caught:
        write_rendered(ONE, tmp_path / "file" / "out", force=False)
    assert caught.value.problems[0].remedy == "move it away, or name another directory"


@pytest.mark.parametrize("path", ["../x", "/x", "a/b/c", "", "a/..", "./a"])
def test_paths_stay_below_the_directory(tmp_path: Path, path: str):
    with pytest.raises(ValueError, match="no path"):
        write_rendered([RenderedFile(path=path, text="")], tmp_path / "out", force=True)
