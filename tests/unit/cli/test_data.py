"""`cudaforge data`: what it shows, where each fact comes from, and how it refuses what it does not know."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.declaration.model import FrameworkWish, Wishes
from cudaforge.matrix import load_matrix
from cudaforge.matrix.catalogue import find_subject
from cudaforge.pipeline import facts
from cudaforge.pipeline.facts import derive
from cudaforge.report.facts import describe_rows
from cudaforge.resolver import Conflict, resolve
from cudaforge.resources import find_resource

OVERLAY = """
schema = 1

[sources]
lab = { strength = "measured", checked = "2026-11-20", text = "the lab's own card" }

[[gpus]]
name = "Lab Card 9"
capability = "9.0"
kind = "datacenter"
source = "lab"
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert run_command_line(["data", *words, "--json"]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    return document


def test_the_list_has_every_subject_with_how_much_is_known(capsys) -> None:
    subjects = {row["subject"]: row for row in answer(capsys, "list")["subjects"]}
    assert subjects["pytorch"]["rows"] > 150
    assert subjects["cuda"]["newest"] >= "13"
    assert {"jax", "tensorflow", "cudnn", "gpus", "drivers", "systems", "base_images", "broken"} <= set(
        subjects
    )
    for row in subjects.values():
        assert sum(row["strengths"].values()) == row["rows"]


def test_the_lists_for_people_fit_eighty_columns(capsys) -> None:
    assert run_command_line(["data", "list"]) == 0
    for subject in ("pytorch", "cuda", "cudnn", "gpus", "drivers", "systems", "companions", "broken"):
        assert run_command_line(["data", "list", subject]) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines() if " " in line.strip()) <= 80  # an address stays whole
    assert "12.8.1" in out


def test_a_build_is_shown_with_its_source_and_what_follows_from_it(capsys) -> None:
    (row,) = answer(capsys, "show", "pytorch", "2.8.0+cu128")["rows"]
    assert (row["cudnn"], row["build"], row["provider"]) == ("9.10.2.21", "cu128", "wheels")
    assert row["cubins"] == ["7.0", "7.5", "8.0", "8.6", "9.0", "10.0", "12.0"]
    assert set(row["source"]) == {"id", "text", "checked", "strength", "file", "overlay"}
    derived = {one["name"]: one["text"] for one in row["derived"]}
    assert derived["driver floor"].startswith("525.60.13")
    assert "torchvision 0.23.0" in derived["goes with"]


def test_packages_that_go_with_a_build_are_told_without_those_between_that_do_not() -> None:
    matrix = load_matrix()
    holes = 0
    for row in matrix.builds("pytorch")[::20]:
        told = dict(derive(matrix, row)).get("goes with", "")
        spans = dict(part.split(" ", 1) for part in told.split("; ") if part)
        for package in {one.package for one in matrix.companions("pytorch")}:
            known = [one for one in matrix.companions("pytorch") if one.package == package]
            names = [str(one.version) for one in known]
            meant = set()
            for span in filter(None, spans.get(package, "").split(", ")):
                first, _, last = span.partition(" to ")
                meant |= set(names[names.index(first) : names.index(last or first) + 1])
            fitting = {str(one.version) for one in known if one.goes_with(row.version)}
            assert meant == fitting, (row.version, package)
            holes += "," in spans.get(package, "")
    assert holes


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["gpu", "RTX 5090"], "GeForce RTX 5090"),
        (["RTX 5090"], "GeForce RTX 5090"),
        (["gpu", "nvidia geforce rtx 5090"], "GeForce RTX 5090"),
    ],
)
def test_a_gpu_is_found_by_what_people_call_it(capsys, words, name) -> None:
    (row,) = answer(capsys, "show", *words)["rows"]
    assert (row["name"], row["capability"]) == (name, "12.0")
    derived = {one["name"]: one["text"] for one in row["derived"]}
    assert derived["CUDA"].startswith("native from 12.8.0 to ")
    assert "PyTorch" in derived


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        ("Tesla T4", "up to 13.5.0 (the table begins with 10.2.89)"),
        ("Tesla V100", "up to 12.9.2 (the table begins with 10.2.89)"),
        ("L40S", "native from 11.8.0 to 13.5.0, from 11.0.1 by code for older GPUs"),
        ("Jetson AGX Orin", "native from 11.7.0 to 13.5.0"),
    ],
)
def test_the_first_cuda_of_a_gpu_is_one_that_compiles_for_it(gpu, expected) -> None:
    matrix = load_matrix()
    (row,) = matrix.find_gpus(gpu)
    assert dict(derive(matrix, row))["CUDA"] == expected


def test_a_gpu_is_said_to_run_what_the_resolver_answers() -> None:
    matrix = load_matrix()
    for gpu in (*matrix.gpus[::10], *matrix.find_gpus("Tesla K80"), *matrix.find_gpus("R200")):
        told = dict(derive(matrix, gpu))
        platforms = ("linux/arm64",) if gpu.kind == "embedded" else ()
        for name, framework in matrix.frameworks.items():
            if framework.facts_only:
                assert framework.title not in told
                continue
            wished = (FrameworkWish(name=name),)
            wishes = Wishes(frameworks=wished, gpus=(gpu.name,), platforms=platforms, prefer_per_field={})
            answer = resolve(wishes, matrix)
            if isinstance(answer, Conflict):
                assert framework.title not in told, (gpu.name, name)
            else:
                (chosen,) = answer.frameworks
                expected = f"{chosen.version} ({', '.join((chosen.build, *platforms))})"
                assert told[framework.title] == expected, (gpu.name, name)


def test_a_framework_that_is_broken_on_a_gpu_is_not_called_able(capsys) -> None:
    (row,) = answer(capsys, "show", "gpu", "RTX 5090")["rows"]
    assert "TensorFlow" not in {one["name"] for one in row["derived"]}


@pytest.mark.parametrize(
    ("words", "subject", "fewest"),
    [
        (["cuda", "12.8"], "cuda", 2),
        (["cudnn", "9.10"], "cudnn", 1),
        (["driver", "570.86"], "drivers", 1),
        (["os", "ubuntu22.04"], "systems", 1),
        (["base", "nvidia/cuda:12.8.1-base-"], "base_images", 2),
        (["torchvision"], "companions", 20),
        (["torchvision", "0.23"], "companions", 1),
        (["broken"], "broken", 3),
        (["tf", "2.16"], "tensorflow", 1),
        (["index", "pytorch-cu128"], "indexes", 1),
    ],
)
def test_every_subject_is_found_by_its_words(capsys, words, subject, fewest) -> None:
    document = answer(capsys, "show", *words)
    assert document["subject"] == subject
    assert len(document["rows"]) >= fewest
    assert all(row["source"]["checked"] for row in document["rows"])


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["pytorch", "9.9"], 1, "does not know pytorch 9.9"),
        (["cuda", "12.7"], 1, "12.6.3, 12.8.0"),
        (["gpu", "RTX 5009"], 2, "RTX 50"),
        (["pytroch", "2.8"], 2, "did you mean pytorch"),
        (["os", "ubunut22.04"], 2, "ubuntu22.04"),
        (["pytorch", "2.8.0+cu999"], 1, "the builds of that release: cpu, cu126, cu128, cu129"),
        (["vlm"], 2, "did you mean vllm"),
        (["vllm", "99"], 1, "does not know vllm 99 because the nearest that it knows: 0."),
        (["companions", "vllm", "99"], 1, "the nearest that it knows: 0."),
        ([""], 2, "an empty word names nothing"),
        (["pytorch", " "], 2, "an empty word names nothing"),
        (["pytorch==9.9"], 1, "does not know pytorch 9.9"),
        (["nvidia/cuda@sha256:00"], 2, "is no subject of the matrix"),
        (["nvidia/cuda:12.8.1-devel-ubuntu99"], 2, "nvidia/cuda:12.8.1-devel-ubuntu24.04"),
    ],
)
def test_what_is_not_known_is_told_with_what_is(capsys, words, code, expected) -> None:
    assert run_command_line(["data", "show", *words]) == code
    told = " ".join(capsys.readouterr().err.split())
    assert expected in told
    assert "cudaforge data list" in told


@pytest.mark.parametrize(
    ("words", "field", "allowed"),
    [
        (["base_images", "os=ubuntu22.04", "cuda=12.8", "flavor=devel"], "os", {"ubuntu22.04"}),
        (["base_images", "reference=nvidia/cuda:12.8.1-*"], "cuda", {"12.8.1"}),
        (["gpus", "family=Maxwell", "kind=embedded"], "kind", {"embedded"}),
        (["gpus", "last_branch=470"], "last_branch", {470}),
        (["gpus", "last_branch="], "last_branch", {None}),
        (["companions", "package=vllm", "version=0.10"], "package", {"vllm"}),
        (["pytorch", "version=>=2.8,<2.9", "build=cu128"], "version", {"2.8.0"}),
        (["jax", "pythons=3.9", "provider=none", "version=0.4.30"], "version", {"0.4.30"}),
        (["tensorflow", "cuda=12.9"], "provider", {"wheels", "system"}),
        (["broken", "when=jax", "is_fatal=no"], "is_fatal", {False}),
        (["cudnn", "packages=13", "version=9.12"], "version", {"9.12.0.46"}),
    ],
)
def test_a_list_is_narrowed_by_what_rows_say(capsys, words, field, allowed) -> None:
    whole = answer(capsys, "list", words[0])["rows"]
    rows = answer(capsys, "list", *words)["rows"]
    assert 0 < len(rows) < len(whole)
    assert {row[field] for row in rows} <= allowed


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (["pytroch"], 2, "did you mean pytorch"),
        (["base_images", "ubuntu22.04"], 2, "'ubuntu22.04' is no filter: FIELD=VALUE"),
        (["base_images", "flavour=devel"], 2, "these rows have no 'flavour' try did you mean flavor=?"),
        (["base_images", "os=ubuntu22"], 1, "os is ubuntu22.04"),
        (["drivers", "eol=<2026"], 1, "only equality and '*' are understood, eol='2026*'"),
        (["gpus", "kind=gaming"], 1, "kind is consumer, datacenter, embedded, laptop, workstation"),
    ],
)
def test_a_filter_that_finds_nothing_says_what_there_is(capsys, words, code, expected) -> None:
    assert run_command_line(["data", "list", *words]) == code
    assert expected in " ".join(capsys.readouterr().err.split())


def test_tables_name_the_source_and_the_day_of_each_row(capsys) -> None:
    assert run_command_line(["data", "list", "cuda", "version=12.8"]) == 0
    rows, _, sources = capsys.readouterr().out.partition("\n\n")
    head, _, *lines = rows.splitlines()
    assert head.split()[-2:] == ["source", "checked"]
    name, day = lines[0].split()[-2:]
    assert any(line.startswith(f"{name}: ") for line in sources.splitlines())
    assert f"(vendor, checked {day}, cuda.toml: {name})" in " ".join(sources.split())


def test_sizes_read_as_people_write_them(capsys) -> None:
    assert run_command_line(["data", "show", "pytorch", "2.8.0+cu128"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[2] for line in lines if line[0] in ("size", "installed")] == ["GB", "GB"]


def test_many_rows_are_a_table_and_few_are_told_whole(capsys) -> None:
    assert run_command_line(["data", "show", "companion", "torchvision"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("package ")
    assert "'cudaforge data show companion torchvision 0." in out.splitlines()[-1] + out.splitlines()[-2]
    assert run_command_line(["data", "show", "companion", "torchvision 0.23.0"]) == 0
    assert capsys.readouterr().out.startswith("companion torchvision 0.23.0\n  framework ")


def test_a_wide_terminal_shows_more_and_a_narrow_one_cuts_no_name() -> None:
    matrix = load_matrix()
    subject = find_subject(matrix, "framework_images")
    narrow, wide = (describe_rows(subject, matrix.framework_images, width=width) for width in (80, 200))
    for image in matrix.framework_images:
        assert image.reference in narrow
    assert "contents" not in narrow.splitlines()[0]
    assert "contents" in wide.splitlines()[0]


def test_a_build_is_found_by_release_and_label_in_two_words(capsys) -> None:
    one = answer(capsys, "show", "pytorch", "2.8.0", "cu128")
    assert one == answer(capsys, "show", "pytorch", "2.8.0+cu128")
    assert {row["build"] for row in answer(capsys, "show", "pytorch", "cu128")["rows"]} == {"cu128"}


def test_what_is_broken_with_some_libraries_does_not_hide_a_release(capsys) -> None:
    newest = answer(capsys, "list", "jax")["rows"][-1]["version"]
    (row,) = answer(capsys, "show", "gpu", "H100")["rows"]
    assert {one["name"]: one["text"] for one in row["derived"]}["JAX"].startswith(newest)
    rows = answer(capsys, "show", "jax", newest, "cpu")["rows"]
    assert not any(one["name"] == "known broken" for row in rows for one in row["derived"])


def test_an_overlays_facts_are_shown_with_their_file(capsys, tmp_path) -> None:
    (tmp_path / "facts.toml").write_text(OVERLAY)
    (tmp_path / "cudaforge.toml").write_text(
        'schema = 1\n[matrices]\noverlays = ["facts.toml"]\n[images.a]\nframework = "pytorch"\n'
    )
    (row,) = answer(capsys, "show", "gpu", "Lab Card 9")["rows"]
    assert (row["source"]["file"], row["source"]["strength"]) == ("facts.toml", "measured")


def test_the_facts_agree(capsys) -> None:
    document = answer(capsys, "check")
    assert document["findings"] == []
    assert {row["subject"] for row in document["coverage"]} >= {"pytorch", "cuda"}


def test_a_mistake_in_the_files_is_told_with_file_and_row(capsys, tmp_path) -> None:
    shutil.copytree(find_resource("matrices"), tmp_path / "facts")
    path = tmp_path / "facts/drivers.toml"
    path.write_text(path.read_text().replace("branch = 570\n", 'branch = 570\nnonsense = "x"\n'))
    assert run_command_line(["data", "check", "--matrices", "facts"]) == 1
    told = capsys.readouterr().err
    assert "570: unknown key 'nonsense'" in told
    assert "facts/drivers.toml" in told
    assert run_command_line(["data", "check", "--matrices", "facts", "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["file"], finding["row"], finding["rule"]) == ("drivers.toml", "570", "row")


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("flash_attn", ("flash-attn",)),
        ("pytorch==2.8.0", ("pytorch", "2.8.0")),
        ("torch===2.8.0+cu128", ("pytorch", "2.8.0+cu128")),
        ("vllm==0.10.0", ("vllm", "0.10.0")),
        ("docker.io/nvidia/cuda:12.8.1-base-ubuntu22.04", ("nvidia/cuda:12.8.1-base-ubuntu22.04",)),
        ("docker.io/library/python:3.12-slim", ("python:3.12-slim",)),
        (f"nvidia/cuda:12.8.1-base-ubuntu22.04@sha256:{'a' * 64}", ("nvidia/cuda:12.8.1-base-ubuntu22.04",)),
    ],
)
def test_names_are_understood_as_others_write_them(word, others, capsys) -> None:
    assert answer(capsys, "show", word)["rows"] == answer(capsys, "show", *others)["rows"] != []


def test_a_source_in_dispute_is_named_once(capsys, tmp_path) -> None:
    row = '[[gpus]]\nname = "NVIDIA H100"\nfirst_driver = "530.1"\nsource = "lab"\n'
    (tmp_path / "own.toml").write_text(f"{OVERLAY}\n{row}")
    (tmp_path / "cudaforge.toml").write_text(
        'schema = 1\n[matrices]\noverlays = ["own.toml"]\n[images.one]\nframework = "pytorch"\n'
    )
    assert run_command_line(["data", "list", "gpus", "source=lab"]) == 0
    out = capsys.readouterr().out
    assert "Lab Card 9" in out
    assert "NVIDIA H100" in out
    assert len([line for line in out.splitlines() if line.startswith("lab:")]) == 1


def test_an_installation_alone_has_nothing_to_check(capsys, monkeypatch) -> None:
    monkeypatch.setattr(facts, "is_checkout", lambda: False)
    assert run_command_line(["data", "check"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "there is nothing to check" in told
    assert "--matrices DIR" in told


def test_a_directory_without_facts_is_refused(capsys) -> None:
    assert run_command_line(["data", "check", "--matrices", "."]) == 2
    assert "holds no matrix files" in capsys.readouterr().err
