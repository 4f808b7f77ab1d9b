"""What docs/programs.md says of the JSON is what the commands print, key by key."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path

import pytest

from cudaforge.audit.model import Severity
from cudaforge.audit.model import Verdict as AuditVerdict
from cudaforge.builder.model import BuildResult, BuildState, result_to_json
from cudaforge.declaration.model import Flavor
from cudaforge.doctor.leftovers import Cleaned, Kind, Leftover
from cudaforge.gate.model import SEVERITIES
from cudaforge.lockfile.effects import Effect
from cudaforge.lockfile.model import DroppedPoint
from cudaforge.matrix.model import CudaProvider
from cudaforge.publisher.model import Publication, PushedTag, publication_to_json
from cudaforge.report.leftovers import leftovers_json
from cudaforge.report.summary import run_json
from cudaforge.resolver.model import ExcludedBy, PythonProvider, ReasonKind
from cudaforge.verifier.model import CheckState
from cudaforge.verifier.serial import verdict_to_json
from tests.support.locks import GPU_IMAGE
from tests.unit.gate.test_gate import trivy
from tests.unit.pipeline.conftest import Run, World
from tests.unit.report.proofs import BAD, GOOD

PAGE = Path(__file__).parents[3] / "docs/programs.md"
_SECTION = re.compile(r"^#{2,3} (?P<title>[^\n]+)\n(?P<text>.*?)(?=^#{2,3} |\Z)", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"^\| (?P<paths>`[^|]*`) \| (?P<means>.*) \|$", re.MULTILINE)
_PART = re.compile(r"\]\(#(?P<part>[a-z-]+)\)")

Document = Mapping[str, object]
Ask = Callable[..., Document]


class Section:
    """The keys that a section of the page tells, each with the part of the page that tells what is inside."""

    def __init__(self, text: str) -> None:
        self.parts: dict[str, str | None] = {}
        for row in _ROW.finditer(text):
            part = _PART.search(row["means"])
            is_whole = row["means"].startswith("as of")
            for path in re.findall(r"`([^`]+)`", row["paths"]):
                self.parts[path] = part["part"] if part and not is_whole else None

    def find(self, path: str) -> str | None:
        """The key that the page has for that of a document: `moves.*` for `moves.train`."""
        return next((told for told in self.parts if _pattern(told).fullmatch(path)), None)


def _pattern(told: str) -> re.Pattern[str]:
    return re.compile(re.escape(told).replace(r"\*", r"[^.\[\]]+(\.[^\[\]]+)?"))


SECTIONS = {match["title"]: Section(match["text"]) for match in _SECTION.finditer(PAGE.read_text("utf-8"))}
OPEN = ("facts", "images[].resolution", "images[].conflict", "images[].failed_build", "size.duplicate")
"""What is told elsewhere, or by words."""


def walk(value: object, path: str, section: Section) -> Iterator[str]:
    """The keys of a document, down to those whose insides are another part of the page."""
    if section.parts.get(path) is not None or path in OPEN:
        yield path
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from walk(inner, f"{path}.{key}" if path else key, section)
    elif isinstance(value, list):
        yield path + "[]"
        for inner in value:
            yield from walk(inner, path + "[]", section)
    else:
        yield f"{path}.*" if value == {} else path


def compare(title: str, *documents: Document) -> None:
    """Every key of the documents is told, and every key that is told is in one of them."""
    section = SECTIONS[title]
    seen: set[str] = set()
    for document in documents:
        assert document
        for path in walk({key: value for key, value in document.items() if key != "schema"}, "", section):
            told = section.find(path)
            is_empty = any(one.startswith(path) for one in section.parts)
            assert told or is_empty, f"{title}: docs/programs.md does not tell {path}"
            seen |= {told} if told else set()
    assert set(section.parts) - seen == set(), f"{title}: docs/programs.md tells what nobody prints"


@pytest.fixture
def ask(run: Run) -> Ask:
    def ask(*words: str) -> Document:
        code, out, err = run(*words, "--json")
        assert code in (0, 1, 3), err
        return json.loads(out)

    return ask


def inner(document: Document, key: str) -> list[Document]:
    """What each image of a document has under the key."""
    images = document["images"]
    assert isinstance(images, list)
    return [image[key] for image in images if image.get(key)]


def test_answers(ask: Ask) -> None:
    good = ask("resolve", "pytorch==2.8.*", "gpu=H100", "--top", "2")
    twice = ask("resolve", "pytorch", "base=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu22.04")
    bad = ask("resolve", "pytorch==2.6.*", "gpu=RTX 5090")
    assert good["images"][0]["status"] == "resolved"
    compare("resolve", good, bad)
    compare("A resolution", *inner(good, "resolution"), *inner(twice, "resolution"))
    compare("A conflict", *inner(bad, "conflict"))
    explained = ask("explain", "pytorch==2.8.*", "gpu=H100", "driver=550.54")
    compare("explain", explained, ask("explain", "pytorch==2.6.*", "gpu=RTX 5090"))


def test_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cudaforge.toml").write_text(
        'schema = 1\n[images.a]\nframework = "pytorch"\non_conflict = "skip"\n'
        '[images.a.matrix]\npython = ["3.11", "3.12"]\ncuda = ["12.8", "10.2"]\n'
    )
    code, out, err = run("matrix", "--format", "json")
    assert code in (0, 1), err
    compare("matrix", json.loads(out))


IMAGE = 'framework = "jax==0.9.*"\ncuda = "none"\nbase = "debian:12-slim"\npackages = ["numpy"]\n'


def test_locks(world: World, ask: Ask) -> None:
    skipped = 'on_conflict = "skip"\npython = "3.9"\n'
    world.declare(one=IMAGE, two=IMAGE, three=IMAGE + skipped)
    first = ask("lock")
    copy = world.root / "old" / "cudaforge.lock"
    shutil.copytree(world.root / "cudaforge.lock.d", copy.parent / "cudaforge.lock.d")
    shutil.copy(world.root / "cudaforge.lock", copy)
    world.versions["numpy"] = "2.2.0"
    world.push("moved")
    outdated = ask("outdated")
    upgraded = ask("upgrade", "two")
    world.answer_with(500)
    unasked = ask("outdated", "one")
    compare("outdated", outdated, unasked)
    compare("upgrade", upgraded)
    compare("lock", first, ask("lock", "--as-of", "2026-11-01"))
    different = ask("diff", str(copy), "cudaforge.lock")
    compare("diff", different)
    compare("Changes of an image", *different["images"], *upgraded["images"])
    compare("render", ask("render", "-o", "docker"))
    compare("report", ask("report"))


BUILT = BuildResult(
    name="train", state=BuildState.FAILED, reference="a:b", image_id=None, size=None, seconds=1, log="x"
)
PUSHED = Publication(
    name="train",
    image_id="sha256:0",
    tags=(
        PushedTag(reference="a:b", digest="", image="sha256:1", platforms=("linux/amd64",), missing=("b",)),
    ),
    attached={"sbom": "sha256:2"},
    is_signed=False,
)


def test_what_is_made() -> None:
    build, push = dict(result_to_json(BUILT)), dict(publication_to_json(PUSHED))
    compare("A build", build)
    compare("A push", push)
    compare("A verdict", verdict_to_json(GOOD), verdict_to_json(BAD))
    dropped = DroppedPoint(name="old", core=("gpu=V100",))
    run = run_json([GPU_IMAGE], {"train": BUILT}, {"train": GOOD}, [dropped], [PUSHED])
    compare("up", {**run, "warnings": {"train": ["old"]}})
    item = Leftover(kind=Kind.IMAGE, name="a", id="b", bytes=1)
    compare("clean", {"dry_run": True, **leftovers_json(Cleaned(items=(item,), freed=0))})


def test_judgements(tmp_path: Path, ask: Ask) -> None:
    found = (
        ("CVE-1", "HIGH", "zlib1g", "1"),
        ("CVE-2", "CRITICAL", "bash", "2"),
        ("CVE-3", "LOW", "dash", "3"),
    )
    report, allow = tmp_path / "report.json", tmp_path / "allow.toml"
    report.write_text(json.dumps(trivy(*found)))
    entry = '[[allow]]\nid = "{}"\nreason = "not used"\nexpires = 2999-12-31\n'
    allow.write_text(entry.format("CVE-1") + entry.format("CVE-9"))
    compare("gate", ask("gate", str(report), "--allow", str(allow)))
    files = tmp_path / "files"
    files.mkdir()
    (files / "Dockerfile").write_text(
        "FROM python:3.12-slim\nRUN pip install torch==2.8.0+cu128\n"
        "# cudaforge: ignore=unpinned-framework the day decides\nRUN pip install jax\n"
    )
    (files / "own.Dockerfile").write_text("FROM site.example/own:1\nRUN pip install torch\n")
    compare("audit", ask("audit", str(files)))


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("audit", [one.value for one in (*AuditVerdict, *Severity)]),
        ("explain", [one.value for one in ExcludedBy]),
        ("gate", SEVERITIES),
        *(
            (title, [one.value for one in values])
            for title, kinds in {
                "A build": [BuildState],
                "A conflict": [ReasonKind],
                "A resolution": [CudaProvider, PythonProvider, Flavor],
                "A verdict": [CheckState],
                "Changes of an image": [Effect],
            }.items()
            for values in kinds
        ),
    ],
)
def test_words_are_told(title: str, words: Sequence[str | Enum]) -> None:
    text = {match["title"]: match["text"] for match in _SECTION.finditer(PAGE.read_text("utf-8"))}[title]
    assert [word for word in words if f"`{word}`" not in text] == []
