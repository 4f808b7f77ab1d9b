"""Reports of verdicts in every format: what is there, and that nothing an image prints is more than text."""

from __future__ import annotations

import json
import re
import socket
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cudaforge.cli.main import run_command_line
from cudaforge.errors import InputError
from cudaforge.pipeline import decide, reporting
from cudaforge.pipeline.proving import verdict_file
from cudaforge.records import replace
from cudaforge.report.evidence import Curve, curves, machine_of
from cudaforge.report.markdown import escape
from cudaforge.report.page import chart_of
from cudaforge.verifier.serial import verdict_to_json
from tests.support.locks import CPU_IMAGE, GPU_IMAGE, make_lock
from tests.unit.registry.server import serving
from tests.unit.report.proofs import BAD, EVIL, GOOD, HOSTILE, IMAGE_ID, LOSSES, PROOFS, proof

VOID = frozenset({"meta", "line"})


class Page(HTMLParser):
    """What a browser would make of a page: its elements and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(reporting.report_text(PROOFS, "html"))


def test_the_page_is_whole_and_loads_nothing(page: Page) -> None:
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object"}
    urls = {value for _, attrs in page.tags for name, value in attrs.items() if name in ("href", "src")}
    assert urls == {f"#image-{number}" for number in (1, 2, 3, 4)}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)


def test_the_page_says_what_was_proven(page: Page) -> None:
    for words in (
        "1 of 4 images proven",
        "trained on CPU and GPU (NVIDIA H100)",
        IMAGE_ID,
        "The image itself: 2 of 2 passed",
        "On the GPU: 1 of 2 passed",
        "driver 450.80.02 is too old driver-too-old",
        "Try: install 570.26 or newer",
        "not verified yet",
        "570.124.06",
        "pytorch on the CPU: loss 2.3 to 0.11",
    ):
        assert words in page.text


def test_a_hostile_image_prints_text_and_nothing_more(page: Page) -> None:
    assert page.text.count("</td><script>alert(1)</script>|`x`") >= 3
    assert "\\u001B[31m" in page.text
    assert "\\u202E" in page.text
    assert not [tag for tag, _ in page.tags if tag == "script"]


def test_every_loss_is_a_point_of_the_curve(page: Page) -> None:
    lines = [attrs["points"] or "" for tag, attrs in page.tags if tag == "polyline"]
    # The hostile image's CPU losses are no numbers: it has a curve of the other training alone.
    assert [len(points.split()) for points in lines] == [len(LOSSES)] * 3


def test_a_curve_falls_within_its_chart() -> None:
    chart = chart_of([Curve(framework="jax", device="CPU", losses=(2.0, 1.0, 0.0))])
    assert chart is not None
    points = [tuple(map(float, point.split(","))) for point in chart.lines[0].points.split()]
    assert [x for x, _ in points] == [chart.left, (chart.left + chart.right) / 2, chart.right]
    assert [y for _, y in points] == [12.0, (12.0 + chart.bottom) / 2, chart.bottom]
    assert [tick.label for tick in chart.up] == ["0", "1", "2"]
    assert chart_of([]) is None
    assert chart_of([Curve(framework="a", device="CPU", losses=(0.0, -1.0))]) is not None


def test_facts_of_a_hostile_probe_are_read_with_distrust() -> None:
    assert [curve.device for curve in curves(EVIL)] == ["GPU"]
    for facts in (
        {},
        {"probe": []},
        {"probe": {"frameworks": {"a": {"stages": [1, {"name": "train_cpu"}]}}}},
    ):
        odd = replace(GOOD, facts=facts)
        assert curves(odd) == ()
        assert machine_of(odd) == ()


def test_junit_counts_what_stands_in_the_way() -> None:
    root = ET.fromstring(reporting.report_text(PROOFS, "junit"))
    suites = {suite.get("name"): suite for suite in root.findall("testsuite")}
    assert [suites[name].get("failures") for name in ("train", "old", "evil", "new")] == ["0", "3", "2", "0"]
    assert suites["train"].get("skipped") == "1"
    assert suites["new"].get("errors") == "1"
    failure = suites["old"].find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "driver-too-old"
    assert failure.text == "driver 450.80.02 is too old\ntry: install 570.26 or newer"
    properties = {one.get("name"): one.get("value") for one in suites["train"].iter("property")}
    assert properties["image_id"] == IMAGE_ID


def test_markdown_is_a_table_that_nothing_breaks_out_of() -> None:
    text = reporting.report_text(PROOFS, "markdown")
    assert text.startswith("## cudaforge: 1 of 4 images proven\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in rows} == {5}
    assert "<script" not in text
    assert "driver 450.80.02 is too old (driver-too-old)" in text
    assert text.count("<details>") == text.count("</details>") == 3


def test_a_summary_fits_into_what_ci_takes() -> None:
    many = [replace(proof(GOOD), name=f"train-{number}") for number in range(3000)]
    text = reporting.report_text([*many, proof(BAD)], "markdown")
    assert len(text.encode()) < 2**20
    assert text.count("<details>") == 1
    assert "| train-2999 | ok |" in text


def test_escaped_text_is_one_line_without_markup() -> None:
    text = escape(HOSTILE)
    assert "\n" not in text
    assert not re.search(r"[<>|`*\[\]@]", re.sub(r"&#\d+;", "", text))


def test_an_attestation_is_a_statement_about_one_digest() -> None:
    lines = reporting.report_text(PROOFS, "attestation").splitlines()
    assert len(lines) == 3  # an image without a verdict has none
    good, bad, _ = map(json.loads, lines)
    assert good["_type"] == "https://in-toto.io/Statement/v1"
    assert good["subject"] == [{"name": GOOD.reference, "digest": {"sha256": "a" * 64}}]
    assert good["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = good["predicate"]
    assert predicate["result"] == "PASSED"
    assert predicate["configuration"] == [{"name": "cudaforge.lock: train", "digest": {"sha256": "b" * 64}}]
    assert predicate["passedTests"] == ["entry", "python", "train", "device"]
    details = predicate["urn:cudaforge:verdict:v1"]
    assert details["driver"] == "570.124.06"
    assert details["gpus"] == ["NVIDIA H100 80GB HBM3"]
    assert details["host"]["kernel"] == "6.1.0"
    assert details["losses"][0]["losses"] == LOSSES
    assert bad["predicate"]["result"] == "FAILED"
    assert bad["predicate"]["failedTests"] == ["driver", "cudnn"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a lock of two images, of which one was verified."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cudaforge.toml").write_text(
        'schema = 1\n[images.train]\nframework = "pytorch"\n[images.quick]\nframework = "jax"\n'
    )
    declaration = decide.load("cudaforge.toml")
    lock = replace(make_lock(GPU_IMAGE, CPU_IMAGE), declaration=declaration.digest)
    monkeypatch.setattr(decide, "load_current_lock", lambda _: lock)
    save(GOOD, lock_digest=GPU_IMAGE.digest)
    return tmp_path


def save(verdict, **changes: object) -> None:
    path = verdict_file(str(changes.get("name", verdict.name)), decide.load("cudaforge.toml"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(verdict_to_json(replace(verdict, **changes))))


def test_the_command_reports_what_verify_left(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["report", "train"]) == 0
    assert "| train | ok | trained on CPU and GPU" in capsys.readouterr().out
    assert run_command_line(["report"]) == 1
    assert "| quick | **not verified** | not verified yet |" in capsys.readouterr().out


def test_files_by_their_endings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("a.html", "b.md", "c.xml", "d.jsonl")
    words = [word for name in names for word in ("-o", name)]
    assert run_command_line(["report", "train", *words]) == 0
    assert capsys.readouterr().out == "".join(f"wrote {name}\n" for name in names)
    assert (project / "a.html").read_text().startswith("<!DOCTYPE html>")
    assert ET.parse(project / "c.xml").getroot().tag == "testsuites"
    assert json.loads((project / "d.jsonl").read_text())["predicate"]["result"] == "PASSED"


def test_an_ending_that_says_nothing_writes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["report", "train", "-o", "a.html", "-o", "b.pdf"]) == 2
    assert not (project / "a.html").exists()
    assert "'b.pdf' does not say" in capsys.readouterr().err
    assert run_command_line(["report", "--format", "pdf"]) == 2
    with pytest.raises(InputError):
        reporting.format_of(Path("x"))


def test_a_verdict_of_another_lock_entry_does_not_count(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(GOOD, lock_digest="sha256:" + "0" * 64)
    assert run_command_line(["report", "train", "--json"]) == 1
    (image,) = json.loads(capsys.readouterr().out)["images"]
    assert image["ok"] is False
    assert image["summary"] == "not verified since the lock was changed"
    assert image["image_id"] is None


def test_a_damaged_verdict_is_none(project: Path) -> None:
    path = verdict_file("train", decide.load("cudaforge.toml"))
    for text in ("", "[]", "{}", "[" * 100_000, '{"ok": true}'):
        path.write_text(text)
        assert run_command_line(["report", "train", "--json"]) == 1


def test_nothing_is_attached_without_a_verdict(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["report", "quick", "--attach"]) == 1
    assert "there is nothing to attach" in capsys.readouterr().err


def test_what_was_not_pushed_is_to_be_pushed_first(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving(lambda exchange: exchange.send(404, b"{}")) as server:
        save(GOOD, lock_digest=GPU_IMAGE.digest, reference=f"{server.host}/team/train:1")
        assert run_command_line(["report", "train", "--attach"]) == 1
        told = capsys.readouterr().err
        assert "because  it was not pushed from here\n" in told
        assert "try      push it first: cudaforge build train --push" in told


def test_a_registry_without_an_answer_is_no_matter_of_the_lock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        reference = f"localhost:{held.getsockname()[1]}/team/train:1"
        assert run_command_line(["report", "--attached", reference]) == 3
    told = capsys.readouterr().err
    assert "refuses connections" in told
    assert "[registries]" in told
    assert "--allow-unpinned" not in told
