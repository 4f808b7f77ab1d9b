import errno
import os
import shutil
from pathlib import Path

import pytest

from cudaforge.bootstrap.layout import write_layout
from cudaforge.bootstrap.tree import Entry, Kind
from cudaforge.errors import InputError, NegativeAnswer, SurroundingsError
from cudaforge.lockfile.model import Lock, LockedCopy, LockedImage
from cudaforge.packages.collect import wheel_file
from cudaforge.pipeline import decide
from cudaforge.pipeline.vendoring import (
    base_directory,
    copy_layout,
    find_base,
    find_damaged_blob,
    find_wheel,
    vendor,
)
from cudaforge.records import replace
from tests.support.locks import CPU_IMAGE
from tests.support.tiny import read_files


@pytest.mark.parametrize("name", ["co:lon", "new\nline", "bell\a"])
def test_a_directory_that_no_build_can_be_given_is_refused_before_anything_is_collected(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "cudaforge.toml").write_text('schema = 1\n[images.a]\nframework = "jax"\ncuda = "none"\n')
    lock = Lock(project="x", declaration="", matrix="", tools={}, images=())
    with pytest.raises(InputError, match="a colon or a character"):
        vendor(lock, decide.load(tmp_path / "cudaforge.toml"), tmp_path / name, on_note=print)
    assert not (tmp_path / name).exists()


def test_a_directory_that_an_image_copies_is_told(tmp_path: Path) -> None:
    (tmp_path / "cudaforge.toml").write_text('schema = 1\n[images.a]\nframework = "jax"\ncuda = "none"\n')
    (tmp_path / "app").mkdir()
    image = replace(
        CPU_IMAGE,
        copy=tuple(LockedCopy(source=source, target="/app/") for source in ("app", ".")),
        base=replace(CPU_IMAGE.base, digest=None),
        closure=replace(CPU_IMAGE.closure, wheels=()),
    )
    lock = Lock(project="x", declaration="", matrix="", tools={}, images=(image,))
    told: list[str] = []
    for place in (
        tmp_path / "store",
        tmp_path / ".cudaforge/store",
        tmp_path.parent / f"{tmp_path.name}-store",
    ):
        with pytest.raises(NegativeAnswer, match="not pinned to a digest"):
            vendor(lock, decide.load(tmp_path / "cudaforge.toml"), place, on_note=told.append)
    (text,) = (text for text in told if "copy takes" in text)
    assert text.startswith(f"quick: copy takes ., and {tmp_path}/store is in it: name a directory outside")


def based(directory: Path) -> LockedImage:
    """An image whose base is in the directory."""
    entry = Entry(path="etc", kind=Kind.DIRECTORY, mode=0o755, uid=0, gid=0, mtime=0, target="", content=b"")
    digest = write_layout(directory / "made", [entry], architecture="amd64")
    image = replace(CPU_IMAGE, base=replace(CPU_IMAGE.base, digest=digest))
    place = base_directory(directory, image.base)
    place.parent.mkdir()
    (directory / "made").rename(place)
    return image


def test_a_directory_in_the_place_of_a_wheel_is_told_with_what_to_do(tmp_path: Path) -> None:
    wheel = next(one for one in CPU_IMAGE.closure.wheels if not one.is_built)
    path = wheel_file(tmp_path, wheel)
    path.mkdir(parents=True)
    with pytest.raises(SurroundingsError, match="is a directory, where a file has to be") as caught:
        find_wheel(tmp_path, wheel)
    (problem,) = caught.value.problems
    assert str(path) in problem.what
    assert f"remove it, and collect again where there is a network: cudaforge vendor {tmp_path}" == str(
        problem.remedy
    )


def test_a_file_in_the_place_of_a_base_is_told_with_what_to_do(tmp_path: Path) -> None:
    image = based(tmp_path)
    assert find_base(tmp_path, image).digest == image.base.digest
    place = base_directory(tmp_path, image.base)
    place.rename(tmp_path / "away")
    with pytest.raises(SurroundingsError, match=r"the base .* is not in"):
        find_base(tmp_path, image)
    place.touch()
    with pytest.raises(SurroundingsError, match="is a file, where a directory has to be") as caught:
        find_base(tmp_path, image)
    assert str(place) in caught.value.problems[0].what


def test_a_disk_that_is_full_is_told_by_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = base_directory(tmp_path, based(tmp_path).base)
    copy_layout(source, tmp_path / "copy")
    assert read_files(tmp_path / "copy") == read_files(source)

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left") as caught:
        copy_layout(source, tmp_path / "again")
    assert caught.value.errno == errno.ENOSPC


def test_a_base_that_is_damaged_and_as_large_as_before_is_seen(tmp_path: Path) -> None:
    image = based(tmp_path)
    place = base_directory(tmp_path, image.base)
    assert find_damaged_blob(place) is None
    layer = max((place / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    layer.write_bytes(b"x" * layer.stat().st_size)
    assert find_base(tmp_path, image).digest == image.base.digest
    assert find_damaged_blob(place) == layer
