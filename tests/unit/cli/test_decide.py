"""The deciding commands at the command line: exit codes and the words for people."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line

IMPOSSIBLE = """\
schema = 1
[images.a]
framework = "pytorch"
[images.a.matrix]
python = ["3.7", "3.6"]
"""
JAX = 'schema = 1\n[images.train]\nframework = "jax"\n'


@pytest.fixture(autouse=True)
def in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    # `up` locks unless CI says otherwise, and these tests run there too.
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.mark.parametrize("command", ["resolve", "explain", "lock", "up"])
def test_a_declaration_of_which_no_image_is_left_is_a_no(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cudaforge.toml").write_text(IMPOSSIBLE)
    assert run_command_line([command]) == 1
    seen = capsys.readouterr()
    assert "a-py37" in seen.out + seen.err
    assert not Path("cudaforge.lock").exists()


def test_a_conflict_while_locking_cites_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytorch==2.6.*", "gpu=RTX 5090"]) == 1
    assert "frameworks/pytorch.toml" in capsys.readouterr().out
    Path("cudaforge.toml").write_text(
        'schema = 1\n[images.a]\nframework = "pytorch==2.6.*"\ngpus = ["RTX 5090"]\n'
    )
    assert run_command_line(["lock"]) == 1
    assert "[frameworks/pytorch.toml: release-2.6, checked " in capsys.readouterr().err


@pytest.mark.parametrize("words", [["train", "nosuch"], ["nosuch"], ["explain-me", "train"]])
def test_a_word_that_is_no_image_of_the_file_is_named(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("cudaforge.toml").write_text(JAX)
    assert run_command_line(["explain", *words]) == 2
    message = capsys.readouterr().err
    assert "images.adhoc" not in message
    assert "train" in message.partition("try")[2]


def test_what_is_unknown_among_words_is_placed_by_its_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytroch==2.8.*"]) == 2
    message = capsys.readouterr().err
    assert "where    command line: framework\n" in message
    assert "did you mean pytorch" in message
    assert run_command_line(["resolve", "pytorch", "gpu=RTX 9999"]) == 2
    assert "where    command line: gpu\n" in capsys.readouterr().err


def test_without_a_declaration_the_way_to_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve"]) == 2
    assert "cudaforge init" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["resolve"], ["init"]])
def test_a_directory_that_is_gone_is_told_so(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("gone").mkdir()
    os.chdir("gone")
    Path.cwd().rmdir()
    assert run_command_line(command) == 2
    assert "the current directory does not exist any more" in capsys.readouterr().err


def test_what_a_lock_may_not_be_is_refused_without_reading_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cudaforge.toml").write_text(JAX)
    os.mkfifo("cudaforge.lock")
    assert run_command_line(["build"]) == 2
    assert "is a pipe, not a file" in capsys.readouterr().err
    Path("cudaforge.lock").unlink()
    Path("cudaforge.lock").symlink_to("/dev/zero")
    assert run_command_line(["build"]) == 2
    assert "is a device, not a file" in capsys.readouterr().err
    Path("cudaforge.lock").unlink()
    Path("cudaforge.lock").mkdir()
    assert run_command_line(["build"]) == 2
    assert "is a directory, not a file" in capsys.readouterr().err


def test_packages_are_words_and_a_framework_s_package_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytorch", "package=vllm==0.10.0"]) == 0
    assert "pytorch 2.7.1+" in capsys.readouterr().out
    assert run_command_line(["resolve", "pytorch", "vllm==0.10.0"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "'vllm' is a package that goes with pytorch, and no framework" in error
    assert "package=vllm==0.10.0" in error
    assert run_command_line(["resolve", "pytorch", "left-pad"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "framework 'left-pad' is not known" in error
    assert "if it is a Python package" in error
    assert "package=left-pad" in error
    assert run_command_line(["resolve", "pytroch"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "did you mean pytorch or" in error
    assert "package=" not in error


def test_an_unknown_gpu_is_told_ones_that_are_alike(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytorch", "gpu=RTX5099"]) == 2
    error = capsys.readouterr().err
    assert "did you mean GeForce RTX 5090 or " in error
    assert run_command_line(["resolve", "pytorch", "gpu=Warp Drive"]) == 2
    error = capsys.readouterr().err
    assert "did you mean" not in error
    assert "cudaforge data list gpus" in error


@pytest.mark.parametrize("gpu", ["sm_8", "0", "9"])
def test_an_unknown_capability_is_told_the_known_ones(gpu: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytorch", f"gpu={gpu}"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "compute capabilities that are known: " in error
    assert ", 8.9, 9.0, 10.0, " in error
    assert "RTX" not in error


def test_a_bad_version_of_a_framework_is_told_a_good_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytorch>=>2"]) == 2
    assert "pytorch>=2.6,<2.9" in capsys.readouterr().err


def test_what_a_base_settles_is_not_said_to_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["explain", "--json", "jax", "cuda=none", "base=bootstrap:debian12"]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    reasons = {choice["field"]: choice["because"] for choice in image["choices"]}
    assert reasons["os"] == "base=bootstrap:debian12 has it"
    assert reasons["python"] == "base=bootstrap:debian12 has it; it is the Python of the OS archive"
    assert reasons["jax build"].startswith("cuda=none is asked for; ")


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert run_command_line(["resolve", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)["images"]


def test_all_lists_every_choice_of_builds_once_and_best_first(capsys: pytest.CaptureFixture[str]) -> None:
    (image,) = listed(capsys, "pytorch>=2.6,<2.9", "gpu=H100", "--all")
    every = [image["resolution"], *image["alternatives"]]
    builds = [(one["frameworks"][0]["version"], one["frameworks"][0]["build"]) for one in every]
    assert len(set(builds)) == len(builds) > 8
    assert [version for version, _ in builds] == sorted((version for version, _ in builds), reverse=True)
    assert image["alternatives_cut"] is False
    (best,) = listed(capsys, "pytorch>=2.6,<2.9", "gpu=H100", "--top", "3")
    assert best["alternatives"] == image["alternatives"][:2]
    assert best["alternatives_cut"] is False, "three were asked for"


def test_many_choices_are_told_in_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytorch>=2.6,<2.9", "--all"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    (heading,) = [line for line in text.splitlines() if "other choices" in line]
    count = int(heading.split()[1])
    rows = text.partition(heading)[2].strip().splitlines()[2:]
    assert [int(row.split()[0]) for row in rows] == list(range(2, count + 2))
    assert "pytorch 2.6.0" in rows[-1]


def test_a_list_that_is_cut_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cudaforge.resolver.main.MOST_ALTERNATIVES", 5)
    Path("cudaforge.toml").write_text(
        'schema = 1\n[images.a]\nframework = "jax"\n[images.a.matrix]\npython = ["3.11", "3.12"]\n'
    )
    assert run_command_line(["resolve", "--all"]) == 0
    text = capsys.readouterr().out
    assert "a-py311 has more: the first 2 are listed" in text
    assert "a-py312 has more: the first 3 are listed" in text
    images = listed(capsys, "--all")
    assert [len(one["alternatives"]) for one in images] == [1, 2]
    assert all(one["alternatives_cut"] for one in images)


@pytest.mark.parametrize("options", [["--all", "--top", "3"], ["--all", "--fleet"]])
def test_what_all_does_not_go_with_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("cudaforge.toml").write_text(JAX)
    assert run_command_line(["resolve", *options]) == 2
    assert "--all" in capsys.readouterr().err


def test_an_explanation_has_all_of_it_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["explain", "pytorch<2.13", "gpu=V100", "--json"]) == 0
    (image,) = json.loads(capsys.readouterr().out)["images"]
    choices = {one["field"]: one for one in image["choices"]}
    release = choices["pytorch"]
    assert release["wishes"] == ["pytorch<2.13"]
    assert release["prefer"] == "newest"
    assert release["beat"][0] == {"value": "2.12.0", "because": "older"}
    assert len(release["beat"]) > 20, "all of them"
    assert release["excluded"][0]["by"] == ["pytorch<2.13"]
    assert "2.15.0" in release["excluded"][0]["values"]
    (build,) = choices["pytorch build"]["excluded"]
    assert (build["values"], build["kind"], build["by"]) == (["cu130", "cu132"], "wish", ["gpu=V100"])
    assert "none of it runs on V100 (sm_70)" in build["text"]
    assert build["source"]
    kinds = {one["kind"]: one["by"] for one in choices["cuda"]["excluded"]}
    assert kinds == {"wish": ["gpu=V100"], "choice": ["pytorch 2.12.1"], "fact": []}
    assert choices["flavor"]["prefer"] is None
    assert choices["driver_floor"]["beat"] == [{"value": "384.81", "because": "enough for the GPUs"}]


def test_more_images_than_anyone_reads_are_not_explained(capsys: pytest.CaptureFixture[str]) -> None:
    drivers = [f"580.{patch}" for patch in range(257)]
    Path("cudaforge.toml").write_text(JAX + f"[images.train.matrix]\ndriver = {json.dumps(drivers)}\n")
    assert run_command_line(["explain"]) == 2
    assert "257 images; at most 256 are explained at once" in capsys.readouterr().err


def test_a_count_beyond_counting_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytorch", "--top", "9" * 24]) == 2
    assert "--top" in capsys.readouterr().err


def test_a_gpu_that_is_built_into_other_machines_is_a_no(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytorch", "gpu=Jetson Thor", "platform=linux/amd64"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "is built into machines of linux/arm64" in told
    assert 'try platforms = ["linux/arm64"]' in told
    assert run_command_line(["resolve", "pytorch", "gpu=Jetson Thor", "platform=linux/arm64"]) == 0


def test_a_repair_of_one_gpu_of_several_names_it_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["resolve", "pytorch==2.1.*", "gpu=H100", "gpu=RTX 5090"]) == 1
    told = capsys.readouterr().out
    assert "drop gpu=RTX 5090" in told
    assert 'gpu=RTX 5090 = "' not in told


def test_a_package_made_for_older_releases_is_warned_of(
    in_a_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_a_project / "cudaforge.toml").write_text(
        '[images.a]\nframework = "pytorch==2.15.*"\npackages = ["vllm"]\n'
    )
    assert run_command_line(["resolve"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "the newest known, is made for pytorch==2.14.0: next to pytorch 2.15.0" in told


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        ("Radeon RX 7900 XTX", "AMD"),
        ("rx7900xtx", "AMD"),
        ("gfx942", "AMD"),
        ("Gaudi 3", "Intel"),
        ("Arc A770", "Intel"),
        ("M3 Max", "Apple"),
        ("TPU v5e", "Google"),
        ("Trainium2", "AWS"),
        ("RX 5090", None),
        ("H10O", None),
        ("NVIDIA M99", None),
    ],
)
def test_other_makers_are_told_from_misspelled_names(
    name: str, maker: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["resolve", "pytorch", f"gpu={name}"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert (f"is made by {maker}: only NVIDIA GPUs are known" in told) is (maker is not None)
    assert ("is not known" in told) is (maker is None)


@pytest.mark.parametrize(
    ("lines", "is_warned"),
    [
        (f'packages = ["flash_attn @ git+https://h/flash@{"0123456789" * 4}"]', True),
        ('packages = ["xformers==0.0.35"]\nbuild_from_source = ["xformers"]', True),
        ('packages = ["xformers==0.0.35"]', False),
        (f'packages = ["x @ git+https://h/x@{"0123456789" * 4}"]', False),
    ],
)
def test_what_compiles_against_its_framework_is_warned_of_before_it_is_locked(
    lines: str, *, is_warned: bool, in_a_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_a_project / "cudaforge.toml").write_text(f'[images.a]\nframework = "pytorch"\n{lines}\n')
    assert run_command_line(["resolve"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert ("is asked for as source, which compiles against pytorch: lock refuses it" in told) is is_warned


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("trian", "the declaration has no image 'trian' where command line try did you mean train?"),
        ("nosuch", "known: train; an image of the engine is named with its tag: nosuch:latest"),
        ("a b", "'a b' names no image"),
        ("Train", "the repository must be lower case where command line try did you mean train?"),
    ],
)
def test_the_name_of_an_image_to_verify_is_judged_before_the_engine_is_asked(
    name: str,
    told: str,
    in_a_project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    (in_a_project / "cudaforge.toml").write_text('[images.train]\nframework = "pytorch"\n')
    assert run_command_line(["verify", name]) == 2
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("form", ["text", "json", "names"])
def test_jobs_are_counted_only_where_there_are_some(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["matrix", "--format", form, "--max-jobs", "3"]) == 2
    assert f"--format {form} makes no jobs" in capsys.readouterr().err


def test_a_framework_that_a_day_has_nothing_of_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cudaforge.toml").write_text(
        'schema = 1\n[images.a]\nframework = "onnxruntime==1.17.*"\ncuda = "none"\n'
        '[images.b]\nframework = ["pytorch", "onnxruntime"]\n'
        '[images.c.matrix]\nframework = ["onnxruntime"]\npython = ["3.11", "3.12"]\n'
    )
    assert run_command_line(["lock", "--as-of", "2020-01-01"]) == 1
    message = capsys.readouterr().err
    assert message.count("onnxruntime cannot hold") == 3
    assert "a: onnxruntime cannot hold\n  where    cudaforge.toml:3: images.a.framework\n" in message
    assert "c-onnxruntime-py311, c-onnxruntime-py312: onnxruntime cannot hold" in message
    assert message.count("no release of onnxruntime is known to have been there on 2020-01-01") == 3
    assert message.count("--as-of none") == 3
    assert "because  \n" not in message


def test_json_of_a_matrix_is_the_format_json(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cudaforge.toml").write_text(JAX + '[images.train.matrix]\npython = ["3.11", "3.12"]\n')
    assert run_command_line(["matrix", "--json"]) == 0
    printed = capsys.readouterr().out
    assert [one["name"] for one in json.loads(printed)["images"]] == ["train-py311", "train-py312"]
    for words in (["--format", "json"], ["--format=json", "--json"]):
        assert run_command_line(["matrix", *words]) == 0
        assert capsys.readouterr().out == printed


@pytest.mark.parametrize("words", [["matrix", "--format", "names"], ["audit", ".", "--format=sarif"]])
def test_two_formats_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line([*words, "--json"]) == 2
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert "cannot be asked for together with --json" in error["what"]


@pytest.mark.parametrize("words", [["--json"], ["--format", "json"], ["--format=json"]])
def test_errors_of_a_matrix_for_machines_are_json(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["matrix", "-f", "gone.toml", *words]) == 2
    assert json.loads(capsys.readouterr().out)["errors"][0]["what"] == "there is no gone.toml"
