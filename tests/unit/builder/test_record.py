import json
import os
from pathlib import Path

import pytest

from cudaforge.builder.model import BuildResult, BuildState
from cudaforge.builder.record import (
    BuildRecord,
    fingerprint_inputs,
    keep_outcome,
    load_record,
    save_record,
)
from cudaforge.errors import InputError
from cudaforge.lockfile.model import LockedCopy
from cudaforge.records import replace
from cudaforge.renderer.model import RenderedImage
from tests.support.locks import GPU_IMAGE

RENDERED = RenderedImage(name="train", dockerfile="FROM x\n", ignore="*\n", contexts=(), secrets=())


@pytest.fixture
def project(tmp_path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.py").write_text("print(1)\n")
    (tmp_path / ".cudaforge" / "logs").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    return tmp_path


def fingerprint(project, image=GPU_IMAGE, rendered=RENDERED):
    return fingerprint_inputs(image, rendered, root=project, state=project / ".cudaforge")


def test_nothing_changed(project):
    assert fingerprint(project) == fingerprint(project)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "src" / "main.py").write_text("print(22)\n"),
        lambda root: os.utime(root / "src" / "main.py", ns=(1, 1)),
        lambda root: (root / "src" / "main.py").chmod(0o755),
        lambda root: (root / "src" / "main.py").unlink(),
        lambda root: (root / "src" / "main.py").rename(root / "src" / "other.py"),
        lambda root: (root / "new").mkdir(),
        lambda root: (root / "link").symlink_to("src"),
    ],
)
def test_a_change_in_a_copied_directory_shows(project, change):
    before = fingerprint(project)
    change(project)
    assert fingerprint(project) != before


@pytest.mark.parametrize("path", [".cudaforge/logs/train.log", ".git/index"])
def test_logs_and_version_control_do_not_count(project, path):
    before = fingerprint(project)
    (project / path).write_text("x")
    assert fingerprint(project) == before


def test_files_that_are_not_copied_do_not_count(project):
    image = replace(GPU_IMAGE, copy=(LockedCopy(source="src", target="/app"),))
    before = fingerprint(project, image)
    (project / "notes.txt").write_text("x")
    assert fingerprint(project, image) == before


def test_a_single_file(project):
    image = replace(GPU_IMAGE, copy=(LockedCopy(source="src/main.py", target="/app/"),))
    before = fingerprint(project, image)
    (project / "src" / "main.py").write_text("print(333)\n")
    assert fingerprint(project, image) != before


def test_dockerfile_ignore_file_and_platform_count(project):
    assert (
        len(
            {
                fingerprint(project),
                fingerprint(project, rendered=replace(RENDERED, dockerfile="FROM y\n")),
                fingerprint(project, rendered=replace(RENDERED, ignore="")),
                fingerprint(project, replace(GPU_IMAGE, platforms=("linux/arm64",))),
            }
        )
        == 4
    )


def test_a_record_survives(tmp_path):
    record = BuildRecord(image_id="sha256:1", inputs="2")
    save_record(tmp_path / "builds" / "train.json", record)
    assert load_record(tmp_path / "builds" / "train.json") == record
    assert [path.name for path in (tmp_path / "builds").iterdir()] == ["train.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"schema": 2}', b'{"schema": 1}', b"\xff", b"[" * 100_000]
)
def test_a_damaged_record_is_none(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    assert load_record(tmp_path / "x.json") is None


def test_a_record_that_is_not_there(tmp_path):
    assert load_record(tmp_path / "x.json") is None


def test_a_record_that_cannot_be_written(tmp_path):
    (tmp_path / "builds").write_text("a file")
    with pytest.raises(InputError, match="builds is a file, where a directory has to be"):
        save_record(tmp_path / "builds" / "x.json", BuildRecord(image_id="1", inputs="2"))


def test_how_a_build_ended_is_kept_whatever_the_log_is_called(tmp_path):
    log = tmp_path / os.fsdecode(b"\xff") / "train.log"
    result = BuildResult(
        name="train",
        state=BuildState.FAILED,
        reference="x:y",
        image_id=None,
        size=None,
        seconds=1.0,
        log=str(log),
    )
    keep_outcome(tmp_path, GPU_IMAGE, result)
    (kept,) = (tmp_path / "outcomes").glob("*.json")
    assert json.loads(kept.read_text())["build"]["log"] == str(log)
