"""Whether what is to be built fits on the disk of its engine: what is known of it, and never a guess."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from cudaforge.engine import DOCKER, EngineUnreachable
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.pipeline import sizes
from cudaforge.pipeline.sizes import check_disk, least_need
from cudaforge.records import replace
from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.resolver.model import Bytes, Size, SizePart
from tests.support.locks import GPU_IMAGE

OTHER = replace(GPU_IMAGE, name="other", tags=("x:other",))
APART = replace(OTHER, name="apart", closure=replace(GPU_IMAGE.closure, sha256="9" * 64))


def size(base: int, *wheels: int | None, cuda: int = 0) -> Size:
    parts = [SizePart(kind="base", name="b", bytes=Bytes(compressed=base, installed=2 * base))]
    parts += [SizePart(kind="wheels", name="w", bytes=Bytes(compressed=one, installed=one)) for one in wheels]
    parts.append(SizePart(kind="cuda-wheels", name="nvidia-*", bytes=Bytes(compressed=cuda, installed=cuda)))
    return Size(compressed=None, installed=None, known=None not in wheels, parts=tuple(parts))


def test_bases_and_closures_that_images_share_count_once():
    one = size(10, 100, cuda=1000)
    need = least_need((GPU_IMAGE, OTHER, APART), {"train": one, "other": one, "apart": one})
    assert need.by_image == {"train": 2230, "other": 2230, "apart": 2230}
    assert need.bytes == 30 + 2200 + 2200
    assert need.unknown == ()


def test_frameworks_side_by_side_count_as_the_largest():
    assert least_need((GPU_IMAGE,), {"train": size(10, 100, 300)}).bytes == 30 + 600


def test_what_nobody_has_weighed_is_named_and_not_counted():
    need = least_need((GPU_IMAGE, OTHER), {"train": size(10, None)})
    assert (need.bytes, need.unknown) == (30, ("train", "other"))


class Stub:
    """An engine that says where its data is, and what it has."""

    words = DOCKER

    def __init__(self, root: Path | None, *has: str, is_local: bool = True, is_lost: bool = False) -> None:
        self.address = SimpleNamespace(is_local=is_local)
        self._root, self._has, self._is_lost = root, has, is_lost

    def info(self):
        return {"DockerRootDir": str(self._root)}

    def find_image(self, reference: str):
        if self._is_lost:
            raise EngineUnreachable(Problem(what="gone"))
        return SimpleNamespace(labels={ENTRY_LABEL: GPU_IMAGE.digest}) if reference in self._has else None


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch):
    """Checks for images of 2230 bytes, with so much free; returns what was noted."""
    one = SimpleNamespace(size=size(10, 100, cuda=1000))
    answers = {"train": one, "apart": one}
    monkeypatch.setattr(sizes, "expected_answers", lambda *_: answers)

    def run(*engines: Stub, free: int, images=(GPU_IMAGE,)) -> list[str]:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        notes: list[str] = []
        check_disk(images, engines, declaration=None, on_note=notes.append)
        return notes

    return run


def test_what_fits_is_told_and_what_does_not_is_refused(check, tmp_path: Path):
    assert check(Stub(tmp_path), free=2230) == [f"1 image to build: about 2 kB, of 2 kB free at {tmp_path}"]
    with pytest.raises(SurroundingsError) as raised:
        check(Stub(tmp_path), free=1230, images=(GPU_IMAGE, APART))
    (problem,) = raised.value.problems
    assert f"2 images to build: about 4 kB, of 1 kB free at {tmp_path}" in problem.what
    assert problem.because == ("3 kB are missing", "train takes 2 kB by itself", "apart takes 2 kB by itself")
    assert "--no-disk-check" in problem.remedy
    assert raised.value.exit_code == 3


def test_what_is_not_weighed_is_said(check, tmp_path: Path):
    with pytest.raises(SurroundingsError) as raised:
        check(Stub(tmp_path), free=1, images=(GPU_IMAGE, replace(OTHER, name="new")))
    (problem,) = raised.value.problems
    assert "at least" in problem.what
    assert problem.because[-1] == "not counted is what nobody has weighed of new"


def test_what_is_there_needs_nothing(check, tmp_path: Path):
    assert check(Stub(tmp_path), Stub(tmp_path, GPU_IMAGE.tags[0]), free=0) == []


def test_two_engines_on_one_disk_do_not_have_it_twice(check, tmp_path: Path):
    with pytest.raises(SurroundingsError):
        check(Stub(tmp_path), Stub(tmp_path), free=2000)


@pytest.mark.parametrize(
    "engine", [Stub(None, is_local=False), Stub(Path("/nowhere-at-all")), Stub(None, is_lost=True)]
)
def test_a_disk_that_cannot_be_looked_at_is_no_reason(check, tmp_path: Path, engine: Stub):
    assert check(Stub(tmp_path), engine, free=0) == []
