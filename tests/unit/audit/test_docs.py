"""Each code has its section, and the examples in it are found and mended as the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cudaforge.audit import Severity, audit_dockerfile
from cudaforge.matrix import load_matrix
from cudaforge.pipeline import auditing
from tests.cases.audit.test_audit_cases import AS_OF, CODES

PAGE = (Path(__file__).parents[3] / "docs" / "audit-codes.md").read_text("utf-8")
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:]}


def example(code: str, kind: str):
    text = re.search(rf"^```dockerfile {kind}\n(.*?)^```$", SECTIONS[code], re.DOTALL | re.MULTILINE)[1]
    asked = re.search(r"`cudaforge audit Dockerfile ([^`]+)`", SECTIONS[code])
    words = shlex.split(asked[1]) if asked else []
    matrix = load_matrix()
    given = auditing.read_arguments(words, build_args=(), as_of=AS_OF, matrix=matrix)
    files = {"requirements.txt": "numpy==2.2.0\n"}
    report = audit_dockerfile(
        text.encode(), file="Dockerfile", asked=given.asked, matrix=matrix, read=files.get
    )
    return {one.code.value: one.severity for one in report.findings if one.severity is not Severity.NOTE}


def test_every_code_has_a_section() -> None:
    assert set(SECTIONS) == {*CODES, "framework-broken"}


@pytest.mark.parametrize("code", SECTIONS)
def test_the_example_is_found(code) -> None:
    assert code in example(code, "found")


@pytest.mark.parametrize("code", SECTIONS)
def test_the_mended_example_is_not(code) -> None:
    found = example(code, "mended")
    assert code not in found
    assert Severity.ERROR not in found.values() or code in OLD


OLD = ("cudnn-dev-symlink-missing",)
"""What only images that are gone can show."""
