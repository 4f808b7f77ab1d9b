"""The public Python API: functions under their names, whatever has been imported before."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import cudaforge

STAGES = ("load", "resolve", "lock", "upgrade", "render", "build", "verify")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_function_even_after_its_packages_were_imported(stage: str) -> None:
    for name in ("resolver", "lockfile", "renderer", "builder", "verifier", "declaration"):
        importlib.import_module(f"cudaforge.{name}")
    assert callable(getattr(cudaforge, stage))
    assert stage in cudaforge.__all__


def test_the_stages_work_from_python(tmp_path: Path) -> None:
    file = tmp_path / "cudaforge.toml"
    file.write_text('schema = 1\n[images.train]\nframework = "pytorch==2.8.*"\ncuda = "12.8"\n')
    (answer,) = cudaforge.resolve(cudaforge.load(file))
    assert answer.answer.frameworks[0].reported == "2.8.0+cu128"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cudaforge.nothing  # noqa: B018
