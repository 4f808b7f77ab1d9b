"""Rows made by hand: a small world in which every rule can be met or broken."""

from __future__ import annotations

from collections.abc import Mapping

from cudaforge.declaration.model import FrameworkWish, Wishes
from cudaforge.matrix.companion import Abi, Companion, CompanionRole
from cudaforge.matrix.model import (
    BaseImage,
    Broken,
    CudaProvider,
    CudaRelease,
    CudnnRelease,
    DriverBranch,
    Framework,
    FrameworkBuild,
    Gpu,
    OperatingSystem,
    PackageIndex,
    StandalonePython,
)
from cudaforge.matrix.sources import Source, Strength
from cudaforge.matrix.tables import Matrix
from cudaforge.versions import Version, VersionWish

SOURCE = Source(
    id="test", text="made by hand", checked="2026-11-22", strength=Strength.INDEX, file="test.toml"
)
INFERRED = Source(
    id="guess", text="made up", checked="2026-11-22", strength=Strength.INFERRED, file="test.toml"
)


def versions(*texts: str) -> tuple[Version, ...]:
    return tuple(Version(text) for text in texts)


def framework(name: str, *aliases: str) -> Framework:
    return Framework(name=name, title=name, aliases=aliases, proof=name, template=name, source=SOURCE)


def _compiler(provider: CudaProvider) -> str:
    return "toolkit" if provider is CudaProvider.SYSTEM else "nvidia-cuda-nvcc"


def build(  # noqa: PLR0913 -- one argument per fact
    framework: str,
    version: str,
    build: str,
    *,
    cuda: str | None = None,
    cudnn: str | None = None,
    provider: CudaProvider = CudaProvider.WHEELS,
    pythons: tuple[str, ...] = ("3.10", "3.11", "3.12"),
    platforms: tuple[str, ...] = ("linux/amd64",),
    glibc: str = "2.17",
    cubins: tuple[str, ...] | None = ("7.0", "8.0", "9.0"),
    ptx: tuple[str, ...] = (),
    is_seen: bool = True,
    index: str = "default",
    extras: tuple[str, ...] = (),
    cudnn_package: str | None = None,
    size: int | None = None,
    installed: int | None = None,
    cuda_size: int | None = None,
    cuda_installed: int | None = None,
    released: str | None = None,
    source: Source = SOURCE,
) -> FrameworkBuild:
    return FrameworkBuild(
        framework=framework,
        version=Version(version),
        build=build,
        platforms=platforms,
        released=released,
        pythons=pythons,
        glibc=Version(glibc),
        provider=provider,
        cuda=None if cuda is None else VersionWish(cuda),
        cudnn=None if cudnn is None else VersionWish(cudnn),
        nccl=None,
        cubins=None if cubins is None else versions(*cubins),
        ptx=versions(*ptx),
        compiler=_compiler(provider) if cubins is None and is_seen else None,
        index=index,
        requires=(f"{framework}=={version}",),
        toolkit_extras=extras,
        cudnn_package=cudnn_package,
        reported=f"{version}+{build}",
        env={},
        size=size,
        installed=installed,
        cuda_size=cuda_size,
        cuda_installed=cuda_installed,
        source=source,
    )


def cpu_build(framework: str, version: str, **more: object) -> FrameworkBuild:
    return build(framework, version, "cpu", provider=CudaProvider.NONE, cubins=(), **more)  # type: ignore[arg-type]


def cuda(
    version: str,
    driver: str | None,
    minor_driver: str | None,
    *,
    capabilities: tuple[str, ...] = ("7.0", "7.5", "8.0", "8.6", "9.0"),
    metapackage: bool = True,
    compat: tuple[int, ...] = (),
    source: Source = SOURCE,
) -> CudaRelease:
    return CudaRelease(
        version=Version(version),
        driver=None if driver is None else Version(driver),
        minor_driver=None if minor_driver is None else Version(minor_driver),
        capabilities=versions(*capabilities),
        metapackage=f"cuda-toolkit=={version}" if metapackage else None,
        compat_package=f"cuda-compat-{version}" if compat else None,
        compat_branches=compat,
        source=source,
    )


def cudnn(
    version: str,
    *,
    packages: Mapping[str, str] | None = None,
    least: Mapping[str, str] | None = None,
    most: Mapping[str, str] | None = None,
    minors: Mapping[str, str] | None = None,
    source: Source = SOURCE,
) -> CudnnRelease:
    return CudnnRelease(
        version=Version(version),
        packages={"12": "nvidia-cudnn-cu12"} if packages is None else packages,
        capability_min={major: Version(one) for major, one in (least or {}).items()},
        capability_max={major: Version(one) for major, one in (most or {}).items()},
        cuda=minors or {},
        source=source,
    )


def gpu(
    name: str,
    capability: str,
    *,
    kind: str = "consumer",
    first: str | None = None,
    last: int | None = None,
    platforms: tuple[str, ...] = (),
    source: Source = SOURCE,
) -> Gpu:
    return Gpu(
        name=name,
        aliases=(),
        capability=Version(capability),
        kind=kind,
        first_driver=None if first is None else Version(first),
        last_branch=last,
        platforms=platforms,
        source=source,
    )


_FAMILIES = {"ubuntu": "ubuntu", "debian": "debian", "rocky": "rhel"}


def system(
    name: str,
    glibc: str,
    python: str | None,
    *,
    eol: str | None = None,
    can_bootstrap: bool = False,
    **sizes: int | None,
) -> OperatingSystem:
    return OperatingSystem(
        id=name,
        family=next(family for start, family in _FAMILIES.items() if name.startswith(start)),
        codename=name,
        glibc=Version(glibc),
        image=f"{name}:plain",
        python=python,
        python_packages=("python3", "python3-venv"),
        library_packages=("libgomp1",),
        bootstrap_packages=("base-files",) if can_bootstrap else (),
        eol=eol,
        source=SOURCE,
        **sizes,
    )


def image(  # noqa: PLR0913 -- one argument per fact
    reference: str,
    os: str,
    *,
    flavor: str | None = None,
    cuda: str | None = None,
    cudnn: str | None = None,
    gate: str | None = None,
    python: str | None = None,
    platforms: tuple[str, ...] = ("linux/amd64", "linux/arm64"),
    removed: str | None = None,
    replaced_by: str | None = None,
    size: int | None = None,
    installed: int | None = None,
    compat: tuple[str, ...] = (),
    gate_branches: tuple[int, ...] = (),
    gate_brands: tuple[str, ...] = (),
    source: Source = SOURCE,
) -> BaseImage:
    return BaseImage(
        reference=reference,
        os=os,
        platforms=platforms,
        flavor=flavor,
        cuda=None if cuda is None else Version(cuda),
        cudnn=None if cudnn is None else Version(cudnn),
        gate=gate,
        python=python,
        removed=removed,
        replaced_by=replaced_by,
        size=size,
        installed=installed,
        compat_platforms=compat,
        gate_branches=gate_branches,
        gate_brands=gate_brands,
        source=source,
    )


def standalone(
    version: str,
    *,
    platforms: tuple[str, ...] = ("linux/amd64", "linux/arm64"),
    glibc: str = "2.17",
    source: Source = SOURCE,
) -> StandalonePython:
    return StandalonePython(
        version=Version(version),
        release="20260101",
        released=None,
        glibc=Version(glibc),
        feed="pythons",
        files={one: f"20260101/{version}-{one.rpartition('/')[2]}.tar.gz" for one in platforms},
        sha256=dict.fromkeys(platforms, "a" * 64),
        source=source,
    )


def branch(number: int, cuda: str, eol: str | None = None) -> DriverBranch:
    return DriverBranch(branch=number, cuda=Version(cuda), eol=eol, source=SOURCE)


def companion(
    framework: str,
    requirement: str,
    needs: str,
    *,
    role: CompanionRole = CompanionRole.EXTENSION,
    pythons: tuple[str, ...] = (),
    released: str | None = None,
    abi: Abi = Abi.FRAMEWORK,
    source: Source = SOURCE,
) -> Companion:
    """One release, `vllm==0.10.0`, and the framework releases that it goes with."""
    package, _, version = requirement.partition("==")
    return Companion(
        framework=framework,
        package=package,
        version=Version(version),
        needs=VersionWish(needs),
        role=role,
        abi=abi,
        released=released,
        pythons=pythons,
        source=source,
    )


def broken(effect: str, source: Source = SOURCE, *, is_fatal: bool = True, **when: str) -> Broken:
    return Broken(when=when, effect=effect, is_fatal=is_fatal, source=source)


_NEW = ("7.5", "8.0", "9.0", "10.0", "12.0")
_CU11 = {"11": "nvidia-cudnn-cu11", "12": "nvidia-cudnn-cu12"}
_CU13 = {"12": "nvidia-cudnn-cu12", "13": "nvidia-cudnn-cu13"}


def world() -> Matrix:
    """Three frameworks: one with exact wheels, one with CUDA from the image, one with ranges."""
    return Matrix.from_rows(
        frameworks=(framework("torchy", "tor"), framework("flow"), framework("rangy")),
        builds=(
            build("torchy", "2.0", "cu118", cuda="11.8", cudnn="==8.7.0.84", pythons=("3.8", "3.10")),
            build("torchy", "2.4", "cu121", cuda="12.1", cudnn="==9.1.0.70", ptx=("9.0",)),
            cpu_build("torchy", "2.4", platforms=("linux/amd64", "linux/arm64")),
            build("torchy", "2.7", "cu118", cuda="11.8", cudnn="==9.1.0.70", index="torchy-cu118"),
            build("torchy", "2.7", "cu126", cuda="12.6", cudnn="==9.5.1.17", glibc="2.28"),
            build(
                "torchy",
                "2.7",
                "cu128",
                cuda="12.8",
                cudnn="==9.7.1.26",
                glibc="2.28",
                cubins=_NEW,
                index="torchy-cu128",
                size=900,
            ),
            build(
                "torchy",
                "2.7",
                "cu128",
                cuda="12.8",
                cudnn="==9.7.1.26",
                glibc="2.28",
                cubins=("9.0",),
                index="torchy-cu128",
                platforms=("linux/arm64",),
            ),
            build("torchy", "2.9rc1", "cu128", cuda="12.8", cudnn="==9.7.1.26", cubins=_NEW),
            build("torchy", "3.0", "cu128", cuda="12.8", cudnn="==9.7.1.26", cubins=_NEW, source=INFERRED),
            build(
                "flow",
                "2.11",
                "gpu",
                cuda=">=11.2,<12",
                cudnn=">=8.1,<9",
                provider=CudaProvider.SYSTEM,
                pythons=("3.8", "3.10"),
            ),
            build(
                "flow",
                "2.12",
                "gpu",
                cuda=">=11.8,<12",
                cudnn=">=8.6,<9",
                provider=CudaProvider.SYSTEM,
                pythons=("3.8", "3.10", "3.11"),
            ),
            build(
                "rangy",
                "0.4",
                "cuda12",
                cuda=">=12.1,<13",
                cudnn=">=9,<10",
                cubins=None,
                extras=("cudart", "cublas"),
                cudnn_package="nvidia-cudnn-cu12",
            ),
            build(
                "rangy",
                "0.4",
                "cuda13",
                cuda=">=13,<14",
                cudnn=">=9.10,<10",
                cubins=None,
                extras=("cudart", "cublas"),
                cudnn_package="nvidia-cudnn-cu13",
            ),
            cpu_build("rangy", "0.4", platforms=("linux/amd64", "linux/arm64")),
        ),
        companions=(
            Companion(
                framework="torchy",
                package="visiony",
                version=Version("0.22"),
                needs=VersionWish("==2.7"),
                role=CompanionRole.COMPANION,
                source=SOURCE,
            ),
        ),
        cuda_releases=(
            cuda("11.2.2", "460.32.03", "450.80.02", capabilities=("7.0", "8.0", "8.6"), metapackage=False),
            cuda("11.4.3", "470.82.01", "450.80.02", capabilities=("7.0", "8.0", "8.6"), metapackage=False),
            cuda("11.4.4", "470.82.01", "450.80.02", capabilities=("7.0", "8.0", "8.6"), metapackage=False),
            cuda("11.8.0", "520.61.05", "450.80.02", metapackage=False),
            cuda("12.1.1", "530.30.02", "525.60.13"),
            cuda("12.6.3", "560.35.05", "525.60.13"),
            cuda("12.8.0", "570.26", "525.60.13", capabilities=("7.0", *_NEW)),
            cuda("12.8.1", "570.124.06", "525.60.13", capabilities=("7.0", *_NEW)),
            cuda("13.0.0", "580.65.06", "580.65.06", capabilities=_NEW),
            cuda("13.9.0", None, None, capabilities=_NEW, source=INFERRED),
        ),
        cudnn_releases=(
            cudnn("8.1.1.33", packages={}),
            cudnn("8.2.4.15", packages={}),
            cudnn("8.7.0.84", packages={}),
            cudnn("9.1.0.70", packages=_CU11),
            cudnn("9.5.1.17"),
            cudnn("9.7.1.26"),
            cudnn("9.11.0.98", packages=_CU13, least={"12": "7.5", "13": "7.5"}),
        ),
        gpus=(
            gpu("V100", "7.0", kind="datacenter", first="396.26", last=580),
            gpu("A100", "8.0", kind="datacenter", first="450.36"),
            gpu("RTX 4090", "8.9", first="520.56.06"),
            gpu("H100", "9.0", kind="datacenter", first="520.61.05"),
            gpu("RTX 5090", "12.0", first="570.26"),
            gpu("Orin", "8.7", kind="embedded"),
            gpu("RTX 6090", "13.0", source=INFERRED),
        ),
        systems=(
            system("ubuntu18.04", "2.27", "3.6", eol="2023-05-31"),
            system("ubuntu20.04", "2.31", "3.8", eol="2025-05-31"),
            system("ubuntu22.04", "2.35", "3.10", eol="2027-06-01"),
            system("debian12", "2.36", "3.11", eol="2028-06-30", can_bootstrap=True),
        ),
        base_images=(
            image("python:3.11-slim", "debian12", python="3.11", size=45),
            image("python:3.12-slim", "debian12", python="3.12", size=45),
            image("python:3.13-slim", "debian12", python="3.13", size=45),
            image(
                "cuda:11.4.0-cudnn8-runtime-ubuntu20.04",
                "ubuntu20.04",
                flavor="runtime",
                cuda="11.4.0",
                cudnn="8.2.4.15",
                removed="unknown",
                replaced_by="cuda:11.4.3-cudnn8-runtime-ubuntu20.04",
            ),
            image(
                "cuda:11.4.3-cudnn8-runtime-ubuntu20.04",
                "ubuntu20.04",
                flavor="runtime",
                cuda="11.4.3",
                cudnn="8.2.4.15",
                gate="cuda>=11.4 brand=tesla,driver>=450,driver<451",
            ),
            image(
                "cuda:11.8.0-cudnn8-runtime-ubuntu22.04",
                "ubuntu22.04",
                flavor="runtime",
                cuda="11.8.0",
                cudnn="8.7.0.84",
                gate="cuda>=11.8 brand=tesla,driver>=470,driver<471",
            ),
            image(
                "cuda:11.8.0-cudnn8-devel-ubuntu22.04",
                "ubuntu22.04",
                flavor="devel",
                cuda="11.8.0",
                cudnn="8.7.0.84",
                gate="cuda>=11.8",
            ),
            image(
                "cuda:12.6.3-devel-ubuntu22.04",
                "ubuntu22.04",
                flavor="devel",
                cuda="12.6.3",
                gate="cuda>=12.6",
            ),
            image(
                "cuda:12.8.1-devel-ubuntu22.04",
                "ubuntu22.04",
                flavor="devel",
                cuda="12.8.1",
                gate="cuda>=12.8",
            ),
            image(
                "cuda:12.8.1-base-ubuntu22.04", "ubuntu22.04", flavor="base", cuda="12.8.1", gate="cuda>=12.8"
            ),
        ),
        driver_branches=(
            branch(450, "11.0"),
            branch(470, "11.4"),
            branch(520, "11.8"),
            branch(525, "12.0"),
            branch(535, "12.2"),
            branch(560, "12.6"),
            branch(570, "12.8"),
            branch(580, "13.0"),
        ),
        indexes=(
            PackageIndex(name="torchy-cu118", url="https://wheels.invalid/cu118", source=SOURCE),
            PackageIndex(name="torchy-cu128", url="https://wheels.invalid/cu128", source=SOURCE),
        ),
        broken=(
            broken("flow's PTX cannot be compiled for sm_120", framework="flow", capability="12.0"),
            broken("torchy 2.4 hangs on Python 3.12", framework="torchy", version="2.4", python="3.12"),
        ),
        as_of="2026-11-22",
    )


def framework_wish(name: str, version: str | None = None) -> FrameworkWish:
    """A framework as it is asked for."""
    return FrameworkWish(name=name, version=VersionWish(version) if version else None)


def wishes(**given: object) -> Wishes:
    """Wishes with the rest left out."""
    return Wishes(prefer_per_field={}, **given)  # type: ignore[arg-type]
