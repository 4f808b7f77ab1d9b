"""Checks of the container engine, its disk, and who may use it."""

from __future__ import annotations

import grp
import stat
from collections.abc import Iterator

from cudaforge.codes import Code
from cudaforge.doctor.host import Host
from cudaforge.doctor.model import Judgement, good, listed, problem, skipped, warning
from cudaforge.doctor.situation import EngineTrouble, Expected, Situation
from cudaforge.engine import GpuMethod
from cudaforge.units import bytes_text

_CODES = {
    EngineTrouble.ABSENT: Code.ENGINE_MISSING,
    EngineTrouble.OTHER: Code.ENGINE_MISSING,
    EngineTrouble.DENIED: Code.ENGINE_PERMISSION,
    EngineTrouble.TOO_OLD: Code.ENGINE_TOO_OLD,
    EngineTrouble.SILENT: Code.ENGINE_UNREACHABLE,
}
_SCARCE = 0.05
"""Of a disk: the share below which engines begin to fail in odd ways."""
_RUNTIME_CONFIG = "/etc/nvidia-container-runtime/config.toml"
_GPU_MAJOR = "195"
"""The device number of /dev/nvidia0 and /dev/nvidiactl: Linux, Documentation/admin-guide/devices.txt."""


def engine(seen: Situation) -> Judgement:
    """The engine answers and is new enough."""
    found = seen.engine
    if found.trouble is not None and found.problem is not None:
        text = ": ".join((found.problem.what, *found.problem.because))
        remedy = found.problem.remedy or f"start it: {found.words.start}"
        return problem(text, remedy, code=_CODES[found.trouble])
    place = found.socket or "another machine"
    return good(f"{found.words.name} {found.version} at {place}")


def buildx(seen: Situation) -> Judgement:
    """The docker command line drives BuildKit, or Podman builds by itself."""
    if seen.engine.trouble is not None:
        return skipped("no engine answers")
    found = seen.engine.buildx
    if found is not None:
        return problem(found.what, found.remedy or "install docker-buildx-plugin", code=Code.BUILDX_MISSING)
    if seen.engine.is_podman:
        return good("Podman builds by itself, one platform at a time")
    return good("buildx is there, and new enough")


def socket(seen: Situation) -> Judgement:
    """This user, and not everybody, may use the engine's socket."""
    path = seen.engine.socket
    if path is None:
        return skipped("the engine is not on this machine")
    try:
        status = seen.host.at(path).stat()
    except FileNotFoundError:
        remedy = f"start it: {seen.engine.words.start}"
        return problem(f"there is no socket {path}", remedy, code=Code.ENGINE_MISSING)
    except OSError as error:
        return problem(
            f"{path} cannot be looked at: {error.strerror}",
            f"let this user into {path.rpartition('/')[0]}",
            code=Code.ENGINE_PERMISSION,
        )
    if status.st_mode & stat.S_IWOTH:
        return warning(
            f"everybody on this machine may use {path}, and so become root", f"sudo chmod o-rw {path}"
        )
    group = _group_name(status.st_gid)
    host = seen.host
    is_member = status.st_gid in host.groups and bool(status.st_mode & stat.S_IWGRP)
    is_owner = status.st_uid == host.uid and bool(status.st_mode & stat.S_IWUSR)
    if host.uid == 0 or is_owner or is_member:
        return good(f"{path}: " + ("root" if host.uid == 0 else "owner" if is_owner else f"group {group}"))
    if _is_listed(host, status.st_gid):
        return problem(
            f"this user is in the group {group}, but this login is older than that",
            f"log in again, or: newgrp {group}",
            code=Code.ENGINE_PERMISSION,
        )
    return problem(
        f"this user may not use {path}: it is for the group {group}",
        f"sudo usermod -aG {group} $USER, then log in again",
        code=Code.ENGINE_PERMISSION,
    )


def disk(seen: Situation) -> Judgement:
    """What is to be built fits on the engine's disk."""
    found, place = seen.engine.disk, seen.engine.info.get("DockerRootDir")
    if seen.engine.trouble is not None:
        return skipped("no engine answers")
    if found is None:
        return skipped("the engine's disk is not on this machine, or cannot be looked at")
    waiting = [one for one in seen.expected if one.name not in seen.engine.present]
    needed, words = _needed(waiting)
    text = f"{bytes_text(found.free)} of {bytes_text(found.total)} free at {place}{words}"
    engine_words = seen.engine.words
    free = f"free some: cudaforge clean, {engine_words.usage}"
    if needed > found.free:
        return problem(
            f"{text}: {bytes_text(needed - found.free)} are missing",
            f"{free}; or move {engine_words.store} (now {place}) to a larger disk",
            code=Code.DISK_FULL,
        )
    if found.free - needed < _SCARCE * found.total:
        return warning(f"{text}: little is left then", free)
    return good(text)


def _needed(waiting: list[Expected]) -> tuple[int, str]:
    """Bytes, and how they came about. While an image is built, what was downloaded and what was unpacked are
    there together."""
    if not waiting:
        return 0, ""
    needed = sum((one.compressed or 0) + (one.installed or 0) for one in waiting)
    is_least = any(one.is_lower_bound or None in (one.compressed, one.installed) for one in waiting)
    names = listed([one.name for one in waiting])
    return needed, f"; {names} will take {'at least ' if is_least else ''}{bytes_text(needed)}"


def cgroup(seen: Situation) -> Judgement:
    """GPUs stay with their containers."""
    info = seen.engine.info
    if seen.engine.trouble is not None or not seen.engine.is_local:
        return skipped("no engine of this machine answers")
    driver, version = str(info.get("CgroupDriver", "?")), str(info.get("CgroupVersion", "?"))
    text = f"version {version}, driver {driver}"
    for found in (*_config_trouble(seen), *_reload_trouble(seen, text)):
        return found
    if version == "1" and driver == "systemd":
        return warning(
            f"{text}: newer systemd and Docker leave version 1 behind",
            "boot with systemd.unified_cgroup_hierarchy=1",
        )
    return good(text)


def _config_trouble(seen: Situation) -> Iterator[Judgement]:
    """`no-cgroups` is for engines without root alone: with it, the devices are there and not allowed."""
    lines = (seen.host.read(_RUNTIME_CONFIG) or "").splitlines()
    is_off = any(line.replace(" ", "") == "no-cgroups=true" for line in lines)
    options = seen.engine.info.get("SecurityOptions")
    is_rootless = "rootless" in str(options)
    offer = seen.engine.offer
    if offer is None or offer.request is None or offer.request.method is GpuMethod.CDI:
        return
    if is_off and not is_rootless:
        yield problem(
            f'{_RUNTIME_CONFIG} says no-cgroups = true: in containers NVML says "Unknown Error"',
            "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups=false --in-place",
            code=Code.DEVICE_PERMISSION,
        )
    if is_rootless and not is_off:
        yield problem(
            f"the engine is rootless, and {_RUNTIME_CONFIG} does not say no-cgroups = true",
            "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups --in-place",
            code=Code.DEVICE_PERMISSION,
        )


def _reload_trouble(seen: Situation, text: str) -> Iterator[Judgement]:
    """systemd forgets devices that it was not told of, when it reads its units again: running containers then
    say "Failed to initialize NVML: Unknown Error". Source: NVIDIA, forums.developer.nvidia.com/t/242308."""
    offer = seen.engine.offer
    if seen.engine.info.get("CgroupDriver") != "systemd" or offer is None or offer.request is None:
        return
    if offer.request.method is GpuMethod.CDI:
        return
    if any(name.startswith(f"{_GPU_MAJOR}:") for name in seen.host.names("/dev/char")):
        return
    yield warning(
        f'{text}, no /dev/char/{_GPU_MAJOR}:*: after "systemctl daemon-reload" running containers lose their '
        "GPUs (NVML: Unknown Error)",
        "sudo nvidia-ctk system create-dev-char-symlinks --create-all, or give GPUs by CDI: sudo nvidia-ctk "
        "cdi generate --output=/etc/cdi/nvidia.yaml",
        code=Code.CGROUP_RELOAD,
    )


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _is_listed(host: Host, number: int) -> bool:
    """Whether the machine's list of groups has the user in it, whatever this login has."""
    user = next(
        (
            parts[0]
            for line in (host.read("/etc/passwd") or "").splitlines()
            if len(parts := line.split(":")) > 2 and parts[2] == str(host.uid)  # noqa: PLR2004 -- passwd(5)
        ),
        None,
    )
    for line in (host.read("/etc/group") or "").splitlines():
        parts = line.split(":")
        if len(parts) > 3 and parts[2] == str(number):  # noqa: PLR2004 -- group(5)
            return user is not None and user in parts[3].split(",")
    return False
