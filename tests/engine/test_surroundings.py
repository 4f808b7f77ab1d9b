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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(disk: Path) -> None:
    subprocess.run(f"cat /dev/zero > {disk}/filler", shell=True, stderr=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize("command", [("build",), ("verify",), ("up",), ("run", "one", "--", "true")])
def test_no_engine_is_one_message(project: TinyProject, tmp_path: Path, command: tuple[str, ...]) -> None:
    assert project.run("lock").returncode == 0
    done = project.run(*command, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 3
    check_message(done.stderr, "no container engine", "none.sock", "DOCKER_HOST")


@pytest.mark.parametrize("place", ["project", "state", "cache", "uv"])
def test_a_full_disk_is_named_and_old_files_are_whole(
    project: TinyProject, small_disk: Path, tmp_path: Path, place: str
) -> None:
    variables = {}
    if place == "project":
        project.root = small_disk / "project"
        project.declare("one")
        assert project.run("lock").returncode == 0
        with (project.root / "cudaforge.toml").open("a") as file:
            file.write("\n[images.two]\nframework = 'tiny'\n")
    elif place == "state":
        (project.root / ".cudaforge").symlink_to(small_disk)
    else:
        variables = {{"cache": "XDG_CACHE_HOME", "uv": "UV_CACHE_DIR"}[place]: str(small_disk)}
    before = read_files(project.root)
    fill(small_disk)
    done = project.run("up", **variables)
    assert done.returncode == 3
    where = project.root / ".cudaforge" if place == "state" else small_disk
    check_message(done.stderr, str(where), "No space left on device")
    assert "ENOSPC" in done.stderr or "28" in done.stderr
    after = read_files(project.root)
    assert {name: after[name] for name in before if name.endswith((".lock", ".toml"))} == {
        name: content for name, content in before.items() if name.endswith((".lock", ".toml"))
    }
    assert [name for name in after if ".cudaforge.lock." in name or ".pylock" in name] == []

    (small_disk / "filler").unlink()
    if place in ("project", "state"):
        assert project.run("lock").returncode == 0


def test_a_directory_that_cannot_be_written_to_is_named(project: TinyProject, small_disk: Path) -> None:
    project.root = small_disk / "project"
    project.declare("one")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert project.run("resolve").returncode == 0
    done = project.run("up")
    assert done.returncode == 3
    check_message(done.stderr, str(project.root), "EROFS")


@pytest.mark.skipif(shutil.which("strace") is None, reason="this host has no strace")
def test_offline_needs_no_network_once_all_is_there(project: TinyProject, index: Index) -> None:
    assert project.run("up").returncode == 0
    asked = len(index.asked)
    for command in (("up", "--offline"), ("lock", "--offline"), ("lock", "--offline", "--upgrade")):
        done = project.trace_network(*command)
        assert done.returncode == 0, done.stderr
        assert find_connections(project) == [], command
    project.declare(f'one\nrun = ["{unique_step()}"]')
    done = project.run("up", "--offline")
    assert done.returncode == 0, done.stderr
    assert len(index.asked) == asked


def test_offline_says_what_was_never_loaded(project: TinyProject, index: Index) -> None:
    done = project.run("lock", "--offline")
    assert done.returncode == 3
    check_message(done.stderr, "never loaded", "--offline")
    assert index.asked == []
    assert project.run("lock").returncode == 0
    project.declare(f'one\napt = ["cowsay"]\nrun = ["{unique_step()}"]')
    done = project.run("up", "--offline", timeout=60)
    assert done.returncode == 3
    check_message(done.stderr, "--offline")


def find_connections(project: TinyProject) -> list[str]:
    """Network addresses that the traced run, or a program that it started, connected or sent to."""
    trace = (project.root.parent / "trace").read_text()
    return [line for line in trace.splitlines() if "AF_INET" in line and "socket(" not in line]


@pytest.mark.parametrize("status", [401, 403, 429, 500, None])
def test_an_index_that_fails_is_named(project: TinyProject, index: Index, status: int | None) -> None:
    index.status = status
    url = index.url if status else "http://127.0.0.1:1/simple"
    started = time.monotonic()
    done = project.run("lock", UV_DEFAULT_INDEX="", PIP_INDEX_URL=url)
    assert time.monotonic() - started < 60
    assert done.returncode == 3
    check_message(done.stderr, url.split("/")[2], "PIP_INDEX_URL")
    assert not project.lock.exists()


def test_a_lock_travels_between_indexes(project: TinyProject, tmp_path: Path) -> None:
    assert project.run("lock").returncode == 0
    before = read_files(project.root)
    make_tiny_wheel(tmp_path / "elsewhere")
    with serve(Index(files=tmp_path / "elsewhere")) as other:
        config = tmp_path / "pip.conf"
        config.write_text(f"[global]\nindex-url = {other.url}\n")
        variables = {"UV_DEFAULT_INDEX": "", "PIP_CONFIG_FILE": str(config)}
        shutil.rmtree(tmp_path / "uv-cache")
        done = project.run("up", "--locked", "--no-cache", **variables)
        assert done.returncode == 0, done.stderr
        assert other.packages_asked == {"tiny-frame"}
    assert project.lock.read_bytes() == before["cudaforge.lock"]
    assert b"127.0.0.1" not in b"".join(before.values())
    # Another file under the same name is not installed.
    make_tiny_wheel(tmp_path / "forged", first="forged = True")
    with serve(Index(files=tmp_path / "forged")) as forged:
        shutil.rmtree(tmp_path / "uv-cache")
        done = project.run("build", "--no-cache", UV_DEFAULT_INDEX=forged.url)
        assert done.returncode == 1
        check_message(done.stderr, "another file", forged.host)


def test_two_at_once_on_one_project(project: TinyProject) -> None:
    project.declare(f'one\nrun = ["{unique_step()}", "sleep 3"]')
    with project.start("up", "--json") as first, project.start("up", "--json") as second:
        ended = [child.communicate(timeout=120) for child in (first, second)]
    for child, (stdout, stderr) in zip((first, second), ended, strict=True):
        assert child.returncode == 0, stderr
        assert json.loads(stdout)["images"][0]["verdict"]["ok"]
    states = {json.loads(stdout)["images"][0]["build"]["state"] for stdout, _ in ended}
    assert states == {"built", "cached"}
    assert project.run("lock", "--check").returncode == 0
