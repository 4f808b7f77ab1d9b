"""Hatchling's build hook: puts matrices, their compiled form, templates and pages on codes into the wheel.

An editable install gets none of them: the package then lies in the checkout, beside the originals.
"""

from __future__ import annotations

import shutil
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
        self._made = Path(tempfile.mkdtemp(prefix="cudaforge-build-"))
        compiled = _compile(root)
        for name, content in compiled.items():
            (self._made / name).write_bytes(content)
        build_data["force_include"].update(
            {
                str(root / "matrices"): "cudaforge/_data/matrices",
                str(root / "templates"): "cudaforge/_data/templates",
                str(root / "docs" / "audit"): "cudaforge/_data/docs/audit",
                **{str(self._made / name): f"cudaforge/_data/{name}" for name in compiled},
            }
        )

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 -- hatchling's
        """Called by hatchling when the wheel is written."""
        made = getattr(self, "_made", None)
        if made is not None:
            shutil.rmtree(made)


def _compile(root: Path) -> dict[str, bytes]:
    sys.path.insert(0, str(root))
    try:
        from cudaforge.diagnosis.compile import compile_patterns
        from cudaforge.matrix.compile import compile_matrix
    finally:
        sys.path.remove(str(root))
    matrices = root / "matrices"
    return {"matrix.jsonl": compile_matrix(matrices), "errors.json": compile_patterns(matrices).dump()}
