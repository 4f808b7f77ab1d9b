"""Each code has its page, and the example on it is found and mended as the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cudaforge.audit import Severity, audit_dockerfile
from cudaforge.matrix import load_matrix
from cudaforge.pipeline import auditing
from tests.cases.audit.test_audit_cases import AS_OF, CODES

PAGES = Path(__file__).parents[3] / "docs" / "audit"
INDEX = (PAGES / "README.md").read_text("utf-8")
TEXTS = {page.stem: page.read_text("utf-8") for page in PAGES.glob("*.md") if page.name != "README.md"}
FILES = {"requirements.txt": "numpy==2.2.0\n"}
HEADINGS = {"Errors": Severity.ERROR, "Warnings": Severity.WARNING, "Notes": Severity.NOTE}


def example(code: str, kind: str):
    text = re.search(rf"^```dockerfile {kind}\n(.*?)^```$", TEXTS[code], re.DOTALL | re.MULTILINE)[1]
    asked = re.search(r"`cudaforge audit Dockerfile ([^`]+)`", TEXTS[code])
    words = shlex.split(asked[1]) if asked else []
    matrix = load_matrix()
    given = auditing.read_arguments(words, build_args=(), as_of=AS_OF, matrix=matrix)
    report = audit_dockerfile(
        text.encode(), file="Dockerfile", asked=given.asked, matrix=matrix, read=FILES.get
    )
    return {one.code.value: one.severity for one in report.findings}


def test_every_code_has_a_page() -> None:
    assert set(TEXTS) == {*CODES, "framework-broken"}


@pytest.mark.parametrize("code", TEXTS)
def test_a_page_says_its_code_why_and_where_the_others_are(code) -> None:
    title, _, rest = TEXTS[code].partition("\n")
    assert title == f"# {code}"
    assert rest.partition("## Fails")[0].strip()
    assert "\n## Mended\n" in rest
    assert rest.endswith("[All codes](README.md)\n")


@pytest.mark.parametrize("code", TEXTS)
def test_the_index_lists_it_under_the_severity_of_its_example(code) -> None:
    listed = {
        heading: re.findall(r"^\| \[([a-z0-9-]+)\]\(\1\.md\) \|", part, re.MULTILINE)
        for heading, part in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", INDEX, re.DOTALL | re.MULTILINE)
    }
    assert [HEADINGS[heading] for heading, codes in listed.items() if code in codes] == [
        example(code, "found")[code]
    ]


@pytest.mark.parametrize("code", TEXTS)
def test_the_mended_example_is_not(code) -> None:
    found = example(code, "mended")
    found = {one: severity for one, severity in found.items() if severity is not Severity.NOTE}
    assert code not in found
    assert Severity.ERROR not in found.values() or code in OLD


OLD = ("cudnn-dev-symlink-missing",)
"""What only images that are gone can show."""
