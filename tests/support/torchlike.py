"""What looks like PyTorch for CUDA 12.8 to a loader: real shared objects, and little in them."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.artefacts import fat_binary

WINDOW = (80, 90, 120)
_CUDNN = "unsigned long cudnnGetVersion(void) {{ return {}; }}"
_NCCL = "int ncclGetVersion(int *number) { *number = 22703; return 0; }"
_CUDART = "int cudaRuntimeGetVersion(int *number) { *number = 12080; return 0; }"
_WHEELS = ("cudnn", "cuda_runtime", "nccl", "cusparse")


def build_library(
    path: Path,
    source: str = "",
    *,
    needed: Sequence[Path | str] = (),
    rpath: str | None = None,
    runpath: str | None = None,
    code: bytes = b"",
) -> Path:
    """Compile one library. `needed` are files to link with, or names that lie nowhere yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = source + "\n" + _section(code)
    words: list[str | Path] = [
        "gcc",
        "-shared",
        "-fPIC",
        "-nostdlib",
        f"-Wl,-soname,{path.name}",
        "-x",
        "c",
        "-",
    ]
    words += ["-x", "none", "-Wl,--no-as-needed", "-o", path]
    for one in needed:
        words.append(one if isinstance(one, Path) else build_library(path.parent / "absent" / one))
    for tags, value in (("--disable-new-dtags", rpath), ("--enable-new-dtags", runpath)):
        if value is not None:
            words += [f"-Wl,{tags}", f"-Wl,-rpath,{value}"]
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return path


def _section(code: bytes) -> str:
    if not code:
        return ""
    numbers = ",".join(map(str, code))
    return f'__attribute__((section(".nv_fatbin"), used)) static const unsigned char code[] = {{{numbers}}};'


def make_torch(packages: Path, *, window: Sequence[int] = WINDOW, is_cuda: bool = True) -> None:
    """PyTorch and, for CUDA, the wheels that it asks for, below a directory of packages."""
    torch = packages / "torch"
    label = "cu128" if is_cuda else "cpu"
    write(torch / "__init__.py", f"__version__ = '2.8.0+{label}'\n")
    write(torch / "version.py", f"__version__ = '2.8.0+{label}'\ncuda = {'12.8' if is_cuda else None!r}\n")
    has = distributions(torch=f"2.8.0+{label}", torchvision="0.23.0")
    needed: list[Path | str] = []
    if is_cuda:
        libraries = make_wheels(packages)
        needed = [
            build_library(
                torch / "lib" / "libtorch_cuda.so",
                needed=[*libraries.values()],
                rpath=":".join(f"$ORIGIN/../../nvidia/{wheel}/lib" for wheel in _WHEELS) + ":$ORIGIN",
                code=b"".join(_aligned(fat_binary(cubins=window)) for _ in range(4)),
            )
        ]
        has |= distributions(
            nvidia_cudnn_cu12="9.10.2.21", nvidia_cuda_runtime_cu12="12.8.90", nvidia_nccl_cu12="2.27.3"
        )
    python = build_library(torch / "lib" / "libtorch_python.so", needed=needed, rpath="$ORIGIN")
    build_library(torch / "_C.cpython-311-x86_64-linux-gnu.so", needed=[python], rpath="$ORIGIN/lib")
    for path, content in has.items():
        write(packages / path, content)


def make_wheels(packages: Path) -> Mapping[str, Path]:
    """NVIDIA's libraries as its wheels lay them down."""
    nvidia = packages / "nvidia"
    jit = build_library(nvidia / "nvjitlink" / "lib" / "libnvJitLink.so.12", "int wheel;")
    return {
        "cudnn": make_cudnn(nvidia / "cudnn" / "lib", 91002),
        "cuda_runtime": build_library(nvidia / "cuda_runtime" / "lib" / "libcudart.so.12", _CUDART),
        "nccl": build_library(nvidia / "nccl" / "lib" / "libnccl.so.2", _NCCL),
        "cusparse": build_library(
            nvidia / "cusparse" / "lib" / "libcusparse.so.12",
            needed=[jit],
            runpath="$ORIGIN/../../nvjitlink/lib",
        ),
    }


def make_cudnn(directory: Path, number: int, major: int = 9) -> Path:
    """A cuDNN and one of its parts."""
    part = f"int part_{number};"
    build_library(directory / f"libcudnn_ops.so.{major}", part)
    return build_library(directory / f"libcudnn.so.{major}", _CUDNN.format(number), runpath="$ORIGIN")


def distributions(**versions: str) -> dict[str, str]:
    """What tells that packages are installed."""
    return {
        f"{name}-{version}.dist-info/METADATA": f"Name: {name}\nVersion: {version}\n"
        for name, version in versions.items()
    }


def write(path: Path, content: str) -> None:
    """Write a file and the directories that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _aligned(content: bytes) -> bytes:
    return content + bytes(-len(content) % 16)
