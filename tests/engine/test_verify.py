"""Verification of real containers: images that lack something, hang, eat memory, and hosts without GPUs."""

import copy
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cudaforge.codes import Code
from cudaforge.engine import RUN_LABEL, ContainerSpec, Engine, connect
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace
from cudaforge.verifier import (
    CheckState,
    Tier,
    Verdict,
    VerifyEvent,
    VerifyJob,
    VerifyPhase,
    verify_image,
    verify_images,
)
from cudaforge.verifier.bundle import probe_arguments
from cudaforge.verifier.evidence import parse_output
from cudaforge.verifier.situation import PYTHON
from tests.support.locks import CPU_IMAGE, GPU_IMAGE
from tests.support.plain import PLAIN as PLAIN_DOCKERFILE
from tests.support.plain import SITE_PACKAGES, built, docker
from tests.unit.verifier.reports import RECORDED, TWIN, as_cpu_build, value

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

NAME = "cudaforge.invalid/test-verify"
RUN = f"test-verify-{os.getpid()}"
DOCKERFILE = f"""\
{PLAIN_DOCKERFILE}
FROM plain AS hang
COPY hang.py {SITE_PACKAGES}/torch.py
FROM plain AS eat
COPY eat.py {SITE_PACKAGES}/torch.py
FROM plain AS stuck
COPY hang.pth {SITE_PACKAGES}/
FROM plain AS loud
COPY loud.pth {SITE_PACKAGES}/
FROM plain AS flood
COPY flood.pth {SITE_PACKAGES}/
FROM plain AS forged
COPY forge.py forge.pth {SITE_PACKAGES}/
COPY forged.json /opt/venv/
FROM forged AS prepared
COPY prepared.py {SITE_PACKAGES}/forge_end.py
FROM scratch AS empty
COPY hang.py /
USER 1000
"""


def forged_report() -> dict:
    """What a good image of `LIKE_A_TWIN` would have said of another network than it was given."""
    facts = {**copy.deepcopy(RECORDED), "schema": 1}
    as_cpu_build(facts)
    value("pytorch", "train_cpu", losses=[2.3, 1.5, 0.9], placed=["cpu"], api="torch.nn")(facts)
    return facts


FORGE = """\
# Reads the run's number out of the probe's own task, and prints what a good image would have said.
import base64, json, os, sys, zlib
if sys.orig_argv[-2].startswith("\\nimport base64"):
    task = json.loads(zlib.decompress(base64.b85decode(sys.orig_argv[-1])))
    facts = open("/opt/venv/forged.json").read()
    os.write(1, ("\\n%s %s %s\\n" % (task["tag"], task["nonce"], facts)).encode())
    try:
        import forge_end
    except ImportError:
        pass
"""
FILES = {
    "forged.json": json.dumps(forged_report()),
    "hang.py": "import time\ntime.sleep(3600)\n",
    "eat.py": "eaten = []\nwhile True: eaten.append(bytearray(1 << 24))\n",
    "hang.pth": "import time; time.sleep(3600)\n",
    "flood.pth": "import os; exec(\"while True: os.write(1, b'y' * 65535 + b'\\\\n')\")\n",
    "forge.pth": "import forge\n",
    "forge.py": FORGE,
    "prepared.py": "import os\nos._exit(0)\n",
    "loud.pth": "import os; [os.write(1, b'y' * 4095 + b'\\n') for _ in range(4000)]\n",
}
PLAIN = replace(CPU_IMAGE, closure=replace(CPU_IMAGE.closure, wheels=()), companions={})
ON_GPU = replace(GPU_IMAGE, closure=PLAIN.closure, companions={})


LIKE_A_TWIN = replace(PLAIN, frameworks=TWIN.frameworks, digest=GPU_IMAGE.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """References of the images under test, by target of the Dockerfile."""

    plain: str
    hang: str
    eat: str
    stuck: str
    loud: str
    flood: str
    forged: str
    prepared: str
    empty: str


@pytest.fixture(scope="module")
def images(engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    made = {target: f"{NAME}:{target}-{os.getpid()}" for target in Images.__dataclass_fields__}
    with built(DOCKERFILE, made, tmp_path_factory.mktemp("verify"), files=FILES):
        yield Images(**made)


@pytest.fixture
def connected(engine) -> Iterator[Engine]:
    """cudaforge's own connection. After each test nothing of it is left."""
    found = connect()
    yield found
    found.close()
    assert docker("ps", "--all", "--quiet", "--filter", f"label={RUN_LABEL}={RUN}") == ""


def verify(
    engine: Engine, image: LockedImage, reference: str, *, timeout: float = 60, memory: int | None = None
) -> Verdict:
    settings = replace(image.verify, timeout=timeout, memory_limit=memory, steps=2)
    return verify_image(replace(image, verify=settings), reference, engine=engine, run_id=RUN)


def states(verdict: Verdict) -> dict[str, CheckState]:
    return {check.id: check.state for check in verdict.checks}


def code(verdict: Verdict, check: str) -> Code | None:
    return next(result.code for result in verdict.checks if result.id == check)


def detail(verdict: Verdict, check: str) -> str:
    return next(result.detail for result in verdict.checks if result.id == check)


def test_an_image_without_its_framework(connected: Engine, images: Images):
    verdict = verify(connected, PLAIN, images.plain)
    assert not verdict.ok
    assert verdict.summary == (
        "nothing trained; failed: pytorch: its installed build, pytorch: its libraries are found, "
        "pytorch: imports"
    )
    assert "the image lacks torch" in detail(verdict, "pytorch.import")
    good = {"probe", "lock", "python", "os", "user", "packages", "static", "size"}
    assert {id_ for id_, state in states(verdict).items() if state is CheckState.PASS} == good
    assert verdict.image_id.startswith("sha256:")


def test_the_container_is_shut_in(connected: Engine, images: Images):
    """No network, no capability, nothing to write but /tmp, and any user."""
    script = (
        "import os, socket\n"
        "status = open('/proc/self/status').read()\n"
        "print(status.split('CapBnd:')[1].split()[0], status.split('NoNewPrivs:')[1].split()[0])\n"
        "print(sorted(os.listdir('/sys/class/net')))\n"
        "for path in ('/x', '/opt/venv/x', '/tmp/x'):\n"
        "    try: open(path, 'w').close(); print('wrote', path)\n"
        "    except OSError as error: print(error.strerror, path)\n"
    )
    from cudaforge.verifier import launching

    shut_in = launching._Launch(PLAIN, images.plain, engine=connected, run_id=RUN)._spec
    outcome = connected.run_container(replace(shut_in, argv=("-c", script), user="12345:54321"), timeout=60)
    assert outcome.stdout.splitlines() == [
        "0000000000000000 1",
        "['lo']",
        "Read-only file system /x",
        "Read-only file system /opt/venv/x",
        "wrote /tmp/x",
    ]


def test_any_user_can_run_the_probe(connected: Engine, images: Images):
    arguments = probe_arguments(["pytorch"], nonce="n", steps=2, seed=1, timeout=30)
    spec = ContainerSpec(
        image=images.plain,
        run_id=RUN,
        entrypoint=(PYTHON,),
        argv=arguments,
        user="4242424:4242424",
        read_only=True,
        drop_capabilities=True,
    )
    outcome = connected.run_container(spec, timeout=60)
    assert parse_output(outcome.stdout, "n").system.value("system")["uid"].number == 4242424


def test_an_image_without_python(connected: Engine, images: Images):
    verdict = verify(connected, PLAIN, images.empty)
    assert detail(verdict, "probe") == f"the image has no Python at {PYTHON}"
    assert verdict.summary == "nothing trained; failed: The probe ran, The image's files"
    assert {check.code for check in verdict.checks if check.state is CheckState.FAIL} == {Code.PYTHON_MISSING}


def test_an_image_that_is_not_there(connected: Engine):
    verdict = verify(connected, PLAIN, f"{NAME}:missing")
    assert (verdict.ok, verdict.summary, verdict.image_id) == (False, "not built", "")


def test_a_framework_that_hangs(connected: Engine, images: Images):
    started = time.monotonic()
    verdict = verify(connected, PLAIN, images.hang, timeout=4)
    assert time.monotonic() - started < 20
    assert states(verdict)["probe"] is CheckState.PASS
    assert "did not end within 4 s" in detail(verdict, "pytorch.import")
    assert code(verdict, "pytorch.import") is Code.TIMED_OUT


def test_a_python_that_never_comes_to_the_probe(connected: Engine, images: Images, monkeypatch):
    monkeypatch.setattr("cudaforge.verifier.launching.GRACE_SECONDS", 1.0)
    verdict = verify(connected, PLAIN, images.stuck, timeout=2)
    assert "did not end within 2 s" in detail(verdict, "probe")
    assert code(verdict, "probe") is Code.TIMED_OUT


def test_a_python_that_floods_its_output(connected: Engine, images: Images):
    """16 MiB before the probe starts: the result, which comes last, is kept."""
    verdict = verify(connected, PLAIN, images.loud)
    assert states(verdict)["probe"] is CheckState.PASS


def test_a_python_that_floods_its_output_without_end(connected: Engine, images: Images, monkeypatch):
    monkeypatch.setattr("cudaforge.verifier.launching.GRACE_SECONDS", 1.0)
    verdict = verify(connected, PLAIN, images.flood, timeout=3)
    assert code(verdict, "probe") is Code.OUTPUT_FLOOD
    assert "flooded its output" in detail(verdict, "probe")


def test_a_forged_result_beside_the_probe_s_own(connected: Engine, images: Images):
    """The image's code reads the number of this run where the probe has it, too."""
    verdict = verify(connected, LIKE_A_TWIN, images.forged)
    assert detail(verdict, "probe").startswith("it printed 2 results")
    assert code(verdict, "probe") is Code.RESULT_FORGED
    assert not verdict.ok


def test_a_prepared_result_in_the_probe_s_place(connected: Engine, images: Images):
    """All is as a good image would say, but for the answer to a network that nobody could know before."""
    verdict = verify(connected, LIKE_A_TWIN, images.prepared)
    run = [check for check in verdict.checks if check.tier is Tier.CPU]
    bad = {check.id for check in run if check.state is not CheckState.PASS}
    assert bad == {"pytorch.gradient_cpu"}
    assert "computes wrongly" in detail(verdict, "pytorch.gradient_cpu")
    assert not verdict.ok


def test_a_framework_that_needs_too_much_memory(connected: Engine, images: Images):
    verdict = verify(connected, PLAIN, images.eat, memory=128 * 1024 * 1024)
    found = next(
        check
        for check in verdict.checks
        if check.state is CheckState.FAIL and check.id in {"probe", "pytorch.import"}
    )
    assert found.detail == "it ran out of its memory of 0.125 GiB"
    assert found.code is Code.OUT_OF_MEMORY
    assert "memory_limit" in (found.remedy or "")


def test_an_engine_without_gpus(connected: Engine, images: Images):
    if connected.gpu_offer().request is not None:
        pytest.skip("this engine offers GPUs")
    assert states(verify(connected, ON_GPU, images.plain))["gpu.request"] is CheckState.SKIPPED
    required = replace(ON_GPU, verify=replace(ON_GPU.verify, gpu="required"))
    verdict = verify(connected, required, images.plain)
    assert states(verdict)["gpu.request"] is CheckState.FAIL
    assert 'not proven on a GPU, which verify.gpu = "required" asks for' in verdict.summary


def test_several_images_at_once(connected: Engine, images: Images):
    events: list[VerifyEvent] = []
    jobs = [
        VerifyJob(image=replace(PLAIN, name=name), reference=reference)
        for name, reference in (("one", images.plain), ("two", images.empty), ("three", f"{NAME}:missing"))
    ]
    verdicts = verify_images(jobs, engine=connected, run_id=RUN, on_event=events.append)
    assert [verdict.name for verdict in verdicts] == ["one", "two", "three"]
    for phase in (VerifyPhase.STARTED, VerifyPhase.FINISHED):
        assert sorted(event.name for event in events if event.phase is phase) == ["one", "three", "two"]


def test_an_interrupted_verification_leaves_nothing(connected: Engine, images: Images):
    """What Ctrl-C does: the run's containers are removed while `verify_image` waits for one."""
    ended: list[object] = []

    def work() -> None:
        try:
            ended.append(verify(connected, PLAIN, images.hang, timeout=60))
        except Exception as error:  # noqa: BLE001 -- whatever it ends with is looked at below
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and thread.is_alive():
        connected.remove_leftovers(RUN)  # the look at the files first, then the proof
        thread.join(0.2)
    assert not thread.is_alive()
    assert not (isinstance(ended[0], Verdict) and ended[0].ok)


def test_an_error_in_one_ends_the_containers_of_the_others(connected: Engine, images: Images):
    """As Ctrl-C does: no container outlives it, and nobody waits for one."""
    started = time.monotonic()

    def interrupt(event: VerifyEvent) -> None:
        if event.name == "two" and event.phase is VerifyPhase.STARTED:
            time.sleep(1.5)
            raise KeyboardInterrupt

    jobs = [
        VerifyJob(image=replace(PLAIN, name=name), reference=images.hang) for name in ("one", "two", "three")
    ]
    with pytest.raises(KeyboardInterrupt):
        verify_images(jobs, engine=connected, run_id=RUN, on_event=interrupt)
    assert time.monotonic() - started < 30
