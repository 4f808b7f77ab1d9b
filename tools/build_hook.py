"""Hatchling's build hook: puts the matrices, their compiled form and the templates into the wheel.

An editable install gets none of them: the package then lies in the checkout, beside the originals.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_EDITABLE = "editable"


class DataHook(BuildHookInterface[Any]):
    """Fills `cudaforge/_data/` of the wheel. Fails the build when the matrices cannot be used."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects the files of the wheel."""
        if version == _EDITABLE:
            return
        root = Path(self.root)
        target = Path(tempfile.mkdtemp(prefix="cudaforge-build-")) / "matrix.jsonl"
        target.write_bytes(_compile(root))
        self._made = target
        build_data["force_include"].update(
            {
                str(root / "matrices"): "cudaforge/_data/matrices",
                str(root / "templates"): "cudaforge/_data/templates",
                str(target): "cudaforge/_data/matrix.jsonl",
            }
        )

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 -- hatchling's
        """Called by hatchling when the wheel is written."""
        made = getattr(self, "_made", None)
        if made is not None:
            made.unlink()
            made.parent.rmdir()


def _compile(root: Path) -> bytes:
    sys.path.insert(0, str(root))
    try:
        from cudaforge.matrix.compile import compile_matrix
    finally:
        sys.path.remove(str(root))
    return compile_matrix(root / "matrices")
