"""What happens around a run: interrupts, engines, registries, indexes and disks that fail.

Everything is done by the command line, with a framework that exists only here (tests/support/tiny.py): a
whole `up` takes seconds, and no package index but the test's own is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cudaforge.engine.model import RUN_LABEL
from tests.support.engine import Engine
from tests.support.index import Index, serve
from tests.support.tiny import (
    TinyProject,
    clean_environment,
    make_tiny_wheel,
    processes_with,
    read_files,
    wait_until,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

STOP_SECONDS = 15.0
SLEEP = "sleep 100"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """A package index that has the framework."""
    make_tiny_wheel(tmp_path / "wheels")
    with serve(Index(files=tmp_path / "wheels")) as index:
        yield index


@pytest.fixture
def project(engine: Engine, index: Index, tmp_path: Path) -> Iterator[TinyProject]:
    """A project of one image, nothing of which is made yet."""
    variables = clean_environment(tmp_path, UV_DEFAULT_INDEX=index.url)
    project = TinyProject(root=tmp_path / "project", environment=variables)
    project.declare("one")
    yield project
    remove_images(project)


def remove_images(project: TinyProject) -> None:
    listed = docker("images", "--quiet", "--filter", f"reference={project.name}")
    if listed:
        docker("rmi", "--force", *set(listed.split()))


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=True).stdout


def containers() -> set[str]:
    return set(docker("ps", "--all", "--quiet", "--filter", f"label={RUN_LABEL}").split())


def unique_step() -> str:
    """A build step that was never run before: BuildKit's cache outlives a test."""
    return f": {uuid.uuid4()}"


def check_message(stderr: str, *words: str) -> None:
    """One error, in words, that names what it has to."""
    assert stderr.count("error: ") == 1, stderr
    assert "Traceback" not in stderr, stderr
    message = stderr[stderr.index("error: ") :]
    for word in words:
        assert word in message, message


class Stage:
    """What `up` is doing when it is stopped: how to have it do that for long, and how to see that it does."""

    def __init__(self, project: TinyProject, index: Index) -> None:
        self.project = project
        self.index = index
        self.output: list[str] = []

    def prepare(self) -> None:
        raise NotImplementedError

    def is_reached(self) -> bool:
        raise NotImplementedError

    def release(self) -> None:
        """Let the next run go through."""


class Locking(Stage):
    def prepare(self) -> None:
        self.index.hangs = threading.Event()

    def is_reached(self) -> bool:
        return bool(self.index.asked)

    def release(self) -> None:
        assert self.index.hangs is not None
        self.index.hangs.set()
        self.index.hangs = None


class Bootstrapping(Stage):
    """With a cache that is empty but for the packages, which are the slow part."""

    def prepare(self) -> None:
        self.cache = self.project.root.parent / "cache"
        packages = Path.home() / ".cache" / "cudaforge" / "debs"
        if packages.is_dir():
            shutil.copytree(packages, self.cache / "cudaforge" / "debs", copy_function=os.link)
        self.project.environment["XDG_CACHE_HOME"] = str(self.cache)

    def is_reached(self) -> bool:
        return bool(list(self.cache.glob("cudaforge/bases/.*.new")))

    def release(self) -> None:
        assert list(self.cache.glob("cudaforge/**/.*")) == []
        assert list(self.cache.glob("cudaforge/**/tmp-*")) == []


class Building(Stage):
    def prepare(self) -> None:
        self.project.declare(f'one\nrun = ["{unique_step()}", "{SLEEP}"]')

    def is_reached(self) -> bool:
        log = self.project.root / ".cudaforge" / "logs" / "one.log"
        return log.is_file() and SLEEP in log.read_text()

    def release(self) -> None:
        self.project.declare("one")


class Verifying(Stage):
    def prepare(self) -> None:
        make_tiny_wheel(self.index.files, first="import time; time.sleep(100)")
        self.before = containers()

    def is_reached(self) -> bool:
        return any("verifying" in line for line in self.output) and containers() > self.before

    def release(self) -> None:
        make_tiny_wheel(self.index.files)
        shutil.rmtree(self.project.root.parent / "uv-cache")
        self.project.lock.unlink()


def read_lines(stream, lines: list[str]) -> threading.Thread:
    thread = threading.Thread(target=lambda: lines.extend(stream), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", [Locking, Bootstrapping, Building, Verifying])
def test_a_signal_ends_every_stage_and_leaves_nothing(
    kind: type[Stage], number: signal.Signals, project: TinyProject, index: Index, tmp_path: Path
) -> None:
    stage = kind(project, index)
    stage.prepare()
    before = containers()
    with project.start("up") as child:
        reader = read_lines(child.stderr, stage.output)
        try:
            wait_until(stage.is_reached, timeout=60, what="".join(stage.output))
            child.send_signal(number)
            if kind is Building:
                child.send_signal(number)  # the second, during the clean-up, changes nothing
            started = time.monotonic()
            child.wait(60)
        finally:
            child.kill()
        reader.join(10)
    assert child.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert time.monotonic() - started < STOP_SECONDS
    check_message("".join(stage.output), "interrupted")
    wait_until(lambda: processes_with(str(tmp_path / "tmp")) == [], timeout=5, what="a child is left")
    assert containers() - before == set()
    assert read_files(tmp_path / "tmp") == {}
    assert list((project.root / ".cudaforge").glob("tmp/*")) == []
    assert [name for name in read_files(project.root) if Path(name).name.startswith(".cuda")] == []

    stage.release()
    done = project.run("up", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"][0]["verdict"]["ok"]
