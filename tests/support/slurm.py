"""A real Slurm of one node, from Debian's packages, unpacked and never installed."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "munge",
    "libmunge2",
    "libjson-c5",
    "libhwloc15",
    "liblua5.1-0",
    "libyaml-0-2",
    "libnuma1",
    "libdbus-1-3",
)
START_SECONDS = 30
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller_port}
SlurmdPort={node_port}
PluginDir={plugins}
AuthType=auth/munge
AuthInfo=socket={work}/munge.sock
CredType=cred/munge
StateSaveLocation={work}/state
SlurmdSpoolDir={work}/spool
SlurmctldPidFile={work}/slurmctld.pid
SlurmdPidFile={work}/slurmd.pid
SlurmctldLogFile={work}/slurmctld.log
SlurmdLogFile={work}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
ReturnToService=2
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=1 RealMemory=1000
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class NoSlurm(Exception):
    """Why there can be no Slurm here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm:
    """A cluster that takes jobs."""

    root: Path
    environment: dict[str, str]

    def submit(self, script: Path, *, directory: Path, timeout: float) -> int:
        """`sbatch --wait`: the job's exit status."""
        done = subprocess.run(
            [self.root / "usr/bin/sbatch", "--wait", script],
            cwd=directory,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert "Submitted batch job" in done.stdout, done.stdout + done.stderr
        return done.returncode


@contextmanager
def run_slurm(work: Path) -> Iterator[Slurm]:
    """Start a cluster in an empty directory, and end it. Raises NoSlurm."""
    root = work / "root"
    _unpack(work / "debs", root)
    host = socket.gethostname().split(".")[0]
    libraries = _libraries(root)
    plugins = libraries / "slurm-wlm"
    for name in ("state", "spool"):
        (work / name).mkdir()
    configuration = work / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            host=host, work=work, plugins=plugins, controller_port=_free_port(), node_port=_free_port()
        )
    )
    key = work / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o600)
    work.chmod(0o700)
    environment = {
        "SLURM_CONF": str(configuration),
        "LD_LIBRARY_PATH": f"{libraries}:{plugins}",
    }
    munge = {"key-file": key, "socket": work / "munge.sock", "pid-file": work / "munged.pid"}
    munge |= {"log-file": work / "munged.log", "seed-file": work / "munge.seed"}
    options = [f"--{name}={path}" for name, path in munge.items()]
    commands = (
        [root / "usr/sbin/munged", "--foreground", "--force", *options],
        [root / "usr/sbin/slurmctld-wlm", "-D", "-f", configuration],
        [root / "usr/sbin/slurmd-wlm", "-D", "-f", configuration, "-d", root / "usr/sbin/slurmstepd-wlm"],
    )
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            log = (work / "daemons.log").open("ab")
            started.append(
                subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
            )
            log.close()
        slurm = Slurm(root=root, environment=environment)
        _wait(slurm, work)
        yield slurm
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=30)


def _unpack(debs: Path, root: Path) -> None:
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NoSlurm("it takes apt-get and root")
    debs.mkdir()
    got = subprocess.run(
        ["apt-get", "download", "-qq", *PACKAGES], cwd=debs, capture_output=True, text=True, check=False
    )
    if got.returncode != 0:
        raise NoSlurm(f"the OS archive does not give Slurm: {got.stderr.strip().splitlines()[-1:]}")
    for file in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg", "-x", file, root], check=True)


def _libraries(root: Path) -> Path:
    found = sorted((root / "usr/lib").glob("*/slurm-wlm"))
    if not found:
        raise NoSlurm("the OS archive's Slurm has another layout than Debian 12's")
    return found[0].parent


def _wait(slurm: Slurm, work: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        asked = subprocess.run(
            [slurm.root / "usr/bin/sinfo", "--noheader", "--format=%T"],
            env={**os.environ, **slurm.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stdout.strip() == "idle":
            return
        time.sleep(0.2)
    log = (work / "daemons.log").read_text(errors="replace")[-2000:]
    raise NoSlurm(f"it did not come up in {START_SECONDS} s: {log}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
