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
releases = [{{ version = "0.2", needs = "==1.9", source = "guess" }}, {{ version = "0.3", needs = "NEEDS" }}]
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
PATTERN = f"""
schema = 1
{SOURCES.partition("guess")[0]}
[[errors]]
id = "own-message"
product = "example"
patterns = ["the example is broken"]
code = "framework-broken"
text = "it is broken"
remedy = "mend it"
source = "seen"
examples = ["The example broke."]
near_misses = ["The example works."]
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

STANDALONE = f"""
schema = 1
{SOURCES}
[[standalone_pythons]]
version = "3.12.1"
release = "1"
glibc = "2.17"
feed = "nowhere"
files = {{ "linux/amd64" = "ARCHIVE" }}
sha256 = {{ "linux/amd64" = "{"a" * 64}" }}
source = "seen"

[[standalone_pythons]]
version = "3.12.2"
release = "1"
glibc = "2.17"
feed = "nowhere"
files = {{ "linux/amd64" = "3.12.2/python.tar.gz" }}
sha256 = {{ "linux/amd64" = "{"b" * 64}" }}
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
    "ignored-release": (
        {"example": ('proof = "example"', 'proof = "example"\nignored = { "1.9.0" = "never looked at" }')},
        {},
        "frameworks/example.toml",
        "example",
    ),
    "unknown-release": (
        {"example": ('cuda = "12.6"', 'cuda = "12.7"')},
        {},
        "frameworks/example.toml",
        "example 1.9 cu126 linux/amd64",
    ),
    "install-template": ({}, {}, "frameworks/example.toml", "example"),
    "error-pattern": ({}, {"errors/own.toml": (PATTERN, "", "")}, "errors/own.toml", "own-message"),
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
    "unpacked-size": (
        {"base_images": ('newer = "12.6.3" }', 'newer = "12.6.3" }\nsize = 9\ninstalled = 8')},
        {},
        "base_images.toml",
        "vendor/cuda:12.6.0-base-debian12",
    ),
    "cuda-size": (
        {
            "example": (
                CUBINS,
                CUBINS.replace(" }", ", size = 9, installed = 9, cuda_size = 9, cuda_installed = 10 }"),
            )
        },
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
    "contents-of-images": (
        {},
        {"framework_images.toml": (IMAGE.replace("OS", "debian12"), '"1.10"', '"1.11"')},
        "framework_images.toml",
        "vendor/example:1.10",
    ),
    "unused-shape": (
        {"example": ("[shapes.cpu]", "[shapes.old]\nindex = 'default'\n[shapes.cpu]")},
        {},
        "frameworks/example.toml",
        "shapes.old",
    ),
    "unknown-systems": (
        {"cuda": ('capabilities = "8.0 9.0"', 'systems = "debian99"\ncapabilities = "8.0 9.0"')},
        {},
        "cuda.toml",
        "12.6.0",
    ),
    "unknown-python": (
        {},
        {"pythons.toml": (PYTHONS.replace("2023-10-01", "2028-10"), '"3.12"', '"3.10"')},
        "frameworks/example.toml",
        "example 1.10 cpu linux/amd64, linux/arm64",
    ),
    "unknown-feed": (
        {},
        {"standalone.toml": (STANDALONE.replace("ARCHIVE", "3.12.1/python.tar.gz"), "", "")},
        "standalone.toml",
        "3.12.1",
    ),
    "wheel-packages": (
        {
            "example": (
                'cuda = "12.6", cubins',
                'cuda = "12.6", toolkit_extras = "cudart", nccl_package = "nccl", cubins',
            )
        },
        {},
        "frameworks/example.toml",
        "example 1.10 cu126 linux/amd64",
    ),
    "window-ptx": (
        {"example": (CUBINS, 'cubins = "9.0", ptx = "8.0" }')},
        {},
        "frameworks/example.toml",
        "example 1.9 cu126 linux/amd64",
    ),
    "cudnn-cuda": (
        {
            "cudnn": (
                'capability_min = { 12 = "5.0" }',
                'capability_min = { 12 = "5.0" }\ncuda = { 12 = "12.6 12.99" }',
            )
        },
        {},
        "cudnn.toml",
        "9.1.0.70",
    ),
    "driver-branch": (
        {"gpus": ("last_branch = 560", "last_branch = 561")},
        {},
        "gpus.toml",
        "GeForce OLD 10",
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
    "day-of-companion": (
        {},
        {"companions.toml": (COMPANION.replace("FRAMEWORK", "example"), "NEEDS", ">=1.9")},
        "companions.toml",
        "example helper 0.3",
    ),
    "future-source": (
        {"gpus": ('checked = "2026-01-31"', 'checked = "2999-01-31"')},
        {},
        "gpus.toml",
        "sources.seen",
    ),
    "end-after-beginning": ({}, {"pythons.toml": (PYTHONS, "", "")}, "pythons.toml", "3.12"),
    "cudnn-gpus": (
        {"cudnn": ('"9.10.2.21"]', '{ version = "9.10.2.21", packages = { 12 = "a", 13 = "b" } }]')},
        {},
        "cudnn.toml",
        "9.10.2.21",
    ),
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
        (directory / name).parent.mkdir(exist_ok=True)
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


# Rules that can be broken in several ways: what is replaced where, the rule, and what it says.
WAYS = {
    "cuda-capabilities": (
        "cuda",
        'capabilities = "8.0 9.0"',
        'capabilities = "9.0 8.0"',
        "window-order",
        "8.0 stands after 9.0",
    ),
    "cuda-driver-goes-back": (
        "cuda",
        '{ version = "12.6.3" }',
        '{ version = "12.6.3", driver = "560.28.02" }',
        "driver-order",
        "older than 560.28.03, which an older CUDA needs",
    ),
    "branch-goes-back": (
        "drivers",
        'cuda = "13.0"',
        'cuda = "12.5"',
        "driver-order",
        "older than 12.6, which branch 560 runs",
    ),
    "gpu-first-after-last": (
        "gpus",
        "last_branch = 560",
        'last_branch = 560\nfirst_driver = "570.1"',
        "driver-order",
        "newer than its last branch 560",
    ),
    "cuda-driver-branch": (
        "cuda",
        '{ version = "12.6.3" }',
        '{ version = "12.6.3", driver = "561.1" }',
        "driver-branch",
        "driver = 561.1",
    ),
    "compat-branch": (
        "cuda",
        '{ version = "12.6.3" }',
        '{ version = "12.6.3", compat_branches = [561] }',
        "driver-branch",
        "no branch 561",
    ),
    "gate-branch": (
        "base_images",
        'newer = "12.6.3" }',
        'newer = "12.6.3" }\ngate_branches = [999]',
        "driver-branch",
        "no branch 999",
    ),
    "cudnn-major": (
        "cudnn",
        'capability_min = { 12 = "5.0" }',
        'capability_min = { 10 = "5.0" }',
        "cudnn-cuda",
        "it is for CUDA 10",
    ),
    "ignored-is-no-version": (
        "example",
        'proof = "example"',
        'proof = "example"\nignored = { "one" = "never looked at" }',
        "row",
        "ignored",
    ),
    "ignored-without-reason": (
        "example",
        'proof = "example"',
        'proof = "example"\nignored = { "1.8" = "" }',
        "row",
        "ignored.1.8 says no reason",
    ),
    "cudnn-of-no-gpu": (
        "cudnn",
        'version = "9.11.0.98"\nsource = "guess"',
        'version = "9.11.0.98"\nsource = "guess"\n[[cudnn]]\nversion = "9.12.0.46"\nsource = "seen"',
        "cudnn-gpus",
        "it says of no GPU",
    ),
    "cudnn-of-image": (
        "cudnn",
        '{ 12 = "5.0" }\npackages = { 12 = "nvidia-cudnn-cu12" }',
        '{ 13 = "5.0" }',
        "parts-of-images",
        "it is not made for CUDA 12",
    ),
    "cuda-of-image": (
        "cuda",
        '{ version = "12.6.3" }',
        '{ version = "12.6.2" }',
        "parts-of-images",
        "cuda = 12.6.3",
    ),
    "ptx-of-cpu": (
        "example",
        'provider = "none"\nindex',
        'provider = "none"\nptx = "9.0"\nindex',
        "window-ptx",
        "ptx or compiler, and provider = 'none'",
    ),
    "own-base": (
        "example",
        'provider = "none"\nindex',
        'provider = "none"\nown_base = true\nindex',
        "contradiction",
        "own_base = true, and provider = 'none'",
    ),
    "no-metapackage": (
        "example",
        'cubins = "8.0 9.0", source',
        'cudnn_package = "cudnn", cubins = "8.0 9.0", source',
        "wheel-packages",
        "cudnn_package = 'cudnn'",
    ),
    "broken-of-no-build": ("broken", '"<1.10"', '"<1.9"', "broken-reference", "no build is meant by it"),
    "replaced-and-there": (
        "base_images",
        'removed = "unknown"\n',
        "",
        "tombstone",
        "replaced_by without removed",
    ),
    "compat-platform": (
        "base_images",
        'newer = "12.6.3" }',
        'newer = "12.6.3" }\ncompat_platforms = "linux/arm64"',
        "unknown-platform",
        "compat_platforms: linux/arm64",
    ),
    "no-size": (
        "os",
        'python = "3.11"',
        'python = "3.11"\nbootstrap_installed = 8',
        "unpacked-size",
        "no bootstrap_size",
    ),
    "cuda-of-cpu": (
        "example",
        'provider = "none"\nindex',
        'provider = "none"\nsize = 9\ninstalled = 9\ncuda_size = 1\ncuda_installed = 1\nindex',
        "cuda-size",
        "its provider is none",
    ),
    "version-with-zeros": (
        "cuda",
        'version = "13.0.0"',
        'version = "13.0.0"\ncapabilities = "9.0"\nsource = "guess"\n[[cuda]]\nversion = "13.0"',
        "duplicate",
        "is 13.0.0 once more",
    ),
    "no-day": ("drivers", 'eol = "2028-06"', 'eol = "2028-31"', "row", "eol is '2028-31'"),
    "source-without-text": (
        "gpus",
        'text = "recalled"',
        'text = ""',
        "row",
        "text must say which page or artefact it is",
    ),
    "source-on-no-day": (
        "gpus",
        'checked = "2026-01-30"',
        'checked = "2026-02-30"',
        "row",
        "checked is '2026-02-30'",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_break_a_rule_is_found(way, tmp_path: Path) -> None:
    stem, old, new, rule, expected = WAYS[way]
    found = check_matrix(write_matrix(tmp_path / "matrices", **{stem: (old, new)}))
    assert any(one.rule == rule and expected in one.what for one in found), found


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"ARCHIVE"', '"../../etc/passwd.tar.gz"', "files.linux/amd64 is"),
        ('"ARCHIVE"', '"https://host.example/python.tar.gz"', "files.linux/amd64 is"),
        ('"ARCHIVE"', '"python.tar.gz?x=y"', "files.linux/amd64 is"),
        ('"ARCHIVE"', '"python.zip"', "files.linux/amd64 is"),
        ('"ARCHIVE" }', '"p.tar.gz", "linux/arm64" = "q.tar.gz" }', "for the same platforms"),
        ('"ARCHIVE"', '"p.tar.gz"\nsha256."linux/amd64" = "A"', ""),
        ("a" * 64, "a" * 63, "sha256.linux/amd64 is"),
    ],
)
def test_the_archives_of_a_standalone_python_are_proven(old, new, says, tmp_path: Path) -> None:
    directory = write_matrix(tmp_path / "matrices")
    text = STANDALONE.replace(old, new).replace("ARCHIVE", "p.tar.gz")
    (directory / "standalone.toml").write_text(text)
    found = check_matrix(directory)
    assert any(one.file == "standalone.toml" and says in one.what for one in found), found
