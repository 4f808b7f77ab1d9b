"""kill -9 at random points: no corrupt lock, no lost result, and the next run completes."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cudaforge.process import GRACE_SECONDS
from tests.engine.test_surroundings import SLEEP, containers, remove_images
from tests.support.engine import Engine
from tests.support.index import Index, serve
from tests.support.tiny import TinyProject, clean_environment, make_tiny_wheel, processes_with, wait_until
from tests.support.wheels import make_wheel

pytestmark = pytest.mark.engine

SEED = 20261128
IMAGES = ("one", "two")
PACKAGES = ("blue", "green", "red")
STAGES = ("lock", "build", "verify", "up")


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Iterator[TinyProject]:
    make_tiny_wheel(tmp_path / "wheels")
    for name in PACKAGES:
        make_wheel(tmp_path / "wheels", name, "1.0")
    with serve(Index(files=tmp_path / "wheels")) as index:
        variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=index.url)
        made = TinyProject(root=tmp_path / "project", environment=variables)
        yield made
        remove_images(made)


class Killing:
    """One project through many rounds; each begins where everything is made and proven."""

    def __init__(self, project: TinyProject, seed: int) -> None:
        self.project = project
        self.random = random.Random(seed)
        self.seconds = dict.fromkeys(STAGES, 3.0)
        self.round = 0
        self.killed = 0
        self.declare()
        self.complete("up")

    def declare(self) -> None:
        """Something new for each stage to do: other packages, and steps that were never run before."""
        packages = self.random.sample(PACKAGES, 2)
        self.round += 1
        tables = (
            f'{name}\npackages = ["{package}"]\nenv = {{ ROUND = "{self.round}" }}\n'
            f'run = [": {os.getpid()} {self.round} {name}"]'
            for name, package in zip(IMAGES, packages, strict=True)
        )
        self.project.declare(*tables)

    def play(self, stage: str) -> None:
        """Have work to do for the stage, kill it at some point, look at what is left, and complete it."""
        self.declare()
        for earlier in STAGES[: STAGES.index(stage)] if stage != "up" else ():
            self.complete(earlier)
        before = self.results()
        delay = self.random.uniform(0.0, self.seconds[stage])
        self.kill(stage, delay)
        self.check_left(stage, before)
        started = time.monotonic()
        self.complete(stage)
        self.seconds[stage] = max(0.5, 0.5 * self.seconds[stage] + 0.5 * (time.monotonic() - started))
        self.check_complete()

    def kill(self, stage: str, delay: float) -> None:
        with self.project.start(stage) as child:
            time.sleep(delay)
            if child.poll() is None:
                # The leader and all that it started: a machine that is switched off spares none.
                os.killpg(child.pid, signal.SIGKILL)
                self.killed += 1
            child.communicate(timeout=60)

    def complete(self, stage: str) -> None:
        done = self.project.run(stage, "--json")
        assert done.returncode == 0, f"round {self.round}: {stage} does not complete: {done.stderr[-3000:]}"
        assert "Traceback" not in done.stderr

    def results(self) -> Mapping[str, bytes]:
        """Everything that was kept of earlier runs."""
        state = self.project.root / ".cudaforge"
        places = [*state.glob("builds/*.json"), *state.glob("verdicts/*.json"), *state.glob("results.json")]
        return {str(path): path.read_bytes() for path in places}

    def check_left(self, stage: str, before: Mapping[str, bytes]) -> None:
        """What the kill left is old or new, and whole."""
        where = f"round {self.round}, {stage}"
        checked = self.project.run("lock", "--check")
        assert checked.returncode in (0, 1), f"{where}: {checked.stderr}"
        assert "damaged" not in checked.stderr + checked.stdout, f"{where}: {checked.stderr}"
        after = self.results()
        assert before.keys() <= after.keys(), where
        for path, content in after.items():
            json.loads(content)
            if stage == "lock":
                assert content == before[path], where

    def check_complete(self) -> None:
        """Nothing is left of the killed run, and all that the declaration says is made."""
        checked = self.project.run("lock", "--check")
        assert checked.returncode == 0, checked.stderr
        stray = [
            path
            for path in self.project.root.rglob(".*")
            if path.name.startswith((".cudaforge.lock", ".pylock"))
        ]
        assert stray == []
        assert list((self.project.root / ".cudaforge").rglob(".*.json.*")) == []


@pytest.mark.parametrize("rounds", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_run_corrupts_nothing_and_the_next_completes(
    project: TinyProject, tmp_path: Path, rounds: int
) -> None:
    game = Killing(project, SEED)
    for number in range(rounds):
        game.play(STAGES[number % len(STAGES)])
    # On a machine whose load changes, a stage may have ended before its kill comes.
    assert game.killed >= rounds // 4, "too few rounds have killed something"
    done = project.run("up", "--json")
    assert done.returncode == 0, done.stderr
    assert all(image["verdict"]["ok"] for image in json.loads(done.stdout)["images"])
    assert containers(project) == []
    left = [path for path in (tmp_path / "tmp").iterdir() if path.name.startswith("cudaforge-")]
    left += (project.root / ".cudaforge" / "tmp").glob("*")
    assert left == []


def test_a_killed_run_leaves_no_program_that_goes_on_building(project: TinyProject, tmp_path: Path) -> None:
    project.declare(f'one\nrun = [": {os.getpid()} {tmp_path.name}", "{SLEEP}"]')
    assert project.run("lock").returncode == 0
    log = project.root / ".cudaforge" / "logs" / "one.log"
    mark = str(tmp_path / "tmp")
    with project.start("build") as child:
        try:
            wait_until(lambda: log.is_file() and SLEEP in log.read_text(), timeout=60, what="it builds")
            assert [line for line in processes_with(mark) if "buildx" in line]
        finally:
            os.killpg(child.pid, signal.SIGKILL)
    wait_until(lambda: processes_with(mark) == [], timeout=GRACE_SECONDS + 5, what=str(processes_with(mark)))
