"""Jobs for other machines, run for real: as a script on this engine, by Slurm, and what they leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cudaforge.bootstrap import loaded_reference, write_archive
from cudaforge.engine import connect
from cudaforge.lockfile.model import LockedImage
from cudaforge.records import replace
from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.verifier import Verdict, verify_image
from cudaforge.verifier.jobs import Form, Order, collect, emit
from cudaforge.verifier.jobs.collecting import host_of
from cudaforge.verifier.jobs.model import place_order
from cudaforge.verifier.verdict import conclude
from tests.engine.conftest import OfferGpus
from tests.support.bases import make_base
from tests.support.fakegpu import HEALTHY
from tests.support.locks import CPU_IMAGE, GPU_IMAGE
from tests.support.slurm import NoSlurm, run_slurm

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

NONCE = "0123456789abcdef" * 2
DOCKERFILE = f"""\
FROM base
RUN useradd --uid 1000 --create-home app && python3 -m venv --without-pip /opt/venv
LABEL {ENTRY_LABEL}={GPU_IMAGE.digest}
ENTRYPOINT ["/bin/false"]
USER app
"""
NO_WHEELS = replace(CPU_IMAGE.closure, wheels=())
PLAIN = replace(CPU_IMAGE, closure=NO_WHEELS, companions={})
ON_GPU = replace(GPU_IMAGE, closure=NO_WHEELS, companions={})


@pytest.fixture(scope="module")
def reference(engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with a Python and without any framework."""
    base = make_base("bookworm")
    directory = tmp_path_factory.mktemp("jobs")
    write_archive(base, directory / "base.tar")
    docker("load", "--quiet", "--input", directory / "base.tar")
    (directory / "Dockerfile").write_text(DOCKERFILE)
    name = f"cudaforge.invalid/test-jobs:{os.getpid()}"
    try:
        context = f"base=docker-image://{loaded_reference(base)}"
        docker(
            *("buildx", "build", "--quiet", "--build-context", context, "--tag", name),
            *("--file", directory / "Dockerfile", directory),
        )
        yield name
    finally:
        for image in (name, loaded_reference(base)):
            with suppress(AssertionError):
                docker("rmi", "--force", image)


def docker(*words: str | Path) -> str:
    done = subprocess.run(
        ["docker", *map(str, words)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_job(image: LockedImage, form: Form, directory: Path) -> tuple[Order, Path]:
    order = place_order(image, form, nonce=NONCE, gpus=1)
    file = directory / order.file
    file.write_text(emit(image, order).text)
    return order, file


def named(image: LockedImage, reference: str) -> LockedImage:
    return replace(image, tags=(reference,), verify=replace(image.verify, steps=2, timeout=60.0))


def verdict_of(image: LockedImage, order: Order, text: str) -> Verdict:
    ran = host_of(order, text)
    return conclude(
        collect(image, order, text), reference=order.reference, image_id=ran.get("image", ""), facts={}
    )


def states(verdict: Verdict) -> dict[str, str]:
    return {check.id: check.state.value for check in verdict.checks}


def assert_like_a_local_one(there: dict[str, str], here: dict[str, str]) -> None:
    """The same but for the image's files, which a job does not look at."""
    files = {"static", "size", "pytorch.libraries", "pytorch.installed"}
    assert {there[name] for name in files} == {"skipped"}
    assert {name: state for name, state in there.items() if name not in files} == {
        name: state for name, state in here.items() if name not in files
    }


def containers() -> str:
    return docker("ps", "--all", "--quiet", "--filter", f"name=cudaforge-verify-{NONCE}")


@pytest.mark.parametrize("form", [Form.SCRIPT, Form.SLURM])
def test_shellcheck_has_no_complaint(form: Form, tmp_path: Path):
    _, file = write_job(GPU_IMAGE, form, tmp_path)
    program = Path(sys.executable).with_name("shellcheck")
    if not program.exists():
        pytest.skip("shellcheck is not made for this machine")
    done = subprocess.run(
        [program, "--shell=sh", "--exclude=SC2329", file], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_a_script_says_what_a_local_verification_says(reference: str, tmp_path: Path):
    image = named(PLAIN, reference)
    order, file = write_job(image, Form.SCRIPT, tmp_path)
    done = subprocess.run(["sh", file], capture_output=True, text=True, timeout=120, check=False)
    there = verdict_of(image, order, done.stdout)
    here = verify_image(image, reference, engine=connect())
    assert done.returncode == 0, done.stderr
    assert_like_a_local_one(states(there), states(here))
    assert there.summary.startswith("nothing trained; failed: pytorch: imports")
    assert there.image_id == here.image_id
    assert containers() == ""


def test_a_script_takes_the_gpus_that_the_engine_offers(
    reference: str, tmp_path: Path, offer_fake_gpus: OfferGpus
):
    offer_fake_gpus(HEALTHY)
    image = named(ON_GPU, reference)
    order, file = write_job(image, Form.SCRIPT, tmp_path)
    done = subprocess.run(["sh", file], capture_output=True, text=True, timeout=120, check=False)
    found = states(verdict_of(image, order, done.stdout))
    assert {found[check] for check in ("gpu.request", "gpu.driver", "gpu.cuda")} == {"pass"}


def test_a_gpu_that_cannot_be_had_is_no_silence(reference: str, tmp_path: Path, offer_fake_gpus: OfferGpus):
    offer_fake_gpus(HEALTHY)
    image = named(ON_GPU, reference)
    order, file = write_job(image, Form.SCRIPT, tmp_path)
    done = subprocess.run(
        ["sh", file],
        env={**os.environ, "CUDAFORGE_GPUS": "77"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    verdict = verdict_of(image, order, done.stdout)
    request = next(check for check in verdict.checks if check.id == "gpu.request")
    assert request.state.value == "fail"
    assert "unresolvable CDI devices nvidia.com/gpu=77" in request.detail
    assert states(verdict)["probe"] == "pass", "the probe ran again without a GPU"


def test_an_image_that_cannot_be_pulled(engine, tmp_path: Path):
    image = named(PLAIN, "localhost:1/no/such:image")
    order, file = write_job(image, Form.SCRIPT, tmp_path)
    done = subprocess.run(["sh", file], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    probe = verdict_of(image, order, done.stdout).checks[0]
    assert "could not get the image" in probe.detail


def test_no_runtime_and_a_wrong_one(tmp_path: Path):
    _, file = write_job(PLAIN, Form.SCRIPT, tmp_path)
    for runtime, said in (("rkt", "CUDAFORGE_RUNTIME is rkt"), ("", "none of docker podman")):
        done = subprocess.run(
            ["sh", file],
            env={"PATH": "/nowhere:/usr/bin:/bin", "CUDAFORGE_RUNTIME": runtime, "DOCKER_HOST": "unix:///no"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 3
        assert said in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_script_leaves_nothing(reference: str, tmp_path: Path, number: int):
    image = named(PLAIN, reference)
    slow = replace(image, verify=replace(image.verify, timeout=300.0))
    _, file = write_job(slow, Form.SCRIPT, tmp_path)
    # A probe that never ends: the interpreter waits for a name that is no task.
    file.write_text(file.read_text().replace("set -- -B -c ", "set -- -B -c 'import time; time.sleep(300)' "))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    running = subprocess.Popen(
        ["sh", file],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not containers() and time.monotonic() < until:
        time.sleep(0.1)
    running.send_signal(number)
    assert running.wait(timeout=30) == 128 + number
    assert containers() == ""
    assert list(scratch.iterdir()) == []


def test_slurm_runs_it(reference: str, tmp_path: Path):
    image = named(PLAIN, reference)
    order, file = write_job(image, Form.SLURM, tmp_path)
    work = tmp_path / "slurm"
    work.mkdir()
    try:
        with run_slurm(work) as slurm:
            status = slurm.submit(file, directory=tmp_path, timeout=180)
    except NoSlurm as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true needs it: {reason}", pytrace=False)
        pytest.skip(str(reason))
    text = next(tmp_path.glob("verify-*.log")).read_text()
    assert status == 0, text
    here = verify_image(image, reference, engine=connect())
    assert_like_a_local_one(states(verdict_of(image, order, text)), states(here))
