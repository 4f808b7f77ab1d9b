"""Stands in for `nvidia-container-runtime`: adds the fake GPUs that a container asks for, then runs runc.

Installed by `install_runtime` beside `spec.json`; started by containerd, not by tests.
"""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    arguments = sys.argv[1:]
    if "create" in arguments:
        bundle = Path(arguments[arguments.index("--bundle") + 1])
        config = json.loads((bundle / "config.json").read_text())
        wanted = _wanted_device(config["process"].get("env", []))
        if wanted is not None:
            spec = json.loads(Path(__file__).with_name("spec.json").read_text())
            _apply(spec["containerEdits"], config)
            _apply(_find_device(spec, wanted)["containerEdits"], config)
            (bundle / "config.json").write_text(json.dumps(config))
    os.execvp("runc", ["runc", *arguments])


def _wanted_device(environment: list[str]) -> str | None:
    values = dict(entry.split("=", 1) for entry in environment if "=" in entry)
    wanted = values.get("NVIDIA_VISIBLE_DEVICES", "")
    return None if wanted in {"", "void", "none"} else wanted


def _find_device(spec: dict, name: str) -> dict:
    for device in spec["devices"]:
        if device["name"] == name:
            return device
    sys.exit(f"nvidia-container-cli: device error: {name}: unknown device")


def _apply(edits: dict, config: dict) -> None:
    config["process"].setdefault("env", []).extend(edits.get("env", []))
    for mount in edits.get("mounts", []):
        _bind(config, mount["hostPath"], mount["containerPath"])
    for node in edits.get("deviceNodes", []):
        _bind(config, node["hostPath"], node["path"])


def _bind(config: dict, source: str, destination: str) -> None:
    mount = {"type": "bind", "source": source, "destination": destination, "options": ["bind", "ro"]}
    config["mounts"].append(mount)


main()
