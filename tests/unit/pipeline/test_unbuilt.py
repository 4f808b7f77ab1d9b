"""What is not built from its source, by what the facts know of it."""

from pathlib import Path

import pytest

from cudaforge.declaration import load_declaration
from cudaforge.errors import NegativeAnswer
from cudaforge.matrix import load_matrix
from cudaforge.pipeline.unbuilt import check_sources

COMMIT = "0123456789" * 4


def check(tmp_path: Path, lines: str) -> None:
    path = tmp_path / "cudaforge.toml"
    path.write_text(f'[images.a]\nframework = "pytorch"\n{lines}\n')
    check_sources(load_declaration(path).images, load_matrix())


def test_what_compiles_against_its_framework_is_refused_by_name(tmp_path: Path) -> None:
    for lines in (
        'packages = ["flash-attn==2.8.3"]\nbuild_from_source = ["Flash_Attn"]',
        f'packages = ["flash_attn @ git+https://h/flash@{COMMIT}"]',
    ):
        with pytest.raises(NegativeAnswer, match="flash-attn compiles against pytorch") as error:
            check(tmp_path, lines)
        (problem,) = error.value.problems
        assert "devel" in (problem.remedy or "")


def test_others_are_not(tmp_path: Path) -> None:
    check(
        tmp_path, f'packages = ["x @ git+https://h/x@{COMMIT}", "flash-attn"]\nbuild_from_source = ["docopt"]'
    )
