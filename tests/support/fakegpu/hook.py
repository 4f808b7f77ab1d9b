"""Stands in for `nvidia-container-runtime-hook`: Docker serves `--gpus` when it finds one at its start.

Copies the fake libraries into the container; like the request that it serves, it knows no CDI.
"""

import json
import shutil
import sys
from pathlib import Path


def main() -> None:
    bundle = Path(json.load(sys.stdin)["bundle"])
    root = bundle / json.loads((bundle / "config.json").read_text())["root"]["path"]
    spec = json.loads(Path(__file__).with_name("spec.json").read_text())
    for mount in spec["containerEdits"]["mounts"]:
        target = root / mount["containerPath"].lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(mount["hostPath"], target)


main()
