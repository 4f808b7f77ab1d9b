"""How an engine can give GPUs to a container: read from its `info`, its CDI specs and the host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cudaforge.engine.model import GpuMethod, GpuOffer, GpuRequest

CDI_KIND = "nvidia.com/gpu"
RUNTIME_NAME = "nvidia"
_SPEC_LIMIT = 4 * 1024 * 1024
_YAML_KIND = re.compile(r"""^kind:\s*["']?(?P<kind>[^\s"'#]+)""", re.MULTILINE)
_YAML_DEVICE = re.compile(
    r"""^\s*(?:-\s+)?name:\s*["']?(?P<name>[A-Za-z0-9][\w.:-]*)["']?\s*$""", re.MULTILINE
)
_HOST_DEVICE = re.compile(r"nvidia\d+|nvidiactl")


def read_offer(info: Mapping[str, object], *, devices: Path, is_local: bool) -> GpuOffer:
    """The offer in the engine's `info`.

    Engines before Docker 28 do not list their CDI devices; for a local one the specs are read instead.
    `devices` is the host's /dev.
    """
    cdi_devices = _discovered(info)
    if not cdi_devices and is_local:
        cdi_devices = _read_specs(_strings(info.get("CDISpecDirs")))
    runtimes = info.get("Runtimes")
    has_runtime = isinstance(runtimes, Mapping) and RUNTIME_NAME in runtimes
    host_devices = find_host_devices(devices) if is_local else ()
    return GpuOffer(
        request=_choose(cdi_devices, has_runtime=has_runtime, has_host_devices=bool(host_devices)),
        cdi_devices=cdi_devices,
        has_runtime=has_runtime,
        host_devices=host_devices,
    )


def find_host_devices(devices: Path) -> tuple[str, ...]:
    """NVIDIA's device nodes below `devices`."""
    try:
        return tuple(sorted(str(path) for path in devices.iterdir() if _HOST_DEVICE.fullmatch(path.name)))
    except OSError:
        return ()


def parse_cdi_spec(text: str) -> tuple[str, ...]:
    """The qualified GPU names of one CDI spec, JSON or YAML; none for another vendor's."""
    if text.lstrip().startswith("{"):
        return _parse_json_spec(text)
    kind = _YAML_KIND.search(text)
    if kind is None or kind["kind"] != CDI_KIND:
        return ()
    return tuple(f"{CDI_KIND}={match['name']}" for match in _YAML_DEVICE.finditer(text))


def _parse_json_spec(text: str) -> tuple[str, ...]:
    try:
        spec = json.loads(text)
        if spec["kind"] != CDI_KIND:
            return ()
        return tuple(f"{CDI_KIND}={device['name']}" for device in spec["devices"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return ()


def _choose(cdi_devices: tuple[str, ...], *, has_runtime: bool, has_host_devices: bool) -> GpuRequest | None:
    if cdi_devices:
        every = f"{CDI_KIND}=all"
        return GpuRequest(method=GpuMethod.CDI, devices=(every,) if every in cdi_devices else cdi_devices)
    if has_runtime:
        return GpuRequest(method=GpuMethod.RUNTIME)
    # NVIDIA's toolkit may be installed without its runtime being registered; `info` does not tell.
    return GpuRequest(method=GpuMethod.DEVICE_REQUEST) if has_host_devices else None


def _discovered(info: Mapping[str, object]) -> tuple[str, ...]:
    listed = info.get("DiscoveredDevices")
    if not isinstance(listed, Iterable):
        return ()
    names = (str(entry.get("ID", "")) for entry in listed if isinstance(entry, Mapping))
    return tuple(sorted(name for name in names if name.startswith(f"{CDI_KIND}=")))


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else ()


def _read_specs(directories: tuple[str, ...]) -> tuple[str, ...]:
    found: set[str] = set()
    for directory in directories:
        try:
            files = sorted(Path(directory).iterdir())
        except OSError:
            continue
        for file in files:
            if file.suffix in {".json", ".yaml", ".yml"}:
                found.update(parse_cdi_spec(_read_capped(file)))
    return tuple(sorted(found))


def _read_capped(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_SPEC_LIMIT).decode("utf-8", errors="replace")
    except OSError:
        return ""


def gpu_flags(offer: GpuOffer) -> tuple[str, ...]:
    """What `docker run` takes to give all GPUs of the offer to a container; nothing for no offer."""
    request = offer.request
    if request is None:
        return ()
    match request.method:
        case GpuMethod.CDI:
            return tuple(flag for device in request.devices for flag in ("--device", device))
        case GpuMethod.RUNTIME:
            return ("--runtime", RUNTIME_NAME, "--env", f"NVIDIA_VISIBLE_DEVICES={','.join(request.devices)}")
        case GpuMethod.DEVICE_REQUEST:
            return ("--gpus", ",".join(request.devices))
        case GpuMethod.SCHEDULER:
            return ()
