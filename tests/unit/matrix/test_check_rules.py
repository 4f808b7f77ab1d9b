"""Every rule of `cudaforge data check` finds a row that was broken by hand, and names file, row and rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.matrix.check import RULES, check_matrix
from tests.unit.matrix.samples import SOURCES, write_matrix

CUBINS = 'cubins = "8.0 9.0", ptx = "9.0" }'
# CUDA of one image with the cuDNN of another.
SYSTEM = (
    '{ build = "local", provider = "system", index = "default", reported = "x", '
    'requires = ["example===1.9"], cuda = "12.6.3", cudnn = "9.1.0.70", cubins = "8.0" },'
)
COMPANION = f"""
schema = 1
{SOURCES}
[[companions]]
framework = "FRAMEWORK"
package = "helper"
role = "companion"
source = "seen"
releases = [{{ version = "0.3", needs = "NEEDS" }}, {{ version = "0.2", needs = "==1.9", source = "guess" }}]
"""
IMAGE = f"""
schema = 1
{SOURCES}
[[framework_images]]
reference = "vendor/example:1.10"
os = "OS"
platforms = "linux/amd64"
contents = {{ example = "1.10" }}
source = "seen"

[[framework_images]]
reference = "vendor/example:1.9"
os = "debian12"
platforms = "linux/amd64"
contents = {{ example = "1.9" }}
source = "guess"
"""
PYTHONS = f"""
schema = 1
{SOURCES}
[[pythons]]
version = "3.12"
released = "2023-10-02"
eol = "2023-10-01"
source = "seen"

[[pythons]]
version = "3.13"
eol = "2029-10"
source = "guess"
"""

# By rule: what is replaced in which file of the sample, files that are added, and the row that it names.
BREAKAGES = {
    "row": ({"cuda": ('minor_driver = "525.60.13"', "minor_driver = 525")}, {}, "cuda.toml", "12.6.0"),
    "unused-source": ({"cuda": ('source = "guess"', 'source = "seen"')}, {}, "cuda.toml", "sources.guess"),
    "order": ({"drivers": ("branch = 1000", "branch = 99")}, {}, "drivers.toml", "99"),
    "duplicate": ({}, {"more.toml": ("drivers.toml", "", "")}, "more.toml", "560"),
    "unknown-system": (
        {"base_images": ('{ os = "debian12" }', '{ os = "debian99" }')},
        {},
        "base_images.toml",
        "vendor/cuda:12.6.0-base-debian99",
    ),
    "unknown-framework": (
        {},
        {"companions.toml": (COMPANION, "FRAMEWORK", "exmaple")},
        "companions.toml",
        "exmaple helper 0.3",
    ),
    "unknown-index": (
        {"indexes": ('"example-cu126"', '"example-cu128"')},
        {},
        "frameworks/example.toml",
        "example 1.9 cu126 linux/amd64",
    ),
    "tombstone": (
        {"base_images": ('newer = "12.6.3"', 'newer = "12.6.4"')},
        {},
        "base_images.toml",
        "vendor/cuda:12.6.0-base-debian12",
    ),
    "broken-reference": (
        {"broken": ('framework = "example"', 'framework = "exmaple"')},
        {},
        "broken.toml",
        "framework exmaple",
    ),
    "unknown-platform": (
        {"example": ('platforms = "linux/amd64 linux/arm64"', 'platforms = "linux/riscv"')},
        {},
        "frameworks/example.toml",
        "linux/riscv",
    ),
    "contradiction": (
        {"example": ('cuda = "12.6", ', "")},
        {},
        "frameworks/example.toml",
        "example 1.9 cu126 linux/amd64",
    ),
    "unknown-release": (
        {"example": ('cuda = "12.6"', 'cuda = "12.7"')},
        {},
        "frameworks/example.toml",
        "example 1.9 cu126 linux/amd64",
    ),
    "install-template": ({}, {}, "frameworks/example.toml", "example"),
    "window-order": (
        {"example": (CUBINS, 'cubins = "9.0 8.0", ptx = "9.0" }')},
        {},
        "frameworks/example.toml",
        "example 1.9 cu126 linux/amd64",
    ),
    "window-beyond-cuda": (
        {"example": (CUBINS, 'cubins = "8.0 12.0", ptx = "9.0" }')},
        {},
        "frameworks/example.toml",
        "example 1.9 cu126 linux/amd64",
    ),
    "base-for-build": (
        {"example": ("builds = [", f"builds = [{SYSTEM}")},
        {},
        "frameworks/example.toml",
        "example 1.9 local linux/amd64",
    ),
    "parts-of-images": (
        {"base_images": ('cudnn = "9.10.2.21"', 'cudnn = "9.10.2.22"')},
        {},
        "base_images.toml",
        "vendor/cuda:12.6.3-cudnn-runtime-debian12",
    ),
    "systems-of-images": (
        {},
        {"framework_images.toml": (IMAGE, "OS", "debian99")},
        "framework_images.toml",
        "vendor/example:1.10",
    ),
    "driver-branch": (
        {"gpus": ("last_branch = 560", "last_branch = 561")},
        {},
        "gpus.toml",
        "GeForce OLD 10",
    ),
    "older-branch": (
        {"cuda": ('minor_driver = "525.60.13"', 'compat_branches = [470]\nminor_driver = "525.60.13"')},
        {},
        "cuda.toml",
        "12.6.0",
    ),
    "systems-of-cuda": (
        {"cuda": ('minor_driver = "525.60.13"', 'systems = "debian99"\nminor_driver = "525.60.13"')},
        {},
        "cuda.toml",
        "12.6.0",
    ),
    "family": (
        {
            "gpus": (
                '["Maker H1", { name = "Maker H2", ',
                '[{ name = "Maker H1", family = "A" }, { name = "Maker H2", family = "B", ',
            )
        },
        {},
        "gpus.toml",
        "Maker H2",
    ),
    "driver-order": (
        {"cuda": ('minor_driver = "525.60.13"', 'minor_driver = "565.10"')},
        {},
        "cuda.toml",
        "12.6.0",
    ),
    "cuda-for-gpu": ({"gpus": ('capability = "9.0"', 'capability = "12.0"')}, {}, "gpus.toml", "Maker H1"),
    "release-for-companion": (
        {},
        {"companions.toml": (COMPANION.replace("FRAMEWORK", "example"), "NEEDS", "==7.0")},
        "companions.toml",
        "example helper 0.3",
    ),
    "end-after-beginning": ({}, {"pythons.toml": (PYTHONS, "", "")}, "pythons.toml", "3.12"),
    "cudnn-range": (
        {"cudnn": ('packages = { 12 = "', 'capability_max = { 12 = "3.5" }\npackages = { 12 = "')},
        {},
        "cudnn.toml",
        "9.1.0.70",
    ),
}


def test_every_rule_has_a_row_that_breaks_it() -> None:
    assert set(BREAKAGES) == set(RULES)


@pytest.mark.parametrize("rule", BREAKAGES)
def test_a_row_broken_by_hand_is_found_and_told(rule, tmp_path: Path, capsys) -> None:
    changes, added, file, row = BREAKAGES[rule]
    directory = write_matrix(tmp_path / "matrices", **changes)
    for name, (text, old, new) in added.items():
        copied = (directory / text).read_text() if text.endswith(".toml") else text
        (directory / name).write_text(copied.replace(old, new) if old else copied)
    templates = tmp_path if rule == "install-template" else None
    found = check_matrix(directory, templates=templates)
    assert any(one.rule == rule and one.file == file and row in one.row for one in found), found
    if templates is None:
        assert run_command_line(["data", "check", "--matrices", str(directory)]) == 1
        told = " ".join(capsys.readouterr().err.split())
        assert f"[{rule}]" in told
        assert file in told
        assert row in told
