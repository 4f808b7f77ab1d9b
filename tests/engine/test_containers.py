"""Containers on a real engine: how they end, what they may, and that none stays."""

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cudaforge.bootstrap import loaded_reference, write_archive
from cudaforge.engine import RUN_LABEL, ContainerSpec, Engine, GpuMethod, GpuRequest, Mount, connect
from cudaforge.records import replace
from tests.engine.conftest import OfferGpus
from tests.support.bases import make_base
from tests.support.fakegpu import HEALTHY

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    base = make_base("bookworm")
    archive = tmp_path_factory.mktemp("base") / "base.tar"
    write_archive(base, archive)
    connected = connect()
    connected.load_image(archive, timeout=120)
    tag = "cudaforge.invalid/test-containers:1"
    connected.tag_image(loaded_reference(base), tag)
    yield tag
    assert connected.remove_image(tag)
    connected.remove_image(loaded_reference(base))
    connected.close()


@pytest.fixture
def connected(engine, request: pytest.FixtureRequest) -> Iterator[Engine]:
    found = connect()
    yield found
    left = found.client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={request.node.name}"})
    found.close()
    assert left == []


@pytest.fixture
def spec(image: str, request: pytest.FixtureRequest) -> ContainerSpec:
    return ContainerSpec(image=image, run_id=request.node.name)


def shell(spec: ContainerSpec, script: str, **changes) -> ContainerSpec:
    return replace(spec, argv=("sh", "-c", script), **changes)


def test_output_and_status(connected: Engine, spec: ContainerSpec):
    lines: list[str] = []
    outcome = connected.run_container(
        shell(spec, "echo out; echo err >&2; exit 3"), timeout=60, on_log=lines.append
    )
    assert (outcome.exit_status, outcome.stdout, outcome.stderr) == (3, "out\n", "err\n")
    assert sorted(lines) == ["err", "out"]
    assert not outcome.timed_out
    assert outcome.start_error is None


def test_input(connected: Engine, spec: ContainerSpec):
    program = b"import sys\nprint(sum(range(10)))\n" + b"# filler\n" * 50_000
    outcome = connected.run_container(
        replace(spec, argv=("python3", "-"), stdin=program, read_only=True), timeout=60
    )
    assert (outcome.exit_status, outcome.stdout) == (0, "45\n")


def test_input_that_nobody_reads(connected: Engine, spec: ContainerSpec):
    outcome = connected.run_container(shell(spec, "exit 0", stdin=b"x" * 10_000_000), timeout=60)
    assert outcome.exit_status == 0


def test_the_deadline(connected: Engine, spec: ContainerSpec):
    started = time.monotonic()
    outcome = connected.run_container(shell(spec, "trap '' TERM; echo a; sleep 100"), timeout=2)
    assert time.monotonic() - started < 30
    assert outcome.timed_out
    assert outcome.exit_status is None
    assert outcome.stdout == "a\n"


def test_too_much_memory(connected: Engine, spec: ContainerSpec):
    outcome = connected.run_container(
        replace(spec, argv=("python3", "-c", "x = bytearray(10**9)"), memory=64 * 2**20), timeout=60
    )
    assert outcome.oom_killed
    assert outcome.exit_status == 137


def test_too_much_output(connected: Engine, spec: ContainerSpec):
    outcome = connected.run_container(
        shell(spec, "head -c 20000000 /dev/zero | tr '\\0' x; echo end", log_limit=100), timeout=60
    )
    assert outcome.stdout.endswith("xxxend\n")
    assert len(outcome.stdout) == 100
    assert outcome.dropped == 20_000_004 - 100


def test_limits_hold(connected: Engine, spec: ContainerSpec, tmp_path: Path):
    (tmp_path / "file").write_text("mounted\n")
    tmp_path.chmod(0o755)
    script = """
    touch /x 2>/dev/null && echo wrote-root
    touch /scratch/x && echo wrote-tmpfs
    cat /in/file; touch /in/file 2>/dev/null && echo wrote-mount
    ls /sys/class/net; id -u; pwd; echo $NAME; df -k /dev/shm | tail -1 | awk '{print $2}'
    grep CapEff /proc/self/status
    """
    outcome = connected.run_container(
        shell(
            spec,
            script,
            read_only=True,
            tmpfs={"/scratch": "size=1m"},
            mounts=(Mount(source=str(tmp_path), target="/in"),),
            user="1234",
            workdir="/usr",
            env={"NAME": "it's $HOME"},
            shared_memory=8 * 2**20,
            drop_capabilities=True,
            pids=32,
            cpus=0.5,
        ),
        timeout=60,
    )
    assert outcome.stdout.split("\n") == [
        "wrote-tmpfs",
        "mounted",
        "lo",
        "1234",
        "/usr",
        "it's $HOME",
        "8192",
        "CapEff:\t0000000000000000",
        "",
    ]


def test_the_entrypoint_is_replaced(connected: Engine, spec: ContainerSpec):
    outcome = connected.run_container(replace(spec, entrypoint=("echo", "hi"), argv=("you",)), timeout=60)
    assert outcome.stdout == "hi you\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"argv": ("no-such-program",)}, "no-such-program"),
        ({"image": "cudaforge.invalid/none:1"}, "No such image"),
        (
            {"gpu": GpuRequest(method=GpuMethod.CDI, devices=("nvidia.com/gpu=99",))},
            "unresolvable CDI devices",
        ),
        ({"mounts": (Mount(source="/no/such/place", target="/in"),)}, "/no/such/place"),
    ],
)
def test_a_start_that_is_refused_leaves_nothing(connected: Engine, spec: ContainerSpec, changes, words):
    outcome = connected.run_container(replace(spec, **{"argv": ("true",), **changes}), timeout=60)
    assert outcome.exit_status is None
    assert words in outcome.start_error


def test_a_run_ends_when_its_containers_are_taken_away(connected: Engine, spec: ContainerSpec):
    other = connect()
    threading.Timer(1.5, lambda: other.remove_leftovers(spec.run_id)).start()
    started = time.monotonic()
    outcome = connected.run_container(shell(spec, "sleep 100"), timeout=90)
    assert time.monotonic() - started < 30
    assert outcome.exit_status != 0
    assert other.remove_leftovers(spec.run_id) == 0
    other.close()


def test_images_by_tag_and_label(connected: Engine, image: str):
    facts = connected.find_image(image)
    assert facts is not None
    assert facts.size > 50_000_000
    assert facts.architecture == "amd64"
    assert connected.find_image("cudaforge.invalid/none:1") is None
    assert connected.list_images_by_label("io.cudaforge.no-such-label") == ()
    assert not connected.remove_image("cudaforge.invalid/none:1")


def test_the_offer_of_an_engine_with_gpus_is_good(
    connected: Engine, spec: ContainerSpec, offer_fake_gpus: OfferGpus
):
    offer_fake_gpus(HEALTHY)
    offer = connected.gpu_offer()
    assert offer.request is not None
    assert offer.request.method is GpuMethod.CDI
    outcome = connected.run_container(shell(spec, "ls /dev/nvidia0", gpu=offer.request), timeout=60)
    assert outcome.stdout == "/dev/nvidia0\n", outcome
