"""Starting a project: the starter declaration works as it is, and nothing is overwritten."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from cudaforge import __version__
from cudaforge.cli.main import run_command_line
from cudaforge.pipeline.decide import load, resolve
from cudaforge.renderer.mark import seal
from cudaforge.resolver import Resolution


@pytest.fixture(autouse=True)
def in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "My Project"
    project.mkdir()
    monkeypatch.chdir(project)
    return project


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "jax"])
def test_the_starter_resolves_as_it_is(framework: str, in_a_project: Path) -> None:
    assert run_command_line(["init", framework]) == 0
    declaration = load("cudaforge.toml")
    assert declaration.project == "my-project"
    (answer,) = resolve(declaration)
    assert isinstance(answer.answer, Resolution)
    assert answer.answer.frameworks[0].name == framework


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "jax"])
def test_the_version_that_the_starter_names_exists(
    framework: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command_line(["init", framework])
    (line,) = (one for one in Path("cudaforge.toml").read_text().splitlines() if one.startswith("framework"))
    capsys.readouterr()
    assert run_command_line(["resolve", line.partition(': "')[2].strip('"')]) == 0


def test_what_the_starter_offers_in_comments_is_right(in_a_project: Path) -> None:
    run_command_line(["init"])
    (in_a_project / "src").mkdir()
    text = Path("cudaforge.toml").read_text()
    offered = [line[2:] for line in text.splitlines() if line.startswith("# ") and " = " in line]
    assert len(offered) >= 8
    Path("cudaforge.toml").write_text(
        text.replace("# registry", "registry")
        + "\n".join(line for line in offered if not line.startswith(("registry", "base")))
    )
    assert load("cudaforge.toml").images[0].wishes.gpus == ("H100", "RTX 4090")


def test_a_file_that_is_there_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cudaforge.toml").write_text("mine")
    assert run_command_line(["init"]) == 2
    assert Path("cudaforge.toml").read_text() == "mine"
    assert "--force" in capsys.readouterr().err
    assert run_command_line(["init", "--force"]) == 0


def test_an_unknown_framework_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["init", "tensorflwo"]) == 2
    assert "did you mean tensorflow?" in capsys.readouterr().err
    assert not Path("cudaforge.toml").exists()


def test_the_schema_is_json_and_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert run_command_line(["schema", "-o", "cudaforge.schema.json"]) == 0
    assert json.loads(Path("cudaforge.schema.json").read_text()) == printed
    Path("cudaforge.schema.json").write_text("mine")
    assert run_command_line(["schema", "-o", "cudaforge.schema.json"]) == 2
    assert Path("cudaforge.schema.json").read_text() == "mine"


@pytest.mark.parametrize("link", [".github", ".github/workflows", ".github/workflows/cudaforge.yml"])
def test_a_link_to_nothing_in_the_way_of_ci_files_is_called_one(
    link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command_line(["init"])
    Path(link).parent.mkdir(parents=True, exist_ok=True)
    Path(link).symlink_to("gone")
    capsys.readouterr()
    assert run_command_line(["init", "--ci", "github"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"{link} is a symbolic link to nothing" in told
    assert "try move it away" in told


@pytest.mark.parametrize("name", ["🚀", "vision: 🚀"])
@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_ci_files_name_the_directory_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, name: str
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    assert run_command_line(["init", "--ci", system]) == 0
    told = [str(yaml.safe_load(path.read_text("utf-8"))) for path in tmp_path.rglob("*.yml")]
    assert told
    assert all(name in text and "\\ud83d" not in text for text in told), "no half of it stands alone"


ORIGIN = "https://git.example/team/cudaforge"


@pytest.mark.parametrize(
    ("origin", "installed", "is_told"),
    [
        (None, f"cudaforge=={__version__}", False),
        (
            {"url": ORIGIN, "vcs_info": {"vcs": "git", "commit_id": "c" * 40}},
            f"'cudaforge @ git+{ORIGIN}@{'c' * 40}'",
            False,
        ),
        ({"url": f"{ORIGIN}.whl", "archive_info": {}}, f"'cudaforge @ {ORIGIN}.whl'", False),
        ({"url": "file:///home/me/cudaforge", "dir_info": {}}, f"cudaforge=={__version__}", True),
        (
            {"url": "https://me:secret@git.example/x.whl", "archive_info": {}},
            f"cudaforge=={__version__}",
            True,
        ),
    ],
)
@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_ci_installs_what_wrote_its_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    system: str,
    origin: dict[str, object] | None,
    installed: str,
    *,
    is_told: bool,
):
    text = None if origin is None else json.dumps(origin)
    found = SimpleNamespace(read_text=lambda _: text)
    monkeypatch.setattr("importlib.metadata.distribution", lambda _: found)
    monkeypatch.chdir(tmp_path)
    assert run_command_line(["init", "--ci", system]) == 0
    files = [path.read_text() for path in tmp_path.rglob("*.yml")]
    lines = [line for text in files for line in text.splitlines() if "pip install" in line]
    assert len(lines) == 3
    assert all(line.endswith(installed) for line in lines)
    told = " ".join(capsys.readouterr().err.split())
    assert ("came from no index" in told) is is_told
    assert "cudaforge init -f cudaforge.toml writes one" in told
    assert "secret" not in told + "".join(files)


@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_files_that_do_not_say_whose_they_are_are_renewed(system: str, in_a_project: Path) -> None:
    run_command_line(["init"])
    assert run_command_line(["init", "--ci", system]) == 0
    files = {path: path.read_text() for path in in_a_project.rglob("*.yml")}
    for path, text in files.items():
        name = path.relative_to(in_a_project).as_posix()
        of_before = re.sub(r"content sha256:\w+", f"content sha256:{'0' * 64}", text)
        path.write_text(seal(name, of_before.replace("# For cudaforge.toml\n", "")))
    assert run_command_line(["init", "--ci", system]) == 0
    assert {path: path.read_text() for path in files} == files


def test_the_command_that_writes_the_declaration_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["init", "--ci", "github", "-f", "my images.toml"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "my images.toml is not there yet: cudaforge init -f 'my images.toml' writes one" in told


@pytest.mark.parametrize(
    "name", ["\u5716\u50cf", "\N{GRINNING FACE}x", "it's: #1", "a\N{NO-BREAK SPACE}\u00e9"]
)
def test_a_project_of_any_name_has_a_workflow_of_its_own(name: str, in_a_project: Path) -> None:
    (in_a_project / ".git").mkdir()
    (in_a_project / name).mkdir()
    for file in ("cudaforge.toml", f"{name}/cudaforge.toml"):
        assert run_command_line(["init", "-f", file]) == 0
        assert run_command_line(["init", "--ci", "github", "-f", file]) == 0
    (own,) = (in_a_project / ".github/workflows").glob("cudaforge-*.yml")
    workflow = yaml.safe_load(own.read_text())
    assert workflow["name"] == f"cudaforge {name}"
    assert workflow["defaults"]["run"]["working-directory"] == name


def test_a_directory_that_looks_like_an_option_is_none(in_a_project: Path) -> None:
    (in_a_project / ".git").mkdir()
    (in_a_project / "-x y").mkdir()
    assert run_command_line(["init", "--ci", "gitlab", "-f", "./-x y/cudaforge.toml"]) == 0
    lines = [text for path in in_a_project.rglob("*.yml") for text in path.read_text().splitlines()]
    entered = [line for line in lines if "cd " in line]
    assert len(entered) == 4
    assert all("cd './-x y" in line for line in entered)
