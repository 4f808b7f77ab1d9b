"""What images' files said, kept on this machine: an image digest never changes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from cudaforge.errors import CudaforgeError
from cudaforge.files import write_atomically
from cudaforge.pipeline.host import cache_directory

_MOST_KEPT = 256
_LARGEST = 4 * 1024 * 1024


class KeptFindings:
    """Findings as JSON files of this user, the newest ones. A disk that takes none costs nothing but time."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or cache_directory() / "image-files"

    def find(self, key: str) -> object | None:
        """What was kept under a key; None where there is nothing that can be read."""
        path = self._directory / f"{key}.json"
        try:
            if path.stat().st_size > _LARGEST:
                return None
            found: object = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return found

    def keep(self, key: str, facts: Mapping[str, object]) -> None:
        """Keep facts under a key, and forget the oldest of many."""
        with contextlib.suppress(OSError, CudaforgeError):
            write_atomically(self._directory / f"{key}.json", json.dumps(facts))
            kept = sorted(self._directory.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for path in kept[:-_MOST_KEPT]:
                path.unlink(missing_ok=True)
