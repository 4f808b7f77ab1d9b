"""The facts against the package index itself."""

from pathlib import Path

import pytest

from cudaforge.pipeline.refreshing import refresh


@pytest.mark.network
def test_the_index_has_no_torch_that_the_facts_do_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = refresh(["pytorch"], Path("cudaforge.toml"))
    assert "default: torch" in found.asked
    assert [change for change in found.changes if change.source == "default: torch"] == []
