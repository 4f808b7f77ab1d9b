"""How `cudaforge verify` ends before its time: an interrupt, an engine that goes away, a proof without end.

Whenever it happens, the engine has no container, volume or mount more than before, and what was proven by
then stays proven.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cudaforge.engine.model import RUN_LABEL
from tests.support.engine import Engine
from tests.support.index import Index, serve
from tests.support.proxy import engine_proxy
from tests.support.tiny import TinyProject, clean_environment, make_tiny_wheel, read_files, wait_until

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

STOP_SECONDS = 15.0
FIRST = "import os, time; time.sleep(float(os.environ.get('TINY_SLEEP', '0')))"
"""The framework's import takes as long as its image says."""
SLOW = 'env = { TINY_SLEEP = "100" }'
MOMENTS = 8


@pytest.fixture(scope="module")
def project(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyProject]:
    """Two images that are soon proven, and one that is not."""
    directory = tmp_path_factory.mktemp("ends")
    make_tiny_wheel(directory / "wheels", first=FIRST)
    with serve(Index(files=directory / "wheels")) as index:
        project = TinyProject(
            root=directory / "project",
            environment=clean_environment(directory, UV_DEFAULT_INDEX=index.url),
        )
        project.declare("quick", "other", f"slow\n{SLOW}")
        for command in ("lock", "build"):
            done = project.run(command)
            assert done.returncode == 0, done.stderr
        yield project
        docker("rmi", "--force", *(f"{project.name}:{name}" for name in ("quick", "other", "slow")))


@pytest.fixture(autouse=True)
def unproven(project: TinyProject) -> None:
    for folder in ("verdicts", "runs"):
        shutil.rmtree(project.root / ".cudaforge" / folder, ignore_errors=True)


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=True).stdout


def containers(project: TinyProject) -> set[str]:
    """Containers of the project's images: others may be at work on this engine."""
    listed = docker("ps", "--all", "--filter", f"label={RUN_LABEL}", "--format", "{{.ID}} {{.Image}}")
    ids = set(docker("images", "--no-trunc", "--quiet", project.name).split())
    lines = [line.split() for line in listed.splitlines()]
    return {
        name
        for name, image in lines
        if project.name in image or any(one.removeprefix("sha256:").startswith(image) for one in ids)
    }


def volumes() -> set[str]:
    return set(docker("volume", "ls", "--quiet").split())


def mounts() -> list[str]:
    """File systems of containers, by the engine's own place for them."""
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if "/rootfs" in line]


def verdicts(project: TinyProject) -> dict[str, dict]:
    """The verdicts that are kept. A file that is cut short is an error here."""
    files = read_files(project.root / ".cudaforge" / "verdicts")
    return {Path(name).stem: json.loads(content) for name, content in files.items()}


def check_nothing_left(project: TinyProject, before: set[str], tmp: Path) -> None:
    assert containers(project) == set()
    assert volumes() == before
    assert read_files(tmp) == {}
    runs = project.root / ".cudaforge" / "runs"
    assert not runs.is_dir() or list(runs.iterdir()) == []


def one_message(stderr: str, *words: str) -> None:
    assert stderr.count("error: ") == 1, stderr
    assert "Traceback" not in stderr
    for word in words:
        assert word in stderr, stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_at_any_moment_leaves_nothing(project: TinyProject, number: signal.Signals) -> None:
    """From before the engine is asked to the middle of a proof."""
    before, tmp = volumes(), Path(project.environment["TMPDIR"])
    moments = random.Random(number).uniform
    for moment in range(MOMENTS):
        with project.start("verify") as child:
            time.sleep(moments(moment * 0.35, (moment + 1) * 0.35))
            child.send_signal(number)
            started = time.monotonic()
            _, stderr = child.communicate(timeout=60)
        assert time.monotonic() - started < STOP_SECONDS
        # A Python that has not come to its own code yet dies of it.
        assert child.returncode in {128 + number, -number}, stderr
        if child.returncode > 0:
            one_message(stderr, "interrupted")
        check_nothing_left(project, before, tmp)
        assert set(verdicts(project)) <= {"quick", "other"}
        assert all(verdict["ok"] for verdict in verdicts(project).values())


def wait_for_the_slow_one(project: TinyProject) -> None:
    """Until the others are proven and it alone is at work."""
    wait_until(lambda: set(verdicts(project)) == {"quick", "other"}, timeout=60, what="verdicts")
    wait_until(lambda: len(containers(project)) == 1, timeout=30, what="the slow one's container")


def test_what_was_proven_before_an_interrupt_is_not_proven_again(project: TinyProject) -> None:
    before = volumes()
    with project.start("verify") as child:
        wait_for_the_slow_one(project)
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=60)
    assert child.returncode == 130, stderr
    check_nothing_left(project, before, Path(project.environment["TMPDIR"]))
    check_kept(project)


def check_kept(project: TinyProject) -> None:
    """The two that were proven are, and nothing is said of the third; a later run repeats no proof."""
    kept = {name: verdict["facts"]["verified"] for name, verdict in verdicts(project).items()}
    assert set(kept) == {"quick", "other"}
    done = project.run("verify", "quick", "other", "--json")
    assert done.returncode == 0, done.stderr
    assert {one["name"]: one["facts"]["verified"] for one in json.loads(done.stdout)["images"]} == kept


@pytest.mark.parametrize("ends", ["die", "freeze"])
def test_an_engine_that_goes_away_while_images_are_verified(
    project: TinyProject, tmp_path: Path, ends: str
) -> None:
    """Its container cannot be removed then; the next run does that, and repeats no proof."""
    before = volumes()
    with (
        engine_proxy(tmp_path) as proxy,
        project.start("verify", DOCKER_HOST=proxy.address) as child,
    ):
        wait_for_the_slow_one(project)
        getattr(proxy, ends)()
        if ends == "freeze":
            child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=100)
    assert child.returncode == {"die": 3, "freeze": 130}[ends], stderr
    one_message(stderr, *({"die": ("container engine went away",), "freeze": ("interrupted",)}[ends]))
    left = containers(project)
    check_kept(project)
    assert left.isdisjoint(docker("ps", "--all", "--quiet").split())
    check_nothing_left(project, before, Path(project.environment["TMPDIR"]))


def test_a_proof_that_takes_too_long(project: TinyProject) -> None:
    """It fails by its name; the others are proven; nothing is left."""
    before = volumes()
    mounted = mounts()
    project.declare("quick", "other", f'slow\n{SLOW}\nverify = {{ timeout = "4s" }}')
    try:
        assert project.run("lock").returncode == 0
        assert project.run("build").returncode == 0
        done = project.run("verify", "--json")
        assert done.returncode == 1, done.stderr
        told = {one["name"]: one for one in json.loads(done.stdout)["images"]}
        assert [name for name, one in told.items() if one["ok"]] == ["quick", "other"]
        failed = {
            check["id"]: check.get("code") for check in told["slow"]["checks"] if check["state"] == "fail"
        }
        assert failed == {"tiny.import": "timed-out"}, told["slow"]["checks"]
        check_nothing_left(project, before, Path(project.environment["TMPDIR"]))
        assert mounts() == mounted
    finally:
        project.declare("quick", "other", f"slow\n{SLOW}")
        assert project.run("lock").returncode == 0
        assert project.run("build").returncode == 0
