"""tools/engine.sh: what it makes, what it survives, and what it refuses."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cudaforge.bootstrap import find_archive_access, loaded_reference, write_archive
from tests.support.bases import make_base
from tests.support.fakegpu import TWO_GPUS, install_runtime

SCRIPT = Path(__file__).parents[2] / "tools" / "engine.sh"
HOME = Path(os.environ.get("CUDAFORGE_ENGINE_HOME", "/var/tmp/cudaforge-engine"))
ASK = "import ctypes; cuda = ctypes.CDLL('libcuda.so.1'); n = ctypes.c_int(); cuda.cuInit(0); "
ASK += "cuda.cuDeviceGetCount(ctypes.byref(n)); print(n.value)"

pytestmark = pytest.mark.engine


def is_debian() -> bool:
    release = Path("/etc/os-release")
    return release.is_file() and "\nID=debian\n" in f"\n{release.read_text()}"


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not is_debian(), reason="an engine can only be made by root on Debian"
)


def script(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *words],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **env},
        check=False,
    )


def exports(output: str) -> dict[str, str]:
    """The exported variables that say where the engine is, and its programs in PATH."""
    pairs = (line.removeprefix("export ").split("=", 1) for line in output.splitlines())
    values = {name: value if name == "PATH" else shlex.split(value)[0] for name, value in pairs}
    values["PATH"] = (
        values["PATH"].replace('"$PATH"', os.environ["PATH"]) if "PATH" in values else os.environ["PATH"]
    )
    return values


class SecondEngine:
    """An engine beside the one that the other tests use."""

    def __init__(self, nvidia: Path, *, name: str = "selftest") -> None:
        self.name = name
        self.settings = {
            "CUDAFORGE_ENGINE_NAME": self.name,
            "CUDAFORGE_ENGINE_NVIDIA_DIR": str(nvidia),
            "CUDAFORGE_ENGINE_CDI_DIR": "",
        }
        self.state = HOME / "engines" / self.name

    def run(self, word: str, **env: str) -> subprocess.CompletedProcess[str]:
        return script(word, **{**self.settings, **env})

    def start(self) -> Mapping[str, str]:
        done = self.run("start")
        assert done.returncode == 0, done.stderr
        return exports(done.stdout)

    def docker(self, *words: str) -> str:
        done = subprocess.run(
            ["docker", *words],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, **self.start()},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def pids(self) -> list[int]:
        files = (self.state / "dockerd.pid", self.state / "exec" / "containerd" / "containerd.pid")
        return [int(file.read_text()) for file in files]


@pytest.fixture(scope="module")
def second(engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondEngine]:
    directory = tmp_path_factory.mktemp("second")
    install_runtime(directory / "nvidia", TWO_GPUS)
    made = SecondEngine(directory / "nvidia")
    made.run("stop")
    yield made
    assert made.run("stop").returncode == 0
    shutil.rmtree(made.state)


@pytest.fixture(scope="module")
def image(second: SecondEngine, tmp_path_factory: pytest.TempPathFactory) -> str:
    base, archive = make_base("bookworm"), tmp_path_factory.mktemp("base") / "base.tar"
    write_archive(base, archive)
    second.docker("load", "--quiet", "--input", str(archive))
    return loaded_reference(base)


@needs_root
def test_three_starts_at_once_make_one_engine(second: SecondEngine):
    results: list[Mapping[str, str]] = []
    threads = [threading.Thread(target=lambda: results.append(second.start())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert results[0] == results[1] == results[2]
    assert second.run("status").returncode == 0


@needs_root
def test_containers_reach_the_os_archive_by_name(second: SecondEngine, image: str):
    access = find_archive_access("bookworm")
    address = urlsplit(access.sources.split()[2])
    if address.hostname is None or "Proxy" in access.config or os.environ.get("http_proxy"):
        pytest.skip("this host reaches no OS archive by itself")
    connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 10).close()"
    port = str(address.port or (443 if address.scheme == "https" else 80))
    second.docker("run", "--rm", image, "python3", "-c", connect, address.hostname, port)


@needs_root
@pytest.mark.parametrize(
    ("request_words", "count"),
    [
        (("--runtime", "nvidia", "--env", "NVIDIA_VISIBLE_DEVICES=all"), "2"),
        (("--runtime", "nvidia", "--env", "NVIDIA_VISIBLE_DEVICES=1"), "1"),
        # The hook brings the libraries alone: they count one GPU when nobody tells.
        (("--gpus", "all"), "1"),
    ],
)
def test_the_older_ways_to_ask_for_gpus(
    second: SecondEngine, image: str, request_words: tuple[str, ...], count: str
):
    assert second.docker("run", "--rm", *request_words, image, "python3", "-c", ASK) == count


@needs_root
def test_killed_processes_and_stale_pids_are_survived(second: SecondEngine, image: str):
    second.docker("run", "--detach", "--name", "sleeper", image, "sleep", "600")
    for pid in second.pids():
        os.kill(pid, signal.SIGKILL)
    # Numbers of processes that live, and are others.
    (second.state / "dockerd.pid").write_text(str(os.getpid()))
    (second.state / "exec" / "containerd" / "containerd.pid").write_text("1")
    assert second.run("status").returncode == 1
    assert second.docker("ps", "--all", "--format", "{{.Names}}") == "sleeper"
    second.docker("rm", "--force", "sleeper")


@needs_root
def test_stopping_leaves_nothing_running(second: SecondEngine):
    second.start()
    assert second.run("stop").returncode == 0
    assert second.run("status").returncode == 1
    mounts = Path("/proc/mounts").read_text()
    assert str(second.state) not in mounts
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    assert not [command for command in commands if f"{second.state}/".encode() in command]


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def answers(port: str) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", int(port))) == 0


@needs_root
def test_a_registry_goes_with_the_last_engine_that_uses_it(second: SecondEngine, tmp_path: Path):
    """Beside an engine whose registry is another one."""
    port = free_port()
    third = SecondEngine(tmp_path, name="selftest-third")
    for one in (second, third):
        one.run("stop")
    try:
        for one in (second, third):
            assert one.run("start", CUDAFORGE_ENGINE_REGISTRY_PORT=port).returncode == 0
        assert third.run("stop").returncode == 0
        assert answers(port), "the other engine still uses it"
        assert second.run("stop").returncode == 0
        assert not answers(port)
        assert not list(HOME.glob(f"registry-{port}.*"))
    finally:
        third.run("stop")
        shutil.rmtree(third.state, ignore_errors=True)


def test_a_reachable_engine_is_used_as_it_is(engine, tmp_path: Path):
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        pytest.skip("the engine has no socket on this host")
    (tmp_path / "docker.sock").symlink_to(host.removeprefix("unix://"))
    done = script("start", DOCKER_HOST=f"unix://{tmp_path}/docker.sock", CUDAFORGE_ENGINE_NAME="")
    assert (done.returncode, done.stdout) == (0, "")
    assert "using the reachable Docker" in done.stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("CUDAFORGE_ENGINE_NAME", "../x"),
        ("CUDAFORGE_ENGINE_HOME", "relative"),
        ("CUDAFORGE_ENGINE_HOME", "/var/tmp/" + 80 * "x"),
        ("CUDAFORGE_ENGINE_REGISTRY_PORT", "http"),
    ],
)
def test_wrong_settings_are_refused(setting: str, value: str):
    done = script("start", **{setting: value})
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
