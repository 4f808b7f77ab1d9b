"""The static tier on real images: each broken in one way, named rightly, and nothing of a framework run."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cudaforge.bootstrap import loaded_reference, write_archive
from cudaforge.codes import Code
from cudaforge.engine import Engine, connect
from cudaforge.errors import CudaforgeError, InputError, NegativeAnswer
from cudaforge.lockfile.model import LockedWheel
from cudaforge.matrix import load_matrix
from cudaforge.pipeline.findings import KeptFindings
from cudaforge.pipeline.foreign import Asked, verify_foreign
from cudaforge.records import replace
from cudaforge.renderer.model import ENTRY_LABEL
from cudaforge.verifier import CheckState, Tier, Verdict, verify_image
from cudaforge.verifier.expected import Expected
from tests.support.bases import make_base
from tests.support.locks import CPU_IMAGE, GPU_IMAGE
from tests.support.torchlike import build_library, distributions, make_cudnn, make_torch, write

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(shutil.which("apt-get") is None, reason="this host has no apt"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="this host has no gcc"),
]

NAME = "cudaforge.invalid/test-static"
RUN = f"test-static-{os.getpid()}"
SITE = "/opt/venv/lib/python3.11/site-packages"
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
DOCKERFILE = f"""\
FROM base AS plain
RUN useradd --uid 1000 --create-home app && python3 -m venv --without-pip /opt/venv
LABEL {ENTRY_LABEL}={GPU_IMAGE.digest}
ENTRYPOINT ["/bin/false"]

FROM plain AS good
COPY good {SITE}
USER app

FROM plain AS cpu_wheel
COPY cpu {SITE}
FROM good AS cpu_over_gpu
USER root
RUN rm -r {SITE}/torch*
COPY cpu {SITE}
FROM good AS cudnn_too_old
USER root
RUN rm -r {SITE}/nvidia_cudnn* {SITE}/nvidia/cudnn
COPY old {SITE}
FROM good AS cudnn_of_the_system
COPY eight {LIBRARIES}
FROM good AS cudnn_deleted
USER root
RUN rm {SITE}/nvidia/cudnn/lib/libcudnn.so.9
FROM good AS nccl_deleted
USER root
RUN rm {SITE}/nvidia/nccl/lib/libnccl.so.2
FROM good AS torch_library_deleted
USER root
RUN rm {SITE}/torch/lib/libtorch_python.so
FROM good AS cudnn_parts_mixed
COPY nine /opt/cudnn
ENV LD_LIBRARY_PATH=/opt/cudnn
FROM good AS nvjitlink_first
COPY jit /opt/jit
ENV LD_LIBRARY_PATH=/opt/jit
FROM good AS cudart_over
USER root
COPY runpath {SITE}/torch/lib
COPY cudart /opt/cudart
ENV LD_LIBRARY_PATH=/opt/cudart
FROM good AS stub
COPY stubs /usr/local/cuda/lib64/stubs
ENV LD_LIBRARY_PATH=/usr/local/cuda/lib64/stubs
FROM good AS compat
COPY stubs /usr/local/cuda/compat
ENV LD_LIBRARY_PATH=/usr/local/cuda/compat
FROM good AS cudart_preloaded
COPY cudart /opt/cudart
ENV LD_PRELOAD=/opt/cudart/libcudart.so.12
FROM good AS companion
USER root
RUN mv {SITE}/torchvision-0.23.0.dist-info {SITE}/torchvision-0.22.0.dist-info
FROM good AS swapped
USER root
RUN mv {SITE}/torch-2.8.0+cu128.dist-info {SITE}/torch-2.7.1.dist-info && \
    sed -i 's/2.8.0+cu128/2.7.1+cu128/' {SITE}/torch/version.py
FROM good AS twice
COPY big.bin /opt/one/libcublas.so.12
COPY big.bin /opt/two/libcublas.so.12
FROM good AS hostile
USER root
RUN rm {SITE}/nvidia/cudnn/lib/libcudnn.so.9 && mkfifo {SITE}/nvidia/cudnn/lib/libcudnn.so.9 && \
    ln -s loop /opt/loop && mkdir -p /opt/deep && ln -s .. /opt/deep/up && truncate -s 200M /opt/huge.so && \
    rm /etc/ld.so.cache && ln -s /dev/zero /etc/ld.so.cache
FROM good AS forged
USER root
COPY forged.so {SITE}/torch/lib/libtorch_cuda.so
FROM scratch AS no_python
COPY big.bin /
"""
IMAGE = replace(
    GPU_IMAGE,
    closure=replace(
        GPU_IMAGE.closure,
        wheels=tuple(
            LockedWheel(
                package=package,
                version=version,
                filename="w.whl",
                index="default",
                sha256="4" * 64,
                size=None,
            )
            for package, version in (("torch", "2.8.0"), ("nvidia-cuda-runtime-cu12", "12.8.90"))
        ),
    ),
)
MUTANTS = [
    ("cpu_wheel", "pytorch.installed", Code.CPU_ONLY_BUILD),
    ("cpu_over_gpu", "pytorch.installed", Code.CPU_ONLY_BUILD),
    ("cudnn_too_old", "cudnn", Code.CUDNN_TOO_OLD),
    ("cudnn_of_the_system", "pytorch.own_cuda", Code.CUDNN_MIXED_VERSIONS),
    ("cudnn_deleted", "pytorch.libraries", Code.CUDNN_MISSING),
    ("nccl_deleted", "pytorch.libraries", Code.NCCL_MISSING),
    ("torch_library_deleted", "pytorch.libraries", Code.FRAMEWORK_BROKEN),
    ("cudnn_parts_mixed", "pytorch.own_cuda", Code.CUDNN_MIXED_VERSIONS),
    ("nvjitlink_first", "pytorch.own_cuda", Code.NVJITLINK_SHADOWED),
    ("cudart_over", "pytorch.own_cuda", Code.CUDA_SHADOWED),
    ("cudart_preloaded", "pytorch.own_cuda", Code.CUDA_SHADOWED),
    ("stub", "stand_ins", Code.CUDA_SHADOWED),
    ("compat", "stand_ins", Code.COMPAT_LIB_ON_PATH),
    ("companion", "companions", Code.COMPANION_MISMATCH),
    ("swapped", "pytorch.installed", Code.BASE_FRAMEWORK_OVERWRITTEN),
    ("hostile", "pytorch.libraries", Code.CUDNN_MISSING),
    ("no_python", "probe", Code.PYTHON_MISSING),
]
OTHERS = ("good", "plain", "twice", "forged")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    context = tmp_path_factory.mktemp("static")
    (context / "Dockerfile").write_text(DOCKERFILE)
    make_torch(context / "good")
    make_torch(context / "cpu", is_cuda=False)
    make_cudnn(context / "old" / "nvidia" / "cudnn" / "lib", 90900)
    for path, content in distributions(nvidia_cudnn_cu12="9.9.0.52").items():
        write(context / "old" / path, content)
    make_cudnn(context / "eight", 8902, 8)
    make_cudnn(context / "nine", 90100)
    build_library(context / "jit" / "libnvJitLink.so.12", "int other;")
    build_library(context / "cudart" / "libcudart.so.12", "int another;")
    nvidia = context / "good" / "nvidia"
    build_library(
        context / "runpath" / "libtorch_cuda.so",
        needed=[
            nvidia / "cuda_runtime" / "lib" / "libcudart.so.12",
            nvidia / "cudnn" / "lib" / "libcudnn.so.9",
        ],
        runpath="$ORIGIN/../../nvidia/cuda_runtime/lib:$ORIGIN/../../nvidia/cudnn/lib",
    )
    for name in ("libcuda.so", "libcuda.so.1"):
        build_library(context / "stubs" / name)
    (context / "big.bin").write_bytes(os.urandom(1 << 21))
    forged = bytearray((context / "good" / "torch" / "lib" / "libtorch_cuda.so").read_bytes())
    forged[32:40] = (2**63).to_bytes(8, "little")
    (context / "forged.so").write_bytes(forged)
    return context


@pytest.fixture(scope="module")
def images(engine, context: Path) -> Iterator[dict[str, str]]:
    base = make_base("bookworm")
    write_archive(base, context.parent / "base.tar")
    docker("load", "--quiet", "--input", context.parent / "base.tar")
    targets = (*OTHERS, *dict.fromkeys(target for target, _, _ in MUTANTS))
    made = {target: f"{NAME}:{target}-{os.getpid()}" for target in targets}
    other = f"{NAME}:arm-{os.getpid()}"
    options = ("--build-context", f"base=docker-image://{loaded_reference(base)}")
    try:
        for target, reference in made.items():
            docker("buildx", "build", "--quiet", *options, "--target", target, "--tag", reference, context)
        docker(
            *("buildx", "build", "--quiet", *options, "--platform=linux/arm64", "--target", "no_python"),
            *("--tag", other, context),
        )
        yield {**made, "arm": other}
    finally:
        for reference in (*made.values(), other, loaded_reference(base)):
            with suppress(AssertionError):
                docker("rmi", "--force", reference)


@pytest.fixture
def connected(engine) -> Iterator[Engine]:
    found = connect()
    yield found
    found.close()
    assert docker("ps", "--all", "--quiet", "--filter", f"label=io.cudaforge.run={RUN}") == ""


def docker(*words: str | Path) -> str:
    done = subprocess.run(
        ["docker", *map(str, words)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def look(engine: Engine, reference: str, image=IMAGE, **more) -> Verdict:
    return verify_image(image, reference, engine=engine, run_id=RUN, tier=Tier.STATIC, **more)


def failures(verdict: Verdict) -> dict[str, Code | None]:
    bad = (CheckState.FAIL, CheckState.UNKNOWN)
    return {check.id: check.code for check in verdict.checks if check.state in bad}


def detail(verdict: Verdict, id_: str) -> str:
    return next(check.detail for check in verdict.checks if check.id == id_)


def test_a_good_image_is_good_by_its_files(connected: Engine, images: dict[str, str]):
    """With an entrypoint that would swallow every argument."""
    expected = Expected(floor="525.60.13", gpu_floors={"sm_80": "450.36.06", "sm_120": "570.26"})
    image = replace(IMAGE, architectures=("sm_80", "sm_90", "sm_120"), ptx=())
    verdict = look(connected, images["good"], image, expected=expected)
    assert failures(verdict) == {}
    assert verdict.ok
    assert verdict.summary == (
        "runs on sm_80, sm_90, sm_120; needs driver >= 525.60.13, 570.26 for sm_120; nothing was run"
    )
    assert {check.tier for check in verdict.checks} == {Tier.STATIC}


@pytest.mark.parametrize(("target", "check", "code"), MUTANTS, ids=[target for target, _, _ in MUTANTS])
def test_mutants_are_named(connected: Engine, images: dict[str, str], target: str, check: str, code: Code):
    verdict = look(connected, images[target])
    assert not verdict.ok
    assert failures(verdict).get(check) is code, [
        (one.id, one.state.value, one.detail) for one in verdict.checks
    ]


def test_an_image_of_another_architecture_is_never_started(connected: Engine, images: dict[str, str]):
    verdict = look(connected, images["arm"])
    assert failures(verdict) == {"architecture": Code.WRONG_ARCHITECTURE}
    assert "the image is for arm64" in verdict.checks[0].detail


def test_gpus_that_no_code_is_there_for(connected: Engine, images: dict[str, str]):
    verdict = look(connected, images["good"], replace(IMAGE, architectures=("sm_70", "sm_80"), ptx=()))
    assert failures(verdict) == {"pytorch.code": Code.ARCH_UNSUPPORTED}
    assert "no code for sm_70; it has sm_80, sm_90, sm_120" in detail(verdict, "pytorch.code")
    wanted = Expected(gpus={"V100": ("7.0",), "H100": ("9.0",)})
    verdict = look(connected, images["good"], expected=wanted)
    assert "no code for V100 (7.0)" in detail(verdict, "pytorch.code")


def test_a_cuda_build_in_a_cpu_twin(connected: Engine, images: dict[str, str]):
    twin = replace(CPU_IMAGE, closure=replace(CPU_IMAGE.closure, wheels=()), companions={})
    twin = replace(twin, frameworks=(replace(twin.frameworks[0], reported="2.8.0"),))
    assert (
        failures(look(connected, images["good"], twin))["pytorch.installed"] is Code.CUDA_WHEEL_ON_CPU_IMAGE
    )


def test_a_forged_library_ends_in_a_finding(connected: Engine, images: dict[str, str]):
    verdict = look(connected, images["forged"])
    assert failures(verdict)["pytorch.libraries"] is Code.FRAMEWORK_BROKEN
    assert "no shared libraries" in detail(verdict, "pytorch.libraries")


def test_bytes_that_are_there_twice(connected: Engine, images: dict[str, str]):
    verdict = look(connected, images["twice"])
    size = next(check for check in verdict.checks if check.id == "size")
    assert (size.state, size.code) == (CheckState.PASS, Code.DUPLICATE_CUDA_LIBS)
    assert "2 MB there twice, such as /opt/one/libcublas.so.12" in size.detail


def test_an_image_is_looked_into_once(
    connected: Engine, images: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    kept = KeptFindings(tmp_path)
    first = look(connected, images["cudnn_deleted"], findings=kept)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a container was started")

    monkeypatch.setattr(connected, "run_container", never)
    started = time.monotonic()
    second = look(connected, images["cudnn_deleted"], findings=kept)
    assert time.monotonic() - started < 2
    assert failures(second) == failures(first)
    assert "as they were found before" in detail(second, "static")


def foreign(engine: Engine, reference: str, tmp_path: Path, *, pull: bool = False, **asked) -> Verdict:
    return verify_foreign(
        reference,
        Asked(**asked),
        matrix=load_matrix(),
        engine=engine,
        run_id=RUN,
        findings=KeptFindings(tmp_path),
        tier=Tier.STATIC,
        pull=pull,
    )


def test_somebody_else_s_image(connected: Engine, images: dict[str, str], tmp_path: Path):
    """Without a lock: the framework is found, and held against what the facts say of its build."""
    verdict = foreign(connected, images["cudnn_too_old"], tmp_path, frameworks=("torch",))
    found = failures(verdict)
    assert found["cudnn"] is Code.CUDNN_TOO_OLD
    assert "declared 9.10.2.21" in detail(verdict, "cudnn")
    assert found["pytorch.code"] is Code.ARCH_UNSUPPORTED, "the made-up build has less than torch 2.8.0+cu128"
    assert "build cu128" in detail(verdict, "pytorch.facts")
    assert detail(verdict, "python").endswith("(/opt/venv/bin/python)")
    assert verdict.lock_digest is None


def test_somebody_else_s_image_for_gpus_and_drivers(
    connected: Engine, images: dict[str, str], tmp_path: Path
):
    verdict = foreign(connected, images["good"], tmp_path, gpus=("V100", "H100"), driver="450.80")
    assert "no code for V100 (7.0)" in detail(verdict, "pytorch.code")
    assert failures(verdict)["driver"] is Code.DRIVER_TOO_OLD
    twin = foreign(connected, images["cpu_wheel"], tmp_path, gpus=("H100",))
    assert failures(twin)["pytorch.code"] is Code.CPU_ONLY_BUILD


def test_what_somebody_else_s_image_lacks(connected: Engine, images: dict[str, str], tmp_path: Path):
    with pytest.raises(NegativeAnswer, match="has no Python that starts"):
        foreign(connected, images["no_python"], tmp_path)
    with pytest.raises(NegativeAnswer, match="has jax"):
        foreign(connected, images["good"], tmp_path, frameworks=("jax",))
    with pytest.raises(NegativeAnswer, match="has any of"):
        foreign(connected, images["plain"], tmp_path)
    with pytest.raises(NegativeAnswer) as raised:
        foreign(connected, f"{NAME}:none-such", tmp_path)
    assert f"docker pull {NAME}:none-such" in (raised.value.problems[0].remedy or "")
    with pytest.raises(InputError, match="no proof of a framework 'caffe'"):
        foreign(connected, images["good"], tmp_path, frameworks=("caffe",))
    with pytest.raises(InputError, match="no GPU is known as 'H1000000'"):
        foreign(connected, images["good"], tmp_path, gpus=("H1000000",))
    verdict = foreign(connected, images["arm"], tmp_path)
    assert failures(verdict) == {"architecture": Code.WRONG_ARCHITECTURE}


def test_an_image_is_pulled_from_its_registry_when_asked(
    connected: Engine, images: dict[str, str], registry: str, tmp_path: Path
):
    """An image that the registry does not have is said to be missing there."""
    reference = f"{registry}/test-static:{os.getpid()}"
    docker("tag", images["cpu_wheel"], reference)
    try:
        docker("push", "--quiet", reference)
        docker("rmi", "--force", reference)
        with pytest.raises(NegativeAnswer, match="the engine has no image"):
            foreign(connected, reference, tmp_path)
        verdict = foreign(connected, reference, tmp_path, pull=True)
        assert (verdict.ok, verdict.reference) == (True, reference), verdict.checks
        with pytest.raises(CudaforgeError, match="could not pull"):
            foreign(connected, f"{registry}/test-static:none-such", tmp_path, pull=True)
    finally:
        subprocess.run(["docker", "rmi", "--force", reference], capture_output=True, check=False)
