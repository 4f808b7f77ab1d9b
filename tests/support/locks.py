"""Lock entries made by hand, for tests of the stages that see the lock alone."""

from cudaforge.lockfile.model import (
    Closure,
    Lock,
    LockedBase,
    LockedCopy,
    LockedFramework,
    LockedImage,
    LockedPython,
    LockedSnapshot,
    LockedVerify,
    LockedWheel,
    OsPackage,
    PlatformManifest,
    PythonArchive,
)
from cudaforge.packages.model import GitCommit
from cudaforge.records import replace

ENTRY = "sha256:" + "1" * 64
CLOSURE = "2" * 64
BASE_DIGEST = "sha256:" + "3" * 64

SNAPSHOT = LockedSnapshot(
    service="debian",
    timestamp="20260601T000000Z",
    url="http://snapshot.example/archive",
    keyring="/usr/share/keyrings/debian-archive-keyring.gpg",
    archives=(
        "debian/20260601T000000Z bookworm main",
        "debian-security/20260601T000000Z bookworm-security main",
    ),
)
GPU_IMAGE = LockedImage(
    name="train",
    image="train",
    digest=ENTRY,
    tags=("ghcr.io/acme/vision:train",),
    base=LockedBase(reference="python:3.11-slim-bookworm", digest=BASE_DIGEST, codename="bookworm"),
    frameworks=(
        LockedFramework(
            name="pytorch",
            version="2.8.0",
            build="cu128",
            reported="2.8.0+cu128",
            proof="pytorch",
            template="pytorch",
        ),
    ),
    cuda="12.8",
    cudnn="9.10.2.21",
    nccl="2.27.3",
    cuda_provider="wheels",
    toolkit=None,
    driver_floor="570.26",
    gate=None,
    forward_compat=False,
    architectures=("sm_80", "sm_90"),
    ptx=("compute_90",),
    python="3.11",
    python_provider="image",
    os="debian12",
    os_family="debian",
    flavor="runtime",
    platforms=("linux/amd64",),
    os_packages=("libgomp1", "git"),
    base_user=None,
    closure=Closure(
        file="cudaforge.lock.d/pylock.train.toml",
        sha256=CLOSURE,
        wheels=(
            LockedWheel(
                package="torch",
                version="2.8.0+cu128",
                filename="torch-2.8.0+cu128-cp311-cp311-manylinux_2_28_x86_64.whl",
                index="pytorch-cu128",
                sha256="4" * 64,
                size=None,
            ),
        ),
    ),
    companions={"torchvision": "0.23.0"},
    copy=(LockedCopy(source=".", target="/app"),),
    workdir="/app",
    env={"HF_HOME": "/data/hf"},
    command=("python", "main.py"),
    entrypoint=None,
    user="app",
    labels={},
    max_size=None,
    run=(),
    secrets=(),
    ssh=False,
    template=None,
    verify=LockedVerify(gpu="auto", steps=20, memory_limit=None, timeout=300.0),
)

CPU_IMAGE = replace(
    GPU_IMAGE,
    name="quick",
    image="quick",
    tags=("quick:latest",),
    base=LockedBase(
        reference="bootstrap:debian12",
        digest=BASE_DIGEST,
        codename="bookworm",
        packages=(
            OsPackage(
                name="python3.11",
                version="3.11.2-6",
                architecture="amd64",
                filename="pool/python3.11.deb",
                sha256="5" * 64,
                size=1,
            ),
        ),
    ),
    cuda=None,
    cudnn=None,
    nccl=None,
    cuda_provider="none",
    driver_floor=None,
    architectures=(),
    ptx=(),
    python_provider="distro",
    os_packages=("python3.11",),
    copy=(),
    command=None,
)


STANDALONE = LockedPython(
    version="3.11.17",
    feed="python-build-standalone",
    archives=(
        PythonArchive(
            platform="linux/amd64",
            path="20261021/cpython-3.11.17+20261021-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz",
            sha256="8" * 64,
        ),
    ),
)
STANDALONE_IMAGE = replace(
    GPU_IMAGE,
    name="alone",
    image="alone",
    tags=("alone:latest",),
    base=LockedBase(reference="ubuntu:22.04", digest=BASE_DIGEST, codename="jammy"),
    python_provider="standalone",
    standalone=STANDALONE,
    os="ubuntu22.04",
    os_family="ubuntu",
)


SOURCES = (
    LockedWheel(
        package="docopt",
        version="0.6.2",
        filename="docopt-0.6.2.tar.gz",
        index="default",
        sha256="5" * 64,
        size=25901,
    ),
    LockedWheel(
        package="my-ops",
        version="1.0",
        filename=f"my-ops-{'6' * 40}.tar.gz",
        index="default",
        sha256="",
        size=None,
        git=GitCommit(url="https://git.example.org/team/ops", commit="6" * 40, subdirectory="python"),
    ),
)
"""What wheels are built from: an archive of an index, and a commit."""


BOTH_PLATFORMS = ("linux/amd64", "linux/arm64")
BOTH_IMAGE = replace(
    STANDALONE_IMAGE,
    name="both",
    image="both",
    tags=("both:latest",),
    base=LockedBase(
        reference="ubuntu:22.04",
        digest=BASE_DIGEST,
        codename="jammy",
        manifests=tuple(
            PlatformManifest(platform=platform, digest=f"sha256:{mark * 64}")
            for platform, mark in zip(BOTH_PLATFORMS, "ab", strict=True)
        ),
    ),
    standalone=replace(
        STANDALONE,
        archives=(
            *STANDALONE.archives,
            PythonArchive(
                platform="linux/arm64",
                path="20261021/cpython-3.11.17+20261021-aarch64-unknown-linux-gnu-install_only_stripped.tar.gz",
                sha256="9" * 64,
            ),
        ),
    ),
    platforms=BOTH_PLATFORMS,
    closure=replace(
        GPU_IMAGE.closure,
        file="cudaforge.lock.d/pylock.both.toml",
        wheels=tuple(
            replace(
                GPU_IMAGE.closure.wheels[0],
                filename=f"torch-2.8.0+cu128-cp311-cp311-manylinux_2_28_{machine}.whl",
                sha256=mark * 64,
                platforms=(platform,),
            )
            for platform, machine, mark in zip(BOTH_PLATFORMS, ("x86_64", "aarch64"), "45", strict=True)
        ),
    ),
)


def make_lock(*images: LockedImage) -> Lock:
    """A lock of these images."""
    return Lock(
        project="vision",
        declaration="6" * 64,
        matrix="7" * 64,
        tools={"cudaforge": "0", "uv": "0"},
        images=images,
    )
