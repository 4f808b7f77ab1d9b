"""A real Podman with a service of its own: the host's, or from the OS archive's packages, unpacked and never
installed."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("podman", "runc", "netavark")
HOME = Path(os.environ.get("CUDAFORGE_ENGINE_HOME", "/var/tmp/cudaforge-engine"))
START_SECONDS = 60
POLICY = {"default": [{"type": "insecureAcceptAnything"}]}


class NoPodman(Exception):
    """Why there can be no Podman here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodmanHost:
    """A service that answers, and what programs need to know of it."""

    work: Path
    environment: dict[str, str]

    def run(self, *words: str, fails: bool = False) -> str:
        """`podman` on the service's store: what it prints."""
        done = subprocess.run(
            ["podman", *words],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout.strip()

    def names(self) -> set[str]:
        """The names of all images in the store."""
        images = json.loads(self.run("images", "--format", "json"))
        return {name for image in images for name in image.get("Names") or ()}

    def containers(self) -> list[str]:
        """Every container in the store, those of builds, too."""
        return [one["Id"] for one in json.loads(self.run("ps", "--all", "--external", "--format", "json"))]


@contextmanager
def run_podman() -> Iterator[PodmanHost]:
    """Start Podman's service on an empty store, and end it. Raises NoPodman."""
    if os.geteuid() != 0:
        raise NoPodman("it takes root")
    HOME.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="podman-", dir=HOME))
    try:
        environment = _configure(work)
        log = work / "service.log"
        socket = work / "podman.sock"
        with log.open("wb") as output:
            service = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{socket}"],
                env={**os.environ, **environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            _wait(service, socket, log)
            yield PodmanHost(work=work, environment={**environment, "DOCKER_HOST": f"unix://{socket}"})
        finally:
            service.terminate()
            service.wait(timeout=60)
    finally:
        _remove(work)


def _configure(work: Path) -> dict[str, str]:
    """The variables with which every Podman works on the store in `work` alone."""
    root = work / "root"
    environment = {} if shutil.which("podman") else _unpack(work, root)
    home = work / "home"
    (home / ".config/containers").mkdir(parents=True)
    (home / ".config/containers/policy.json").write_text(json.dumps(POLICY))
    (work / "registries.conf").write_text("")
    (work / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{work}/store"\nrunroot = "{work}/run"\n'
    )
    # In some machines less than Podman gives by itself.
    files = "nofile={}:{}".format(*resource.getrlimit(resource.RLIMIT_NOFILE))
    limits = json.dumps([files, "nproc=16384:16384"])
    helpers = json.dumps([f"{root}/usr/{place}" for place in ("lib/podman", "libexec/podman", "bin")])
    # The Podman that tidies up behind each container is given the store alone, and these: it takes static_dir
    # for where it is by default, and all wait 20 s for one that does not find its container.
    passed = json.dumps([f"{name}={value}" for name, value in environment.items()])
    found = (
        ""
        if not environment
        else (
            f'conmon_path = ["{root}/usr/bin/conmon"]\nhelper_binaries_dir = {helpers}\n'
            f"conmon_env_vars = {passed}\n"
            f'[engine.runtimes]\nrunc = ["{root}/usr/sbin/runc", "/usr/sbin/runc"]\n'
        )
    )
    seccomp = f'seccomp_profile = "{root}/usr/share/containers/seccomp.json"\n' if environment else ""
    (work / "containers.conf").write_text(
        f"[containers]\ndefault_ulimits = {limits}\n"
        f'{seccomp}[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        f'runtime = "runc"\nstatic_dir = "{work}/store/libpod"\ntmp_dir = "{work}/tmp"\n{found}'
    )
    return {
        **environment,
        "CONTAINERS_CONF": str(work / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(work / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(work / "registries.conf"),
        "HOME": str(home),
    }


def _unpack(work: Path, root: Path) -> dict[str, str]:
    """Podman and what the host lacks of the packages that it needs."""
    if shutil.which("apt-get") is None:
        raise NoPodman("there is no podman, and no apt-get to get one")
    debs = work / "debs"
    (debs / "partial").mkdir(parents=True)
    got = subprocess.run(
        [
            "apt-get",
            "install",
            "--yes",
            "--download-only",
            "--no-install-recommends",
            f"--option=Dir::Cache::archives={debs}",
            *PACKAGES,
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if got.returncode != 0:
        raise NoPodman(f"the OS archive does not give Podman: {got.stderr.strip().splitlines()[-1:]}")
    for file in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg", "-x", file, root], check=True)
    libraries = [str(path) for path in sorted((root / "usr/lib").glob("*-linux-gnu"))]
    libraries += [str(path) for path in sorted((root / "lib").glob("*-linux-gnu"))]
    return {
        "PATH": f"{root}/usr/bin:{root}/usr/sbin:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": ":".join(libraries),
    }


def _wait(service: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and service.poll() is None:
        if socket.exists():
            return
        time.sleep(0.1)
    raise NoPodman(f"its service did not start: {log.read_text(errors='replace')[-2000:]}")


def _remove(work: Path) -> None:
    """Take the store away; what is still mounted below it is let go first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in sorted((one for one in mounts if one.startswith(f"{work}/")), reverse=True):
        subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)
    shutil.rmtree(work, ignore_errors=True)
