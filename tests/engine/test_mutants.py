"""Images with a real JAX that are broken on purpose: each is caught by its name, and the good one passes."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from cudaforge.codes import Code
from cudaforge.engine import Engine, GpuMethod, GpuOffer, GpuRequest, connect
from cudaforge.lockfile.model import LockedFramework, LockedImage
from cudaforge.records import replace
from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.verifier import CheckState, Tier, Verdict, launching, verify_image
from cudaforge.verifier.checks import judge
from cudaforge.verifier.model import CheckResult
from cudaforge.verifier.situation import GpuWish, Situation
from tests.engine.conftest import OfferGpus
from tests.support.fakegpu import HEALTHY
from tests.support.locks import CPU_IMAGE, GPU_IMAGE
from tests.support.plain import PLAIN, SITE_PACKAGES, built

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
]

RUN = f"test-mutants-{os.getpid()}"
NAME = "cudaforge.invalid/test-mutants"
JAX = "0.10.2"
ANY_USER, ITS_GROUP = 1000650000, 0
"""As OpenShift chooses them: a user that no image knows, in root's group."""
DOCKERFILE = f"""\
{PLAIN}
FROM plain AS good
COPY --from=jax / {SITE_PACKAGES}/
FROM good AS fallback
COPY --from=plugin / {SITE_PACKAGES}/
FROM fallback AS pinned
ENV JAX_PLATFORMS=cpu
"""
TARGETS = ("good", "fallback", "pinned")
FRAMEWORK = LockedFramework(name="jax", version=JAX, build="cpu", reported=JAX, proof="jax", template="jax")
SETTINGS = replace(CPU_IMAGE.verify, timeout=180, steps=5)
TWIN = replace(
    CPU_IMAGE,
    frameworks=(FRAMEWORK,),
    closure=replace(CPU_IMAGE.closure, wheels=()),
    companions={},
    verify=SETTINGS,
)
ON_GPU = replace(
    GPU_IMAGE,
    frameworks=(replace(FRAMEWORK, build="cuda12"),),
    closure=TWIN.closure,
    companions={},
    verify=SETTINGS,
    architectures=(),
    ptx=(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """References of the images under test."""

    good: str
    fallback: str
    pinned: str


def install(into: Path, *words: str) -> Path:
    argv = [find_uv_bin(), "pip", "install", "--quiet", "--target", into, "--python-version", "3.11", *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return into


@pytest.fixture(scope="module")
def images(engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    directory = tmp_path_factory.mktemp("mutants")
    contexts = {
        "jax": install(directory / "jax", f"jax=={JAX}"),
        # The real plugin without NVIDIA's libraries: JAX goes on without a word to its caller.
        "plugin": install(
            directory / "plugin", "--no-deps", f"jax-cuda12-plugin=={JAX}", f"jax-cuda12-pjrt=={JAX}"
        ),
    }
    targets = {target: f"{NAME}:{target}-{os.getpid()}" for target in TARGETS}
    with built(DOCKERFILE, targets, directory, contexts=contexts):
        yield Images(**targets)


@pytest.fixture
def connected(engine) -> Iterator[Engine]:
    found = connect()
    yield found
    assert found.remove_leftovers(RUN) == 0
    found.close()


def verify(engine: Engine, image: LockedImage, reference: str) -> Verdict:
    return verify_image(image, reference, engine=engine, run_id=RUN)


def checks(verdict: Verdict) -> dict[str, CheckResult]:
    return {check.id: check for check in verdict.checks}


def test_the_good_image_raises_no_alarm(connected: Engine, images: Images):
    verdict = verify(connected, TWIN, images.good)
    assert (verdict.ok, verdict.summary) == (True, "trained on CPU"), verdict.checks
    assert "reference (jax.grad)" in checks(verdict)["jax.gradient_cpu"].detail


def test_it_passes_as_any_user_without_network_on_a_root_that_is_read_only(connected: Engine, images: Images):
    launch = launching._Launch(TWIN, images.good, engine=connected, run_id=RUN)
    shut_in = replace(launch._spec, user=f"{ANY_USER}:{ITS_GROUP}")
    assert shut_in.read_only and shut_in.drop_capabilities and not shut_in.has_network  # noqa: PT018
    outcome = connected.run_container(shut_in, timeout=200)
    situation = Situation(
        image=replace(TWIN, user=str(ANY_USER)),
        labels={ENTRY_LABEL: TWIN.digest},
        gpu=GpuWish.AUTO,
        offer=GpuOffer(request=None),
        is_looked_into=False,
    )
    results = judge(launch.read(outcome, situation))
    seen = {result.state for result in results if result.tier is not Tier.STATIC}
    assert seen == {CheckState.PASS}, results
    assert not {CheckState.FAIL, CheckState.UNKNOWN} & {result.state for result in results}, results


def test_a_cpu_build_behind_a_gpu_tag(connected: Engine, images: Images):
    found = checks(verify(connected, ON_GPU, images.good))["jax.build"]
    assert (found.state, found.code) == (CheckState.FAIL, Code.CPU_ONLY_BUILD), found


def test_a_jax_that_falls_back_to_the_cpu_is_caught_without_a_gpu(connected: Engine, images: Images):
    verdict = verify(connected, ON_GPU, images.fallback)
    found = checks(verdict)["jax.build"]
    assert (found.state, found.code) == (CheckState.FAIL, Code.CUDA_MISSING), found
    assert "falls back to the CPU without an error" in found.detail
    assert checks(verdict)["jax.train_cpu"].state is CheckState.PASS
    assert not verdict.ok


def test_a_jax_that_is_told_to_stay_on_the_cpu_is_caught_without_a_gpu(connected: Engine, images: Images):
    found = checks(verify(connected, ON_GPU, images.pinned))["gpu.environment"]
    assert (found.state, found.code) == (CheckState.FAIL, Code.VISIBLE_DEVICES), found
    assert "JAX_PLATFORMS" in found.detail


def test_a_fallback_is_no_gpu_run(
    connected: Engine, images: Images, offer_fake_gpus: OfferGpus, monkeypatch: pytest.MonkeyPatch
):
    """The driver shows a GPU, and JAX trains all the same: on the CPU."""
    request = GpuRequest(method=GpuMethod.CDI, devices=(offer_fake_gpus(HEALTHY),))
    monkeypatch.setattr(connected, "gpu_offer", lambda: GpuOffer(request=request))
    verdict = verify(connected, ON_GPU, images.fallback)
    found = checks(verdict)
    assert found["gpu.cuda"].state is CheckState.PASS
    assert (found["jax.devices"].state, found["jax.devices"].code) == (CheckState.FAIL, Code.CUDA_MISSING)
    assert "the CUDA driver lists NVIDIA H100" in found["jax.devices"].detail
    assert found["jax.train_gpu"].state is CheckState.SKIPPED
    assert verdict.summary.startswith("trained on CPU; not proven on a GPU; failed: ")
