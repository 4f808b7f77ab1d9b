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

from cudaforge.bootstrap import loaded_reference, write_archive
from cudaforge.engine.model import RUN_LABEL
from cudaforge.lockfile.compose import entry_digest
from cudaforge.lockfile.store import read_lock, write_lock
from cudaforge.records import replace
from tests.support.bases import cache_for_tests, make_base
from tests.support.engine import Engine
from tests.support.index import Index, serve
from tests.support.proxy import engine_proxy
from tests.support.tiny import (
    TinyProject,
    clean_environment,
    make_tiny_wheel,
    processes_with,
    read_files,
    wait_until,
)
from tests.support.wheels import make_wheel

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
    listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={project.name}")
    if listed:
        docker("rmi", "--force", *listed.split())


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=True).stdout


def containers(project: TinyProject) -> list[str]:
    """Containers of the project's images: others may be at work on this engine."""
    filters = ("--filter", f"label={RUN_LABEL}", "--filter", f"ancestor={project.name}:one")
    return docker("ps", "--all", "--quiet", *filters).split()


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

    def is_reached(self) -> bool:
        return any("verifying" in line for line in self.output) and containers(self.project) != []

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
    told = "".join(stage.output)
    check_message(told, "interrupted")
    assert "failed" not in told
    assert kind is not Building or "one: cancelled\n" in told
    outcomes = (project.root / ".cudaforge").glob("outcomes/*")
    assert [one for one in outcomes if json.loads(one.read_text())["build"]["state"] == "failed"] == []
    wait_until(lambda: processes_with(str(tmp_path / "tmp")) == [], timeout=5, what="a child is left")
    assert containers(project) == []
    assert read_files(tmp_path / "tmp") == {}
    assert list((project.root / ".cudaforge").glob("tmp/*")) == []
    assert [name for name in read_files(project.root) if Path(name).name.startswith(".cuda")] == []

    stage.release()
    done = project.run("up", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"][0]["verdict"]["ok"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_json_has_every_image_after_a_signal(
    number: signal.Signals, project: TinyProject, tmp_path: Path
) -> None:
    asleep = f'run = ["{unique_step()}", "{SLEEP}"]'
    project.declare("one", f"two\n{asleep}", f"three\n{asleep}")
    assert project.run("lock").returncode == 0
    log = project.root / ".cudaforge" / "logs" / "two.log"
    output: list[str] = []
    answer: list[str] = []
    with project.start("build", "--jobs", "1", "--json") as child:
        readers = [read_lines(child.stderr, output), read_lines(child.stdout, answer)]
        try:
            wait_until(lambda: log.is_file() and SLEEP in log.read_text(), timeout=60, what="".join(output))
            child.send_signal(number)
            child.wait(60)
        finally:
            child.kill()
        for reader in readers:
            reader.join(10)
    told = json.loads("".join(answer))
    assert [image["state"] for image in told["images"]] == ["built", "cancelled", "cancelled"]
    assert {image["reason"] for image in told["images"][1:]} == {"the run was interrupted"}
    assert "2 of 3 images" not in "".join(output)


def test_a_report_says_of_a_build_that_it_failed_until_one_does_well(project: TinyProject) -> None:
    project.declare(f'one\nrun = ["{unique_step()}", "echo no such thing >&2; exit 3"]')
    assert project.run("up").returncode == 1
    reported = project.run("report", "--format", "html")
    assert reported.returncode == 1
    assert '<td class="badge bad">BUILD FAILED</td>' in reported.stdout
    assert "no such thing" in reported.stdout
    project.declare("one")
    assert project.run("up").returncode == 0
    (outcome,) = (project.root / ".cudaforge" / "outcomes").iterdir()
    assert json.loads(outcome.read_text())["build"]["state"] == "built"
    assert project.run("report").returncode == 0


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
    for command in (
        ("up", "--offline"),
        ("lock", "--offline"),
        ("upgrade", "--offline"),
        ("outdated", "--offline"),
    ):
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


def test_an_engine_that_dies_keeps_what_is_finished(project: TinyProject, tmp_path: Path) -> None:
    project.declare(f'one\nrun = ["{unique_step()}"]', f'two\nrun = ["{unique_step()}", "{SLEEP}"]')
    log = project.root / ".cudaforge" / "logs" / "two.log"
    built = project.root / ".cudaforge" / "builds" / "one.json"
    (tmp_path / "d").mkdir()
    with (
        engine_proxy(tmp_path / "d") as proxy,
        project.start("up", "--jobs", "2", DOCKER_HOST=proxy.address) as child,
    ):
        wait_until(
            lambda: log.is_file() and SLEEP in log.read_text() and built.is_file(), timeout=60, what="build"
        )
        proxy.die()
        _, stderr = child.communicate(timeout=60)
    assert child.returncode == 3
    check_message(stderr, "container engine went away", "start it again")
    assert read_files(tmp_path / "tmp") == {}
    (project.root / "cudaforge.toml").write_text(
        (project.root / "cudaforge.toml").read_text().replace(SLEEP, "true")
    )
    done = project.run("up", "--json")
    assert done.returncode == 0, done.stderr
    assert [image["build"]["state"] for image in json.loads(done.stdout)["images"]] == ["cached", "built"]


PUBLIC = "python:3.11-slim-bookworm"


def test_a_registry_that_does_not_answer(project: TinyProject) -> None:
    project.declare("one", base=PUBLIC, head='[registries]\n"docker.io" = "localhost:1"')
    done = project.run("lock")
    assert done.returncode == 3
    check_message(done.stderr, "localhost:1", "[registries]", "--allow-unpinned")
    assert not project.lock.exists()
    done = project.run("lock", "--allow-unpinned")
    assert done.returncode == 0
    assert f"{PUBLIC} is not pinned" in done.stderr


@pytest.fixture
def mirror(registry: str, tmp_path: Path) -> Iterator[str]:
    """A mirror of Docker Hub that has a stand-in for one of its Python images."""
    plain, mirror = make_base("bookworm"), f"{registry}/surroundings"
    write_archive(plain, tmp_path / "base.tar")
    docker("load", "--quiet", "--input", str(tmp_path / "base.tar"))
    links = "for name in python3 python3.11; do ln -s /usr/bin/python3.11 /usr/local/bin/$name; done"
    dockerfile = f"FROM {loaded_reference(plain)}\nRUN {links}\n"
    reference = f"{mirror}/library/{PUBLIC}"
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--push", "--provenance=false", "--tag", reference, "-"],
        input=dockerfile,
        text=True,
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    yield mirror
    docker("rmi", "--force", loaded_reference(plain), reference)


def test_a_public_base_comes_from_a_mirror(project: TinyProject, mirror: str) -> None:
    project.declare("one", base=PUBLIC, head=f'[registries]\n"docker.io" = "{mirror}"')
    done = project.run("up", "--json")
    assert done.returncode == 0, done.stderr
    (image,) = json.loads(done.stdout)["images"]
    assert image["base"]["digest"].startswith("sha256:")
    assert image["verdict"]["ok"]
    assert mirror not in project.lock.read_text()


def test_the_network_of_a_company_stays_out_of_the_image(project: TinyProject, tmp_path: Path) -> None:
    authority, pair = make_certificates(tmp_path)
    secrets = {"index": "indexword7391", "proxy": "proxyword5127"}
    make_tiny_wheel(tmp_path / "wheels")
    index = Index(files=tmp_path / "wheels", credentials=f"me:{secrets['index']}", tls=pair)
    proxy = f"http://me:{secrets['proxy']}@127.0.0.1:9"
    with serve(index) as index:
        words = [*secrets.values(), index.host, *authority.read_text().split("\n")[2:4]]
        address = index.url.replace("https://", f"https://me:{secrets['index']}@")
        project.declare(f'one\nrun = ["{unique_step()}"]')
        done = project.run(
            "up",
            "--no-cache",
            UV_DEFAULT_INDEX="",
            PIP_INDEX_URL=address,
            SSL_CERT_FILE=str(authority),
            HTTPS_PROXY=proxy,
            NO_PROXY="127.0.0.1",
        )
        assert done.returncode == 0, done.stderr
        search_image(project, tmp_path, words)
        assert any(path.startswith("/files/") for path in index.asked)

        network = f'ca_bundle = "{authority.name}"\nindex = "{index.url}"\nhttps_proxy = "http://127.0.0.1:9"'
        shutil.copy(authority, project.root)
        project.declare(
            f'one\nrun = ["{unique_step()}"]', head=f'[network]\n{network}\nno_proxy = "127.0.0.1"'
        )
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {secrets['index']}\n")
        done = project.run("up", "--no-cache", UV_DEFAULT_INDEX="", NETRC=str(tmp_path / "netrc"))
        assert done.returncode == 0, done.stderr
        search_image(project, tmp_path, words)


def make_certificates(directory: Path) -> tuple[Path, tuple[Path, Path]]:
    """An authority of one's own, and a certificate and key for this host that it signed."""
    authority, key = directory / "authority.pem", directory / "authority.key"
    certificate, own_key = directory / "index.pem", directory / "index.key"
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 2"
    signed = f"-CA {authority} -CAkey {key} -addext basicConstraints=CA:FALSE"
    host = "-addext subjectAltName=IP:127.0.0.1"
    for words in (
        f"{new} -subj /CN=Authority -keyout {key} -out {authority}",
        f"{new} -subj /CN=index -keyout {own_key} -out {certificate} {signed} {host}",
    ):
        subprocess.run(words.split(), check=True, capture_output=True, timeout=60)
    return authority, (certificate, own_key)


def search_image(project: TinyProject, tmp_path: Path, words: list[str]) -> None:
    """None of the words is in the image's configuration, its history, or a file of any of its layers."""
    reference = f"{project.name}:one"
    told = docker("history", "--no-trunc", reference) + docker("inspect", reference)
    archive = tmp_path / "image.tar"
    output = f"type=docker,compression=uncompressed,force-compression=true,dest={archive}"
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--provenance=false", "--output", output, "-"],
        input=f"FROM {reference}\n",
        text=True,
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    content = archive.read_bytes()
    assert b"tiny_frame-1.0.dist-info" in content  # the layers can be read
    for word in words:
        assert word not in told
        assert word.encode() not in content
    for written in (project.root, tmp_path / "tmp"):
        for name, text in read_files(written).items():
            if not name.endswith("cudaforge.toml") and not name.endswith(".pem"):
                assert not any(word.encode() in text for word in words), name


def test_a_container_of_a_killed_run_is_taken_away_by_the_next(project: TinyProject, index: Index) -> None:
    make_tiny_wheel(index.files, first="import time; time.sleep(100)")
    with project.start("up") as child:
        wait_until(lambda: containers(project) != [], timeout=60, what="a container")
        child.kill()
    left = containers(project)
    assert left != []
    make_tiny_wheel(index.files)
    shutil.rmtree(project.root.parent / "uv-cache")
    project.lock.unlink()
    done = project.run("up")
    assert done.returncode == 0, done.stderr
    assert set(left).isdisjoint(docker("ps", "--all", "--quiet").split())
    assert list((project.root / ".cudaforge" / "runs").iterdir()) == []


def test_a_wheel_of_the_project_is_built_in_from_beside_the_lock(project: TinyProject):
    """The file that was locked counts, not the one that it was copied from."""
    wheel = make_wheel(project.root / "own", "mine", "1.0", body="print('mine')")
    project.declare(f'one\npackages = ["./own/{wheel.name}"]')
    done = project.run("up", "--json")
    assert done.returncode == 0, done.stderr
    assert "mine\n" in docker("run", "--rm", f"{project.name}:one", "python", "-c", "import mine")


def test_a_base_whose_packages_the_archive_dropped_is_locked_anew(
    project: TinyProject, tmp_path: Path
) -> None:
    """As after a point release, on a machine that never had the old packages."""
    base, cache = make_base("bookworm"), tmp_path / "cache"
    (cache / "cudaforge").mkdir(parents=True)
    (cache / "cudaforge/debs").symlink_to(cache_for_tests() / "debs")
    project.environment["XDG_CACHE_HOME"] = str(cache)
    assert project.run("lock").returncode == 0
    current = read_lock(project.lock)
    (image,) = current.images
    assert image.base.digest == base.digest
    first, *rest = image.base.packages
    dropped = replace(first, filename=f"pool/{first.name}_0_all.deb", version="0", sha256="0" * 64)
    gone = replace(image, base=replace(image.base, packages=(dropped, *rest), digest=f"sha256:{'0' * 64}"))
    gone = replace(gone, digest=entry_digest(gone))
    write_lock(replace(current, images=(gone,)), {}, project.lock)
    built = project.run("build")
    assert built.returncode == 3
    assert f"no longer has {first.name} 0" in built.stderr
    assert "cudaforge lock" in built.stderr
    offline = project.run("lock", "--offline")
    assert offline.returncode == 0
    assert read_lock(project.lock).images == (gone,)
    renewed = project.run("up")
    assert renewed.returncode == 0, renewed.stderr
    note = f"no longer has {first.name} 0: the base of one is made of what it has now"
    assert note in " ".join(renewed.stderr.split())
    assert read_lock(project.lock).images == (image,)
