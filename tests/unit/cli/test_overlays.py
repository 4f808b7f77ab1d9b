"""Facts of a project's own: what they change, who is believed, and how a bad file is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import cudaforge
from cudaforge.cli.main import run_command_line

SOURCES = """
schema = 1

[sources]
lab = { strength = "measured", checked = "2026-11-20", text = "the lab has looked" }
page = { strength = "vendor", checked = "2026-11-20", text = "a page" }
rumour = { strength = "inferred", checked = "2026-11-20", text = "heard" }
"""
IMAGE = """
[[base_images]]
reference = "registry.example/base:1"
os = "debian12"
platforms = "linux/amd64"
python = "3.12"
source = "lab"
"""
GPU = '[[gpus]]\nname = "NVIDIA H100"\nfirst_driver = "530.1"\nsource = "lab"\n'
BUILD = """
[framework]
name = "pytorch"

[[releases]]
version = "2.6.0"
build = "cu124"
platforms = "linux/amd64"
source = "{source}"
{more}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(
        *overlays: str, keys: str = 'framework = "pytorch==2.6.*"\ngpus = ["H100"]\ncuda = "12.4"'
    ) -> None:
        names = [f"facts/own{number}.toml" for number, _ in enumerate(overlays)]
        (tmp_path / "facts").mkdir(exist_ok=True)
        for name, text in zip(names, overlays, strict=True):
            (tmp_path / name).write_text(SOURCES + text)
        listed = json.dumps(names)
        (tmp_path / "cudaforge.toml").write_text(
            f"schema = 1\n[matrices]\noverlays = {listed}\n[images.a]\n{keys}\n"
        )

    return write


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert run_command_line(list(words)) == code
    told = capsys.readouterr()
    return " ".join((told.out + told.err).split())


def document(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0):
    assert run_command_line([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def only_row(capsys, *words: str):
    (row,) = document(capsys, "data", "show", *words)["rows"]
    return row


def test_a_row_changes_what_it_names_and_leaves_the_rest(project, capsys) -> None:
    project(BUILD.format(source="lab", more='glibc = "2.34"'))
    row = only_row(capsys, "pytorch", "2.6.0+cu124")
    assert (row["glibc"], row["cudnn"], row["platforms"]) == ("2.34", "9.1.0.70", ["linux/amd64"])
    assert (row["source"]["file"], row["source"]["overlay"]) == ("facts/own0.toml", True)
    parts = {part["source"]["file"]: part["fields"] for part in row["parts"]}
    assert parts["facts/own0.toml"] == ["glibc"]
    assert {"cudnn", "cubins", "pythons"} <= set(parts["frameworks/pytorch.toml"])
    (dispute,) = row["disputes"]
    assert (dispute["field"], dispute["value"], dispute["other"]) == ("glibc", "2.34", "2.17")
    assert dispute["other_source"]["file"] == "frameworks/pytorch.toml"
    told = run(capsys, "data", "show", "pytorch", "2.6.0+cu124")
    assert "glibc is 2.34 by overlay facts/own0.toml (lab, measured, checked 2026-11-20)" in told
    assert "of these glibc [overlay facts/own0.toml: lab, checked 2026-11-20]" in told


def test_what_agrees_is_not_told(project, capsys) -> None:
    project(
        BUILD.format(
            source="lab", more='glibc = "2.17"\ncubins = ["5.0", "6.0", "7.0", "7.5", "8.0", "8.6", "9.0"]'
        )
    )
    assert "disputes" not in only_row(capsys, "pytorch", "2.6.0+cu124")
    (image,) = document(capsys, "resolve")["images"]
    assert image["resolution"]["warnings"] == []


def test_the_resolver_uses_the_stronger_source_and_says_so(project, capsys) -> None:
    project(BUILD.format(source="lab", more='cudnn = "9.11.0.98"') + GPU)
    (image,) = document(capsys, "resolve")["images"]
    assert image["resolution"]["cudnn"] == "9.11.0.98"
    assert image["resolution"]["cuda_numbers"]["driver_floor"] == "530.1"
    first, second = image["resolution"]["warnings"]
    assert "cudnn is 9.11.0.98 by overlay facts/own0.toml" in first
    assert "first driver is 530.1 by overlay facts/own0.toml (lab, measured," in second
    assert second.endswith("measured is stronger than vendor")
    for command in ("resolve", "explain"):
        assert "warning NVIDIA H100: first driver is 530.1 by overlay" in run(capsys, command)


def test_a_weaker_overlay_is_not_used_and_told(project, capsys) -> None:
    project(GPU.replace('"lab"', '"rumour"'))
    (image,) = document(capsys, "resolve")["images"]
    assert image["resolution"]["cuda_numbers"]["driver_floor"] == "525.60.13"
    (warning,) = image["resolution"]["warnings"]
    assert "first driver is 520.61.05 by gpus.toml" in warning
    assert "530.1 by overlay facts/own0.toml (rumour, inferred" in warning


def test_overrides_wins_against_a_stronger_source(project, capsys) -> None:
    more = 'glibc = "2.99"\noverrides = "rebuilt by us on another system"'
    project(BUILD.format(source="page", more=more))
    row = only_row(capsys, "pytorch", "2.6.0+cu124")
    assert row["glibc"] == "2.99"
    (dispute,) = row["disputes"]
    assert dispute["reason"] == "it overrides (rebuilt by us on another system)"


def test_of_overlays_as_strong_the_later_one_counts(project, capsys) -> None:
    project(GPU, GPU.replace("530.1", "531.2"))
    row = only_row(capsys, "gpu", "H100")
    assert row["first_driver"] == "531.2"
    told = {(one["other"], one["reason"]) for one in row["disputes"]}
    assert ("530.1", "of sources as strong, an overlay comes before an earlier one") in told
    assert ("520.61.05", "measured is stronger than vendor") in told


def test_only_disputes_of_what_the_answer_uses_are_told(project, capsys) -> None:
    project(GPU, keys='framework = "pytorch==2.6.*"\ngpus = ["A100"]')
    assert document(capsys, "resolve")["images"][0]["resolution"]["warnings"] == []


def test_a_conflict_that_rests_on_a_dispute_says_so(project, capsys) -> None:
    project(GPU, keys='framework = "pytorch==2.6.*"\ngpus = ["H100"]\ndriver = "525.60.13"')
    (image,) = document(capsys, "resolve", code=1)["images"]
    assert any("H100 (sm_90) needs driver 530.1" in one["text"] for one in image["conflict"]["reasons"])
    (warning,) = image["conflict"]["warnings"]
    assert "520.61.05 by gpus.toml" in warning
    assert "warning NVIDIA H100: first driver is 530.1" in run(capsys, "resolve", code=1)


def test_the_api_says_the_same(project, tmp_path: Path) -> None:
    project(GPU)
    (answer,) = cudaforge.resolve(cudaforge.load(tmp_path / "cudaforge.toml"))
    assert "first driver is 530.1" in answer.answer.warnings[0]


def test_a_setting_is_taken_away_by_an_empty_text(project, capsys) -> None:
    project('[[gpus]]\nname = "NVIDIA H100"\nfirst_driver = ""\nsource = "lab"\n')
    row = only_row(capsys, "gpu", "H100")
    assert row["first_driver"] is None
    (dispute,) = row["disputes"]
    assert (dispute["value"], dispute["other"]) == ("nothing", "520.61.05")


def test_a_tag_is_removed_by_naming_it(project, capsys) -> None:
    project(
        '[[base_images]]\nreference = "python:3.13-slim-trixie"\nremoved = "2026-11-01"\nsource = "lab"\n',
        keys='framework = "pytorch==2.6.*"\npython = "3.13"\ncuda = "12.4"',
    )
    (image,) = document(capsys, "resolve")["images"]
    assert image["resolution"]["base_image"] == "python:3.13-trixie"


def test_a_new_image_and_a_new_build_are_used(project, capsys) -> None:
    project(IMAGE, keys='framework = "pytorch==2.6.*"\nbase = "registry.example/base:1"')
    (image,) = document(capsys, "resolve")["images"]
    assert (image["resolution"]["base_image"], image["resolution"]["python"]) == (
        "registry.example/base:1",
        "3.12",
    )


def test_a_row_for_one_platform_leaves_the_others(project, capsys) -> None:
    project(
        '[framework]\nname = "jax"\n[[releases]]\nversion = "0.8.0"\nbuild = "cuda12"\n'
        'platforms = "linux/arm64"\nglibc = "2.99"\nsource = "lab"\n'
    )
    rows = document(capsys, "data", "show", "jax", "0.8.0+cuda12")["rows"]
    assert sorted((row["platforms"], row["glibc"]) for row in rows) == [
        (["linux/amd64"], "2.27"),
        (["linux/arm64"], "2.99"),
    ]


def test_a_version_is_known_however_many_zeros_it_has(project, capsys) -> None:
    project('[[cuda]]\nversion = "12.8"\ngcc = "13"\nsource = "lab"\n')
    row = only_row(capsys, "cuda", "==12.8.0")
    assert (row["version"], row["gcc"]) == ("12.8.0", "13")


def test_what_rests_on_an_inferred_row_stays_inferred(project, capsys) -> None:
    known = document(capsys, "data", "list", "gpus", "strength=inferred", "last_branch=580")
    gpu = known["rows"][0]
    head = f'[[gpus]]\nname = "{gpu["name"]}"\nsource = "lab"\n'
    project(head + 'first_driver = "384.1"\n')
    row = only_row(capsys, "gpu", gpu["name"])
    assert (row["first_driver"], row["source"]["strength"]) == ("384.1", "inferred")
    assert row["source"]["file"] == "gpus.toml"
    whole = f"aliases = {json.dumps(gpu['aliases'])}\n"
    machines = f"platforms = {json.dumps(gpu['platforms'])}\n"
    whole += f'capability = "{gpu["capability"]}"\nkind = "{gpu["kind"]}"\n'
    project(head + whole + f'family = "{gpu["family"]}"\nlast_branch = 580\n' + machines)
    assert only_row(capsys, "gpu", gpu["name"])["source"]["strength"] == "measured"


BAD = {
    "unknown-key": (
        GPU + 'first_drivr = "1"\n',
        "NVIDIA H100: unknown key 'first_drivr': did you mean 'first_driver'?",
    ),
    "unknown-table": ('[[gpu]]\nname = "x"\n', "unknown table 'gpu': did you mean 'gpus'?"),
    "source-missing": ('[[gpus]]\nname = "NVIDIA H100"\n', "NVIDIA H100: source is missing"),
    "source-unknown": (GPU.replace('"lab"', '"labs"'), "source 'labs' is not among the file's [sources]"),
    "new-row": ('[[gpus]]\nname = "NVIDIA H1000"\nsource = "lab"\n', "nearest known: NVIDIA H100"),
    "wrong-value": (GPU.replace('"530.1"', '"new"'), "first_driver: 'new' is not a version"),
    "wrong-date": (
        '[[pythons]]\nversion = "3.13"\neol = "soon"\nsource = "lab"\n',
        "eol is 'soon': must be a date",
    ),
    "no-day": ('[[pythons]]\nversion = "3.13"\neol = "2029-13-01"\nsource = "lab"\n', "must be a date"),
    "overrides": (GPU + 'overrides = ""\n', "overrides must be a text that says why"),
    "os": (
        IMAGE.replace("debian12", "debain12"),
        "os = 'debain12': no such operating system; did you mean 'debian12'?",
    ),
    "python": (IMAGE.replace("3.12", "3.99"), "Python 3.99: pythons.toml has no such version"),
    "cudnn": (
        IMAGE + 'flavor = "runtime"\ncuda = "12.8.1"\ncudnn = "9.8.0.88"\n',
        "cudnn = 9.8.0.88: cudnn.toml has no such release",
    ),
    "cuda": (IMAGE + 'flavor = "base"\ncuda = "12.7.9"\n', "cuda = 12.7.9: cuda.toml has no such release"),
    "platform": (IMAGE.replace("linux/amd64", "linux/riscv64"), "linux/riscv64 is not one of linux/amd64"),
    "window": (
        BUILD.format(source="lab", more='cubins = "9.0 12.1"'),
        "no CUDA that it is made for compiles for 12.1",
    ),
    "framework": (
        BUILD.format(
            source="lab",
            more='provider = "none"\npythons = "3.12"\nglibc = "2.17"\nindex = "default"\n'
            'requires = ["x===1"]\nreported = "1"',
        ).replace('"pytorch"', '"torch"'),
        "framework = 'torch': no such framework: it is called 'pytorch'",
    ),
    "index": (
        BUILD.format(source="lab", more='index = "pytorch-cu12"'),
        "index = 'pytorch-cu12': no such package index",
    ),
    "image-twice": (IMAGE + IMAGE, "registry.example/base:1: stands here twice"),
    "tombstone": (
        IMAGE + 'removed = "2026-01-01"\nreplaced_by = "registry.example/base:2"\n',
        "replaced_by = 'registry.example/base:2': no such image",
    ),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", [("resolve",), ("data", "check"), ("data", "show", "cuda")])
def test_a_bad_overlay_is_told_with_file_and_row(project, capsys, name, command) -> None:
    text, expected = BAD[name]
    project(text)
    told = run(capsys, *command, code=2)
    assert expected in told
    assert "facts/own0.toml" in told
    assert "cudaforge.toml" not in told


@pytest.mark.parametrize("checked", ['"yesterday"', '"2026-02-30"', "2026"])
def test_a_source_without_a_date_is_refused(project, capsys, tmp_path: Path, checked: str) -> None:
    project(GPU)
    path = tmp_path / "facts/own0.toml"
    path.write_text(
        path.read_text().replace(
            'checked = "2026-11-20", text = "the lab', f'checked = {checked}, text = "the lab'
        )
    )
    told = run(capsys, "resolve", code=2)
    assert "sources.lab: checked is" in told
    assert told.count("error:") == 1


def test_check_proves_a_projects_overlays(project, capsys) -> None:
    project(
        GPU
        + GPU.replace("NVIDIA H100", "NVIDIA A100").replace('"lab"', '"page"')
        + IMAGE.replace('"lab"', '"rumour"')
    )
    answer = document(capsys, "data", "check")
    assert (answer["overlays"], answer["findings"]) == (["facts/own0.toml"], [])
    assert {one["row"] for one in answer["disputes"]} == {"NVIDIA H100", "NVIDIA A100"}
    told = run(capsys, "data", "check")
    assert "facts/own0.toml: the facts agree, but for what overlays say otherwise" in told


def test_check_finds_sources_that_no_row_of_an_overlay_names(project, capsys) -> None:
    project(GPU)
    assert "sources.page: no row names it [unused-source]" in run(capsys, "data", "check", code=1)


def test_check_finds_a_source_of_an_overlay_that_was_looked_at_in_the_future(
    project, capsys, tmp_path
) -> None:
    project(GPU)
    overlay = tmp_path / "facts" / "own0.toml"
    overlay.write_text(re.sub(r'checked = "\d{4}', 'checked = "2999', overlay.read_text()))
    assert "2999-" in (told := run(capsys, "data", "check", code=1))
    assert "[future-source]" in told


def test_check_finds_what_an_overlay_breaks_elsewhere(project, capsys) -> None:
    text = '[[cuda]]\nversion = "12.8.1"\ncapabilities = "5.0 7.5"\nsource = "lab"\n'
    project(text)
    told = run(capsys, "data", "check", code=1)
    assert "[window-beyond-cuda]" in told
    assert "frameworks/pytorch.toml" in told


def test_words_next_to_a_declaration_are_judged_by_its_overlays(project, capsys) -> None:
    project('[[gpus]]\nname = "NVIDIA Z9"\ncapability = "9.0"\nkind = "datacenter"\nsource = "lab"\n')
    answer = document(capsys, "resolve", "pytorch", "gpu=NVIDIA Z9")
    assert answer["images"][0]["name"] == "adhoc"
