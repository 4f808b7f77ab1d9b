"""How an engine can give GPUs to a container: read from its `info`, its CDI specs and the host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from cudaforge.display import show
from cudaforge.engine.model import GpuMethod, GpuOffer, GpuRequest
from cudaforge.errors import InputError, Problem
from cudaforge.records import replace

CDI_KIND = "nvidia.com/gpu"
RUNTIME_NAME = "nvidia"
_SPEC_LIMIT = 4 * 1024 * 1024
_YAML_KIND = re.compile(r"""^kind:\s*["']?(?P<kind>[^\s"'#]+)""", re.MULTILINE)
_YAML_DEVICE = re.compile(
    r"""^\s*(?:-\s+)?name:\s*["']?(?P<name>[A-Za-z0-9][\w.:-]*)["']?\s*$""", re.MULTILINE
)
_HOST_DEVICE = re.compile(r"nvidia\d+|nvidiactl|dxg")
_PCI_VENDOR = "0x10de"
"""NVIDIA's, in the PCI ID register."""
_PCI_DISPLAY = "0x03"
"""The class of display controllers: VGA (0x0300) and 3D (0x0302)."""
_SPEC_DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""Where engines look for CDI specs if nobody says otherwise (the CDI specification)."""
_SELECTION = re.compile(r"all|\d{1,3}(:\d{1,3})?|(GPU|MIG)-[\w/-]{1,100}", re.ASCII)


def read_offer(
    info: Mapping[str, object],
    *,
    devices: Path,
    is_local: bool,
    pci: Path = Path("/sys/bus/pci/devices"),
    is_podman: bool = False,
) -> GpuOffer:
    """The offer in the engine's `info`.

    Engines before Docker 28 and Podman do not list their CDI devices; for a local one the specs are read
    instead. `devices` is the host's /dev, `pci` its list of PCI devices.
    """
    cdi_devices = _discovered(info)
    if not cdi_devices and is_local:
        directories = _strings(info.get("CDISpecDirs")) or (_SPEC_DIRECTORIES if is_podman else ())
        cdi_devices = _read_specs(directories)
    runtimes = info.get("Runtimes")
    has_runtime = isinstance(runtimes, Mapping) and RUNTIME_NAME in runtimes
    host_devices = find_host_devices(devices) if is_local else ()
    # Podman says nothing to `--gpus` through Docker's API, and gives none.
    may_request = bool(host_devices) and not is_podman
    return GpuOffer(
        request=_choose(cdi_devices, has_runtime=has_runtime, has_host_devices=may_request),
        cdi_devices=cdi_devices,
        has_runtime=has_runtime,
        host_devices=host_devices,
        has_hardware=bool(host_devices) or (is_local and find_hardware(pci)),
        is_podman=is_podman,
        is_local=is_local,
    )


def select_gpus(offer: GpuOffer, wanted: tuple[str, ...]) -> GpuOffer:
    """The same offer for these GPUs alone: indexes, `GPU-...` and `MIG-...` UUIDs, or `all`.

    MIG instances also go by `0:1`, the GPU's index and the instance's. Raises InputError for a name of
    another form, and for one that the engine's CDI specs do not have.
    """
    names = parse_gpu_names(wanted)
    request = offer.request
    if request is None or not names or names == ("all",):
        return offer
    if request.method is not GpuMethod.CDI:
        return replace(offer, request=replace(request, devices=names))
    devices = tuple(f"{CDI_KIND}={name}" for name in names)
    missing = [device for device in devices if device not in offer.cdi_devices]
    # What is offered without being listed (another host's specs) the engine itself has to refuse.
    if missing and offer.cdi_devices:
        raise InputError(
            Problem(
                what=f"the engine's CDI specs have no {', '.join(missing)}",
                because=(f"they have {', '.join(offer.cdi_devices)}",),
                remedy="name one of them, or renew the specs: nvidia-ctk cdi generate "
                "--device-name-strategy=uuid --output=/etc/cdi/nvidia.yaml",
            )
        )
    return replace(offer, request=replace(request, devices=devices))


def parse_gpu_names(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The names without CDI's kind, each once. Raises InputError for what names no GPU."""
    for name in wanted:
        if _SELECTION.fullmatch(name.removeprefix(f"{CDI_KIND}=")) is None:
            raise InputError(
                Problem(
                    what=f"{show(name)} is not the name of a GPU",
                    remedy="write its index, its UUID (GPU-... or MIG-...), or all: nvidia-smi -L lists them",
                )
            )
    names = tuple(dict.fromkeys(name.removeprefix(f"{CDI_KIND}=") for name in wanted))
    if "all" in names and len(names) > 1:
        raise InputError(Problem(what='"all" and single GPUs cannot be asked for together'))
    return names


def find_hardware(pci: Path) -> bool:
    """Whether the PCI bus has a display controller of NVIDIA's, whether or not a driver serves it."""
    try:
        entries = list(pci.iterdir())
    except OSError:
        return False
    return any(
        _read_capped(entry / "vendor").strip() == _PCI_VENDOR
        and _read_capped(entry / "class").strip().startswith(_PCI_DISPLAY)
        for entry in entries
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
            # Of several devices `--gpus` makes a CSV field, which it wants in quotes of its own.
            listed = ",".join(request.devices)
            return ("--gpus", "all" if listed == "all" else f'"device={listed}"')
        case GpuMethod.SCHEDULER:
            return ()
