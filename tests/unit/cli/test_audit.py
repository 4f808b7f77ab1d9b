"""`cudaforge audit` from the command line: places, words, formats, mending, exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.declaration import load_declaration

ROOT = Path(__file__).parents[3]
GOOD = "FROM python:3.12-slim-trixie\nRUN pip install torch==2.8.0\n"
BROKEN = "FROM python:3.12-slim-trixie\nRUN pip install torch==2.0.1\n"
RISKY = "FROM python:3.12-slim-trixie\nRUN pip install torch>=2.6\n"
AS_OF = ("--as-of", "2026-11-28")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def put(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return tmp_path

    return put


def run(capsys, *words):
    code = run_command_line(["audit", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_seed_example_is_broken_as_it_is_known_to_be(capsys) -> None:
    code, out, _ = run(capsys, str(ROOT / "examples/seed-cnn/Dockerfile"), *AS_OF, "--json")
    answer = json.loads(out)
    assert (code, answer["schema"], answer["verdict"]) == (1, 1, "broken")
    assert {"base-image-removed", "cudnn-too-old"} <= {one["code"] for one in answer["findings"]}
    (cudnn,) = [one for one in answer["findings"] if one["code"] == "cudnn-too-old"]
    assert "8.6" in cudnn["message"]
    assert "8.2.4" in cudnn["message"]
    assert cudnn["file"].endswith("examples/seed-cnn/requirements.txt")
    assert set(cudnn) >= {"code", "severity", "line", "message", "source", "fix"}


def test_a_tree_is_looked_through(place, capsys) -> None:
    place(
        Dockerfile=GOOD,
        a__Dockerfile_gpu=BROKEN,
        b__serve_Dockerfile=RISKY,
        b__Containerfile=GOOD,
        venv__Dockerfile=BROKEN,
        c__Dockerfile_dockerignore="*",
    )
    code, out, _ = run(capsys, ".", *AS_OF, "--json")
    files = {one["file"]: one["verdict"] for one in json.loads(out)["files"]}
    assert files == {
        "Dockerfile": "fine",
        "a/Dockerfile.gpu": "broken",
        "b/Containerfile": "fine",
        "b/serve.Dockerfile": "risky",
    }
    assert code == 1


@pytest.mark.parametrize("name", ["Dockerfile-gpu", "Dockerfile_gpu", "Containerfile-cpu.train"])
def test_a_tree_is_searched_for_all_common_names(place, capsys, name) -> None:
    place(Dockerfile=GOOD)
    Path("Dockerfile").rename(name)
    _, out, _ = run(capsys, ".", *AS_OF, "--json")
    assert [one["file"] for one in json.loads(out)["files"]] == [name]


def test_what_is_no_dockerfile_stops_no_tree_and_is_refused_by_name(place, capsys) -> None:
    place(
        Dockerfile=GOOD,
        a__Dockerfile_tmpl="{{ if gpu }}\nFROM x\n",
        b__Dockerfile_part="RUN pip install torch\n",
    )
    code, out, _ = run(capsys, ".", *AS_OF, "--json")
    files = {one["file"]: one["verdict"] for one in json.loads(out)["files"]}
    assert files == {"Dockerfile": "fine", "a/Dockerfile.tmpl": "unknown", "b/Dockerfile.part": "unknown"}
    assert code == 0
    assert run(capsys, "b/Dockerfile.part", *AS_OF)[0] == 2


def test_requirements_in_utf_16_are_read(place, capsys) -> None:
    root = place(Dockerfile="FROM python:3.12-slim-trixie\nCOPY r.txt .\nRUN pip install -r r.txt\n")
    (root / "r.txt").write_bytes("torch==2.0.1\r\n".encode("utf-16"))
    code, out, _ = run(capsys, "Dockerfile", *AS_OF, "--json")
    assert [(one["code"], one["file"]) for one in json.loads(out)["findings"]] == [
        ("python-unsupported", "r.txt")
    ]
    assert code == 1


@pytest.mark.parametrize(
    ("text", "fail_on", "code"),
    [
        (GOOD, "unknown", 0),
        (RISKY, "broken", 0),
        (RISKY, "risky", 1),
        (RISKY, "wasteful", 1),
        (BROKEN, "risky", 1),
    ],
)
def test_what_fails_can_be_chosen(place, capsys, text, fail_on, code) -> None:
    place(Dockerfile=text)
    assert run(capsys, "Dockerfile", *AS_OF, "--fail-on", fail_on)[0] == code


def test_fix_writes_the_mended_lines_and_shows_them(place, capsys) -> None:
    root = place(Dockerfile=RISKY)
    code, out, err = run(capsys, "Dockerfile", *AS_OF, "--fix", "--fail-on", "risky")
    assert code == 0
    assert "Dockerfile: fine" in out
    assert "-RUN pip install torch>=2.6\n" in err
    text = (root / "Dockerfile").read_text("utf-8")
    assert "+" + text.splitlines()[1] in err
    assert text.splitlines()[1].startswith("RUN pip install")
    assert ">" not in text


def test_fix_mends_the_seed_example_until_nothing_can_be_mended(tmp_path, capsys) -> None:
    shutil.copytree(ROOT / "examples/seed-cnn", tmp_path / "seed")
    run(capsys, str(tmp_path / "seed/Dockerfile"), *AS_OF, "--fix")
    code, out, _ = run(capsys, str(tmp_path / "seed/Dockerfile"), *AS_OF, "--json")
    answer = json.loads(out)
    assert (code, answer["verdict"]) == (0, "risky")
    assert not [one for one in answer["findings"] if one["fix"]]


def test_a_link_is_not_written_through(place, capsys) -> None:
    root = place(real__Dockerfile=RISKY)
    (root / "Dockerfile").symlink_to(root / "real" / "Dockerfile")
    assert run(capsys, "Dockerfile", *AS_OF, "--fix")[0] == 2
    assert (root / "real" / "Dockerfile").read_text("utf-8") == RISKY


def test_sarif_has_what_the_standard_asks_for(place, capsys) -> None:
    place(
        Dockerfile="# cudaforge: ignore=eol-os it is internal\nFROM python:3.12-slim-bookworm\n"
        + BROKEN.split("\n")[1]
    )
    _, out, _ = run(capsys, "Dockerfile", *AS_OF, "--format", "sarif")
    log = json.loads(out)
    assert log["version"] == "2.1.0"
    (ran,) = log["runs"]
    rules = {rule["id"] for rule in ran["tool"]["driver"]["rules"]}
    kept, silenced = ran["results"]
    assert rules == {kept["ruleId"], silenced["ruleId"]} == {"python-unsupported", "eol-os"}
    assert kept["level"] == "error"
    assert kept["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "Dockerfile"},
        "region": {"startLine": 3},
    }
    assert silenced["suppressions"] == [{"kind": "inSource", "justification": "it is internal"}]


def test_workflow_commands_are_one_line_for_each_finding(place, capsys) -> None:
    place(Dockerfile=BROKEN)
    _, out, _ = run(capsys, "Dockerfile", *AS_OF, "--format", "github")
    command, verdict = out.splitlines()
    assert command.startswith(
        "::error file=Dockerfile,line=2,title=python-unsupported::torch==2.0.1 has no wheel"
    )
    assert verdict == "Dockerfile: broken"


def test_the_text_names_line_fact_and_remedy(place, capsys) -> None:
    place(Dockerfile=RISKY)
    _, out, _ = run(capsys, "Dockerfile", *AS_OF)
    assert "where    Dockerfile:2" in out
    assert "because  POSIX shell" in out
    assert "line 2: - torch>=2.6" in out
    assert '        + "torch>=2.6"' in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere",), "nowhere is not there"),
        (("empty",), "no Dockerfile below empty"),
        (("gpu=RTX 9999", "Dockerfile"), "nothing is known of the GPU 'RTX 9999'"),
        (("driver=new", "Dockerfile"), "driver=new"),
        (("platform=windows", "Dockerfile"), "platform=windows"),
        (("Dockerfile", "--build-arg", "1=2"), "--build-arg takes NAME=VALUE"),
        (("Dockerfile", "--as-of", "yesterday"), "--as-of takes a date"),
        (("Dockerfile", "--as-of", "2999-01-01"), "the facts reach to"),
        (("noise",), "is not UTF-8 text"),
        (("Dockerfile", "--fail-on", "fine"), "fine"),
    ],
)
def test_wrong_input_is_one_clear_message(place, capsys, words, says) -> None:
    root = place(Dockerfile=GOOD)
    (root / "empty").mkdir()
    (root / "noise").write_bytes(bytes(range(128, 256)))
    code, _, err = run(capsys, *words)
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_nothing_outside_of_the_context_is_read(place, capsys) -> None:
    place(
        secret_txt="torch==2.0.1\n",
        app__Dockerfile=GOOD.replace("torch==2.8.0", "torch==2.8.0 -r ../secret.txt"),
    )
    (Path("app") / "link.txt").symlink_to(Path("secret.txt").resolve())
    Path("app/Dockerfile").write_text(
        "FROM python:3.12-slim-trixie\nCOPY . /a\nRUN pip install -r /a/../secret.txt -r /a/link.txt\n",
        "utf-8",
    )
    _, out, _ = run(capsys, "app/Dockerfile", *AS_OF, "--json")
    assert "python-unsupported" not in out
    assert json.loads(out)["verdict"] != "fine"


ADOPTED = (
    "FROM python:3.11-slim-trixie\n"
    "RUN apt-get update && apt-get install -y --no-install-recommends git ffmpeg\n"
    "WORKDIR /app\n"
    "COPY requirements.txt .\n"
    "RUN pip install -r requirements.txt\n"
    "COPY src ./src\n"
    "ENV HF_HOME=/data/hf PYTHONUNBUFFERED=1\n"
    'CMD ["python", "src/main.py"]\n'
)


def test_adopting_writes_a_declaration_of_the_same_image_that_resolves(place, capsys) -> None:
    root = place(
        Dockerfile=ADOPTED, requirements_txt="torch==2.6.0\ntransformers==4.48.0\n", src__main_py="print()\n"
    )
    code, _, err = run(capsys, "Dockerfile", "gpu=H100", *AS_OF, "--adopt")
    assert (code, err) == (0, "wrote cudaforge.toml\n")
    (image,) = load_declaration(root / "cudaforge.toml").images
    wishes = image.wishes
    assert [(one.name, str(one.version)) for one in wishes.frameworks] == [("pytorch", "==2.6.0")]
    assert (wishes.build, str(wishes.python), wishes.os, wishes.gpus) == (
        "cu124",
        "3.11",
        "debian13",
        ("H100",),
    )
    text = (root / "cudaforge.toml").read_text("utf-8")
    for kept in ("transformers==4.48.0", "git", "ffmpeg", "HF_HOME", 'to = "/app/src"', "src/main.py"):
        assert kept in text
    assert "PYTHONUNBUFFERED" not in text
    assert "requirements.txt" not in text
    assert run_command_line(["resolve", "-f", "cudaforge.toml"]) == 0


def test_adopting_says_what_it_gave_up(place, capsys) -> None:
    place(Dockerfile=BROKEN)
    assert run(capsys, "Dockerfile", *AS_OF, "--adopt")[0] == 2  # nothing is installed: nothing to adopt
    place()
    place(Dockerfile="FROM python:3.8-slim-bookworm\nRUN pip install tensorflow-cpu==2.5.0\n")
    code, _, err = run(capsys, "Dockerfile", *AS_OF, "--adopt")
    assert code == 0
    assert "given up, as nothing has all of it: " in err


def test_adopting_keeps_a_declaration_that_is_there(place, capsys) -> None:
    root = place(Dockerfile=GOOD, cudaforge_toml="mine")
    code, _, err = run(capsys, "Dockerfile", *AS_OF, "--adopt")
    assert (code, (root / "cudaforge.toml").read_text("utf-8")) == (2, "mine")
    assert "--force" in err
    assert run(capsys, "Dockerfile", *AS_OF, "--adopt", "--force")[0] == 0
    assert sorted(path.name for path in root.iterdir()) == ["Dockerfile", "cudaforge.toml"]


COG = """\
build:
  gpu: true
  python_version: "3.11"
  system_packages: [ffmpeg]
  python_packages:
    - torch==2.6.0
    - torchvision==0.21.0
predict: "predict.py:Predictor"
"""


def test_a_cog_file_is_adopted(place, capsys) -> None:
    root = place(cog_yaml=COG)
    assert run(capsys, "cog.yaml", *AS_OF, "--adopt")[0] == 0
    (image,) = load_declaration(root / "cudaforge.toml").images
    assert (image.wishes.build, str(image.wishes.python)) == ("cu124", "3.11")
    assert "torchvision==0.21.0" in (root / "cudaforge.toml").read_text("utf-8")


def test_a_cog_file_without_a_gpu_becomes_a_cpu_image(place, capsys) -> None:
    root = place(cog_yaml=COG.replace("gpu: true", "gpu: false"))
    assert run(capsys, "cog.yaml", *AS_OF, "--adopt")[0] == 0
    assert 'cuda = "none"' in (root / "cudaforge.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("build: [", "cannot be read as YAML"),
        ("predict: x", "has no build"),
        ("build:\n  python_version: 3.11\n", "write it as a text"),
        ("build:\n  python_packages: torch\n", "must be a list of texts"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as YAML"),
    ],
)
def test_a_cog_file_that_is_wrong_is_one_clear_message(place, capsys, text, says) -> None:
    place(cog_yaml=text)
    code, _, err = run(capsys, "cog.yaml", *AS_OF, "--adopt")
    assert code == 2
    assert says in err


def test_characters_that_turn_a_line_round_are_shown_as_what_they_are(place, capsys) -> None:
    place(Dockerfile="FROM python:3.12-slim-trixie\nRUN pip install 'torch\u202e==2.8.0'\n")
    for form in ("text", "github"):
        _, out, _ = run(capsys, "Dockerfile", *AS_OF, "--format", form)
        assert "\u202e" not in out
    assert "\\u202E" in run(capsys, "Dockerfile", *AS_OF)[1]
