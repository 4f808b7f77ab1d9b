"""Make the locks that golden tests render: each example, locked on this machine.

Run by `make golden-locks` where the package index and the OS archive are reachable. Bases that no reachable
registry serves stay without a digest.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from cudaforge.pipeline.decide import load
from cudaforge.pipeline.locking import lock

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Lock every example into tests/golden/<example>/locked."""
    for source in sorted((ROOT / "examples").glob("*/cudaforge.toml")):
        name = source.parent.name
        with tempfile.TemporaryDirectory() as scratch:
            project = Path(shutil.copytree(source.parent, Path(scratch) / name))
            outcome = lock(load(project / source.name), allow_unpinned=True, on_note=_say)
            target = ROOT / "tests" / "golden" / name / "locked"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            shutil.copy(outcome.path, target)
            shutil.copytree(project / "cudaforge.lock.d", target / "cudaforge.lock.d")
        _say(f"locked {name}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
