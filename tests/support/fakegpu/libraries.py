"""Compiling the fake driver libraries, with the host's compiler or, where it has none, in a container."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from cudaforge.bootstrap import find_archive_access, find_host_codename
from tests.support.bases import PACKAGES, cache_for_tests, make_base

SOURCES = Path(__file__).parent
LIBRARIES = {"libcuda.so.1": "cuda.c", "libnvidia-ml.so.1": "nvml.c"}
# Without the C library's start files and headers: then what is compiled here loads in any image.
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wno-unused-function", "-O1", "-fPIC", "-fvisibility=hidden")
LINK_FLAGS = ("-ffreestanding", "-fno-stack-protector", "-nostdlib", "-shared")
COMPILE_SECONDS = 600


def make_libraries() -> Path:
    """A directory with the libraries and `nvidia-smi`, made once for these sources."""
    place = cache_for_tests() / "fakegpu" / _key()
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _make(place)
    return place


def _key() -> str:
    hashed = hashlib.sha256(repr((FLAGS, LINK_FLAGS, os.uname().machine)).encode())
    for source in sorted(SOURCES.iterdir()):
        if source.is_file():
            hashed.update(source.read_bytes())
    return hashed.hexdigest()[:16]


def _make(place: Path) -> None:
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        if shutil.which("cc"):
            _compile_here(made)
        else:
            _compile_in_container(made, Path(scratch))
        shutil.copy(SOURCES / "nvidia-smi", made)
        # Containers run as other users.
        for path in (made, *made.iterdir()):
            path.chmod(0o755)
        made.rename(place)


def _compile_here(into: Path) -> None:
    for name in LIBRARIES:
        _run(*_command(name, directory=SOURCES, into=into))


def _compile_in_container(into: Path, scratch: Path) -> None:
    codename = find_host_codename()
    base = make_base(codename if codename in PACKAGES else "bookworm")
    access = find_archive_access(codename)
    (scratch / "sources").write_text(access.sources)
    (scratch / "config").write_text(access.config)
    (scratch / "Dockerfile").write_text(_dockerfile())
    _run(
        "docker",
        "buildx",
        "build",
        f"--build-context=base={base.build_context}",
        f"--secret=id=sources,src={scratch}/sources",
        f"--secret=id=config,src={scratch}/config",
        f"--output=type=local,dest={into}",
        f"--file={scratch}/Dockerfile",
        str(SOURCES),
    )


def _dockerfile() -> str:
    commands = [" ".join(_command(name, directory=Path("/src"), into=Path("/made"))) for name in LIBRARIES]
    return f"""\
FROM base AS compiler
RUN --mount=type=secret,id=sources,target=/etc/apt/sources.list.d/site.list \\
    --mount=type=secret,id=config,target=/etc/apt/apt.conf.d/99site \\
    apt-get update && apt-get install --yes --no-install-recommends gcc
RUN --mount=type=bind,target=/src mkdir /made && {" && ".join(commands)}
FROM scratch
COPY --from=compiler /made /
"""


def _command(name: str, *, directory: Path, into: Path) -> list[str]:
    source, target = directory / LIBRARIES[name], into / name
    # The container's compiler goes by the name gcc alone until alternatives are set.
    compiler = "cc" if directory == SOURCES else "gcc"
    return [compiler, *FLAGS, *LINK_FLAGS, f"-Wl,-soname,{name}", "-o", str(target), str(source)]


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed: {done.stdout}{done.stderr}")
