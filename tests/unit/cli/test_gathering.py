"""`report` over what builds and verifications left: here, and in the directories of CI jobs."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.lockfile.store import read_lock
from cudaforge.records import replace
from cudaforge.report.evidence import TIME_FACT
from cudaforge.verifier import Verdict, verdict_to_json

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    shutil.copytree(ROOT / "tests/golden/quickstart/locked", project)
    shutil.copy(ROOT / "examples/quickstart/cudaforge.toml", project)
    monkeypatch.chdir(project)
    return project


def verdict(project: Path, name: str, *, summary: str = "trained on CPU", at: str = "2026-11-01") -> Verdict:
    image = next(one for one in read_lock(project / "cudaforge.lock").images if one.name == name)
    return Verdict(
        name=name,
        reference=image.tags[0],
        image_id="sha256:" + "a" * 64,
        lock_digest=image.digest,
        ok=summary == "trained on CPU",
        summary=summary,
        checks=(),
        facts={TIME_FACT: at},
        seconds=2.0,
    )


def leave(directory: Path, *verdicts: Verdict, log: str = "#1 [1/2] FROM <base>\n") -> None:
    (directory / "verdicts").mkdir(parents=True)
    (directory / "logs").mkdir()
    builds = []
    for one in verdicts:
        (directory / "verdicts" / f"{one.name}.json").write_text(json.dumps(verdict_to_json(one)))
        (directory / "logs" / f"{one.name}.log").write_text(log)
        builds.append({"name": one.name, "build": {"state": "built", "size": 700_000_000, "seconds": 61.5}})
    (directory / "results.json").write_text(json.dumps({"schema": 1, "images": builds}))


def end_build(directory: Path, project: Path, name: str, build: dict[str, object], **changes: str) -> None:
    """Leave what a build leaves when it has ended."""
    image = next(one for one in read_lock(project / "cudaforge.lock").images if one.name == name)
    (directory / "outcomes").mkdir(parents=True, exist_ok=True)
    document = {"schema": 1, "name": name, "lock_digest": image.digest, "build": build, **changes}
    (directory / "outcomes" / f"{name}.json").write_text(json.dumps(document))


def fail(
    directory: Path, project: Path, name: str, *, at: str = "2026-11-02T10:00:00Z", **changes: str
) -> None:
    end_build(
        directory,
        project,
        name,
        {
            "state": "failed",
            "failed_step": "[runtime 3/9] RUN make it",
            "last_lines": ["gcc: error <b>one</b>"],
            "reason": "a step of `run` ended with exit status 2",
            "remedy": "mend the step",
            "log": f".cudaforge/logs/{name}.log",
        },
        **{"ended": at, **changes},
    )


def succeed(directory: Path, project: Path, name: str, *, at: str, state: str = "built") -> None:
    end_build(directory, project, name, {"state": state, "seconds": 2.0}, ended=at)


def report(*words: str) -> int:
    return run_command_line(["report", *words])


def test_what_jobs_left_is_one_report(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    leave(tmp_path / "all" / "cudaforge-0", verdict(project, "jax"))
    leave(tmp_path / "all" / "cudaforge-1" / "sub" / ".cudaforge", verdict(project, "tensorflow"))
    assert report("--merge", str(tmp_path / "all"), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {image["name"]: image["summary"] for image in told["images"]} == {
        "jax": "trained on CPU",
        "tensorflow": "trained on CPU",
    }
    assert report("--json") == 1, "in the project itself nothing was verified"


def test_the_newest_verdict_counts(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    leave(tmp_path / "all" / "b", verdict(project, "jax", summary="nothing trained", at="2026-11-02"))
    leave(tmp_path / "all" / "a", verdict(project, "jax", at="2026-11-03"))
    leave(tmp_path / "all" / "c", replace(verdict(project, "jax", at="2026-11-09"), lock_digest="sha256:0"))
    assert report("--merge", str(tmp_path / "all"), "jax") == 0
    assert "trained on CPU" in capsys.readouterr().out


def test_an_image_without_a_verdict_is_not_proven(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    leave(tmp_path / "all", replace(verdict(project, "jax"), lock_digest="sha256:0"))
    assert report("--merge", str(tmp_path / "all"), "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [image["summary"] for image in told["images"]] == [
        "not verified since the lock was changed",
        "not verified yet",
    ]


def test_the_page_has_a_grid_and_each_image_with_all_that_made_it(project: Path, tmp_path: Path):
    hostile = "\x1b[31m</pre><script>alert(1)</script>\n"
    leave(tmp_path / "all", verdict(project, "jax"), verdict(project, "tensorflow"), log=hostile)
    page = tmp_path / "page.html"
    assert report("--merge", str(tmp_path / "all"), "-o", str(page)) == 0
    text = page.read_text()
    HTMLParser().feed(text)
    assert "<script" not in text
    assert "\x1b" not in text
    assert '<table class="grid">' in text
    assert "Python 3.11" in text
    assert "(no CUDA)" in text
    assert "700 MB" in text
    assert text.count("<summary>Dockerfile</summary>") == 2
    assert "uv pip" in text


@pytest.mark.parametrize("seconds", ["Infinity", "NaN", "1e999", "-5"])
def test_a_time_that_is_none_damages_the_verdict_alone(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: str
):
    directory = tmp_path / "all"
    leave(directory, verdict(project, "jax"))
    file = directory / "verdicts" / "jax.json"
    document = {**json.loads(file.read_text()), "seconds": "here"}
    file.write_text(json.dumps(document).replace('"here"', seconds))
    assert report("--merge", str(directory), "jax") == 1
    assert f"{file}: left out" in capsys.readouterr().err


def test_damaged_results_are_none(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    directory = tmp_path / "all"
    leave(directory, verdict(project, "jax"))
    (directory / "results.json").write_text('{"images": [{"name": 1, "build": []}, 7]}')
    (directory / "verdicts" / "tensorflow.json").write_text("[" * 100_000)
    assert report("--merge", str(directory), "jax") == 0
    assert f"{directory}/verdicts/tensorflow.json: left out" in capsys.readouterr().err
    assert report("--merge", str(tmp_path / "nowhere")) == 2
    assert "is no directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ['packages = ["numpy >> 1"]', 'packages = ["./gone.whl"]', 'requirements = "gone.txt"']
)
def test_wrong_packages_do_not_stop_a_report(
    line: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declaration = project / "cudaforge.toml"
    declaration.write_text(declaration.read_text() + f"{line}\n")
    leave(tmp_path / "all", verdict(project, "jax"))
    assert report("--merge", str(tmp_path / "all"), "jax") == 0
    told = capsys.readouterr()
    assert "trained on CPU" in told.out
    assert "whether the lock is current is not known" in told.err
    assert run_command_line(["lock", "--check"]) == 2
    declaration.write_text(declaration.read_text() + "nonsense = 1\n")
    assert report("--merge", str(tmp_path / "all"), "jax") == 2


def test_directories_that_give_nothing_are_told(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "empty").mkdir()
    leave(tmp_path / "foreign", replace(verdict(project, "jax"), name="other"))
    assert report("--merge", str(tmp_path / "empty"), "--merge", str(tmp_path / "foreign")) == 1
    said = capsys.readouterr().err
    assert f"{tmp_path}/empty: no job of cudaforge has left anything there" in said
    assert "the declaration has no such image: other" in said
    assert report("--merge", "") == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--attached", "localhost:1/x", "--merge", "."),
        ("--attached", "localhost:1/x", "jax"),
        ("--format", "junit", "-o", "x.md"),
        ("--format", "junit", "--json"),
    ],
)
def test_options_that_would_say_nothing_are_refused(
    project: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    assert report(*words) == 2
    assert "cannot be asked for together with --" in capsys.readouterr().err
    assert not (project / "x.md").exists()


def test_an_image_whose_build_failed_is_told_so_in_every_format(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    state = project / ".cudaforge"
    leave(state, verdict(project, "jax"))
    (state / "logs" / "tensorflow.log").write_text("#7 gcc: error\n")
    fail(state, project, "tensorflow")
    assert report("-o", "page.html", "-o", "junit.xml") == 1
    page = Path("page.html").read_text()
    assert '<span class="mark">BUILD FAILED</span>' in page
    assert '<td class="badge bad">BUILD FAILED</td>' in page
    assert "its build failed: a step of `run` ended with exit status 2" in page
    assert "<dt>Try</dt><dd>mend the step</dd>" in page
    assert "gcc: error &lt;b&gt;one&lt;/b&gt;" in page
    assert '<a href="#log-2">' in page
    assert '<pre id="log-2">#7 gcc: error' in page
    assert "<code>.cudaforge/logs/tensorflow.log</code>" in page
    assert "not verified" not in page
    assert '<td class="measure"></td>' in page, (
        "a cell without a measure is empty, and takes no line on a phone"
    )
    (failure,) = ET.parse("junit.xml").getroot().iter("failure")
    assert failure.get("type") == "build-failed"
    assert "try: mend the step\nlog: .cudaforge/logs/tensorflow.log" in (failure.text or "")
    capsys.readouterr()
    assert report("--format", "markdown") == 1
    told = capsys.readouterr().out
    assert "| tensorflow | **BUILD FAILED** | its build failed: a step of " in told
    assert "  - try mend the step" in told
    assert report("--json") == 1
    images = {one["name"]: one for one in json.loads(capsys.readouterr().out)["images"]}
    assert images["jax"]["failed_build"] is None
    assert images["tensorflow"]["failed_build"]["remedy"] == "mend the step"


@pytest.mark.parametrize(
    ("at", "changes", "code"),
    [
        ("2026-11-02T10:00:00Z", {}, 1),  # the image that was proven is the one before
        ("2026-10-30T10:00:00Z", {}, 0),
        ("2026-11-02T10:00:00Z", {"lock_digest": "sha256:0"}, 0),
    ],
)
def test_what_is_newer_counts(at: str, changes: dict[str, str], code: int, project: Path):
    state = project / ".cudaforge"
    leave(state, verdict(project, "jax", at="2026-11-01T10:00:00Z"))
    fail(state, project, "jax", at=at, **changes)
    assert report("jax") == code


def test_a_damaged_failure_is_left_out_and_told(project: Path, capsys: pytest.CaptureFixture[str]):
    outcomes = project / ".cudaforge" / "outcomes"
    outcomes.mkdir(parents=True)
    (outcomes / "jax.json").write_text('{"name": "jax", "build": {"state": []}}')
    assert report("jax") == 1
    told = capsys.readouterr()
    assert "not verified yet" in told.out
    assert "outcomes/jax.json: left out" in told.err


EARLIER, FAILED, LATER = "2026-11-01T10:00:00Z", "2026-11-02T10:00:00Z", "2026-11-03T10:00:00Z"


@pytest.mark.parametrize("state", ["built", "cached"])
@pytest.mark.parametrize(("first", "second"), [("a", "b"), ("b", "a")])
def test_a_job_that_built_the_image_after_another_failed_it_wins(
    first: str,
    second: str,
    state: str,
    project: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    jobs = tmp_path / "all"
    fail(jobs / first, project, "jax", at=FAILED)
    succeed(jobs / second, project, "jax", at=LATER, state=state)
    assert report("--merge", str(jobs), "jax") == 1
    assert "not verified yet" in capsys.readouterr().out
    (jobs / "verified").mkdir()
    leave(jobs / "verified", verdict(project, "jax", at=EARLIER))
    assert report("--merge", str(jobs), "jax") == 0, "the lock entry was proven, and is built again"


@pytest.mark.parametrize("at", [EARLIER, FAILED])
def test_a_build_that_failed_last_is_hidden_by_none_before_it(
    at: str, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    jobs = tmp_path / "all"
    leave(jobs / "a", verdict(project, "jax", at=EARLIER))
    succeed(jobs / "a", project, "jax", at=at)
    fail(jobs / "b", project, "jax", at=FAILED)
    succeed(jobs / "c", project, "jax", at=at)
    assert report("--merge", str(jobs), "jax") == 1
    assert "BUILD FAILED" in capsys.readouterr().out


def test_a_build_that_went_well_hides_no_verdict_that_did_not(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    jobs = tmp_path / "all"
    leave(jobs / "a", verdict(project, "jax", summary="nothing trained", at=EARLIER))
    succeed(jobs / "b", project, "jax", at=LATER)
    assert report("--merge", str(jobs), "jax") == 1
    assert "nothing trained" in capsys.readouterr().out


def test_the_log_is_that_of_the_build_that_is_told(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    jobs = tmp_path / "all"
    for job, text in (("a", "#1 gcc: error\n"), ("b", "#1 all is well\n")):
        (jobs / job / "logs").mkdir(parents=True)
        (jobs / job / "logs" / "jax.log").write_text(text)
    fail(jobs / "a", project, "jax", at=LATER)
    succeed(jobs / "b", project, "jax", at=FAILED)
    assert report("--merge", str(jobs), "jax", "--format", "html") == 1
    page = capsys.readouterr().out
    assert "#1 gcc: error" in page
    assert "all is well" not in page
    assert "all/a/logs/jax.log" in page
    (jobs / "a" / "logs" / "jax.log").unlink()
    assert report("--merge", str(jobs), "jax", "--format", "html") == 1
    assert "all is well" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["logs/jax.log", "verdicts/jax.json", "results.json"])
def test_a_link_that_a_job_left_is_not_followed(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
):
    jobs, secret = tmp_path / "all", tmp_path / "environ"
    leave(jobs / "a", verdict(project, "jax"))
    secret.write_text("TOKEN=of-the-job\n")
    linked = jobs / "a" / name
    linked.unlink(missing_ok=True)
    linked.parent.mkdir(exist_ok=True)
    linked.symlink_to(secret)
    report("--merge", str(jobs), "jax", "--format", "html")
    told = capsys.readouterr()
    assert "of-the-job" not in told.out
    assert f"a/{name}: left out" in told.err


def test_half_a_character_in_what_a_job_left_is_reported(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = read_lock(project / "cudaforge.lock").images[0].name
    leave(tmp_path / "job", verdict(project, name, summary="odd \ud800"))
    files = [f"r{ending}" for ending in (".html", ".md", ".xml", ".jsonl")]
    words = [word for file in files for word in ("-o", file)]
    assert run_command_line(["report", "--merge", str(tmp_path / "job"), *words, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)["images"]
    assert "odd \ud800" in [one["summary"] for one in told]
    assert all((project / file).read_text(encoding="utf-8") for file in files)
