"""`clean` on a real engine: what cudaforge made goes, what others made stays."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cudaforge.builder.record import BuildRecord, save_record
from cudaforge.cli.main import run_command_line
from cudaforge.doctor.leftovers import Kind
from cudaforge.engine import RUN_LABEL, connect
from cudaforge.pipeline import cleaning
from cudaforge.pipeline.decide import load
from cudaforge.renderer.model import ENTRY_LABEL
from tests.support.bases import make_base

pytestmark = pytest.mark.engine

NAME = f"cudaforge.invalid/test-clean-{os.getpid()}"
DEAD = 2**22 + 1
"""No process has this number: pid_max is at most 2**22."""
DOCKERFILE = f"""\
FROM scratch AS ours
COPY file /
LABEL {ENTRY_LABEL}=sha256:1

FROM ours AS theirs
COPY other /
CMD ["/other"]
"""


def docker(*words: str | Path) -> str:
    done = subprocess.run(
        ["docker", *map(str, words)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def has(reference: str) -> bool:
    words = ["docker", "image", "inspect", reference]
    return subprocess.run(words, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.fixture
def project(engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project that built one image, from which others built one of their own."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "file").write_bytes(os.urandom(200_000))
    (context / "other").write_bytes(os.urandom(1000))
    for target in ("ours", "theirs"):
        options = ("--quiet", "--provenance=false", "--target", target, "--tag", f"{NAME}:{target}")
        docker("buildx", "build", *options, context)
    root = tmp_path / "project"
    root.mkdir()
    (root / "cudaforge.toml").write_text('schema = 1\n[images.train]\nframework = "pytorch"\n')
    state = root / ".cudaforge"
    save_record(state / "builds/train.json", BuildRecord(image_id=image_id("ours"), inputs="x"))
    (state / "logs").mkdir()
    (state / "logs/train.log").write_text("a log\n")
    (root / "main.py").write_text("print()\n")
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield root
    for target in ("ours", "theirs"):
        with suppress(AssertionError):
            docker("rmi", "--force", f"{NAME}:{target}")


def image_id(target: str) -> str:
    return docker("image", "inspect", "--format", "{{.Id}}", f"{NAME}:{target}")


def test_a_tag_that_others_gave_keeps_the_image(project: Path) -> None:
    """The lock names no such tag: it is not the project's to remove."""
    assert run_command_line(["clean", "--yes"]) == 0
    assert has(f"{NAME}:ours")
    assert not (project / ".cudaforge/logs").exists()
    assert (project / "main.py").exists()


def test_all_takes_every_image_of_ours_and_leaves_those_made_from_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = connect()
    found = [one for one in cleaning.find(None, engine) if one.kind is Kind.IMAGE]
    engine.close()
    names = {one.name for one in found}
    assert f"{NAME}:ours" in names
    assert f"{NAME}:theirs" not in names
    assert run_command_line(["clean", "--all", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["dry_run"], document["freed"]) == (1, True, 0)
    ours = next(one for one in document["items"] if one["name"] == f"{NAME}:ours")
    assert ours["kind"] == "image"
    assert ours["bytes"] >= 200_000
    assert has(f"{NAME}:ours")


def test_an_image_of_the_project_goes(project: Path) -> None:
    docker("rmi", f"{NAME}:theirs")
    engine = connect()
    declaration = load(project / "cudaforge.toml")
    items = [one for one in cleaning.find(None, engine) if one.name == f"{NAME}:ours"]
    done = cleaning.clean(items, declaration, engine, on_note=print)
    engine.close()
    assert [one.is_kept for one in done.items] == [False]
    assert done.freed >= 0  # its layer stays in the build cache, which is that of others, too
    assert not has(f"{NAME}:ours")


def test_an_image_that_a_container_uses_stays(project: Path) -> None:
    container = docker("create", f"{NAME}:ours", "/file")
    try:
        engine = connect()
        items = [one for one in cleaning.find(None, engine) if one.name == f"{NAME}:ours"]
        done = cleaning.clean(items, None, engine, on_note=print)
        engine.close()
        assert [one.is_kept for one in done.items] == [True]
        assert has(f"{NAME}:ours")
    finally:
        docker("rm", container)


def test_containers_of_runs_that_died(project: Path) -> None:
    runs = project / ".cudaforge/runs"
    runs.mkdir()
    (runs / f"{DEAD}-0a0a").touch()
    (runs / f"{os.getpid()}-0b0b").touch()
    made = {
        run: docker("create", "--label", f"{RUN_LABEL}={run}", f"{NAME}:theirs", "/other")
        for run in ("0a0a", "0b0b")
    }
    try:
        assert run_command_line(["clean", "--yes"]) == 0
        left = docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={RUN_LABEL}")
        assert made["0a0a"] not in left
        assert made["0b0b"] in left
    finally:
        for container in made.values():
            with suppress(AssertionError):
                docker("rm", container)


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt")
def test_build_cache_of_ours_is_told_from_that_of_others(project: Path, tmp_path: Path) -> None:
    context = tmp_path / "cached"
    context.mkdir()
    steps = "".join(
        f"RUN --mount=type=cache,id={name},target=/c echo {os.getpid()} > /c/x\n"
        for name in ("cudaforge-test", "test-other")
    )
    (context / "Dockerfile").write_text(f"FROM base\n{steps}")
    base = make_base("bookworm").build_context
    docker("buildx", "build", "--quiet", "--no-cache", f"--build-context=base={base}", context)
    engine = connect()
    items = [one for one in cleaning.find(None, engine) if one.name == "cudaforge-test"]
    assert len(items) == 1
    done = cleaning.clean(items, None, engine, on_note=print)
    assert (done.items[0].kind, done.items[0].is_kept) == (Kind.CACHE, False)
    assert done.freed > 0
    left = " ".join(one.description for one in engine.list_cache())
    engine.close()
    assert "cudaforge-test" not in left
    assert "test-other" in left


def test_nothing_goes_without_a_yes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["clean"]) == 2
    assert "--yes removes it" in capsys.readouterr().err
    assert (project / ".cudaforge/logs/train.log").exists()
