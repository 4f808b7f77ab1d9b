"""What goes with a pushed image where git is slow, or does not know the project."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cudaforge import process
from cudaforge.builder import BuildState
from cudaforge.builder.results import cancelled_result
from cudaforge.errors import Problem
from cudaforge.pipeline import accompanying, builders, decide, publishing
from cudaforge.pipeline.publishing import PushOrder, plan_push, publish
from cudaforge.records import replace
from cudaforge.registry import Access, Attached, NoSuchImage, Referrer, Subject
from tests.support.locks import GPU_IMAGE, make_lock

COMMIT = "c" * 40
LOCK = make_lock(
    *(replace(GPU_IMAGE, name=name, image=name, tags=(f"r.test/{name}:1",)) for name in ("one", "two"))
)
RESULTS = tuple(
    replace(cancelled_result(image, ""), state=BuildState.BUILT, image_id="sha256:1", builder="here")
    for image in LOCK.images
)
Git = Callable[[tuple[str, ...]], process.Completed]


def said(words: tuple[str, ...], text: str, *, status: int = 0) -> process.Completed:
    return process.Completed(argv=words, returncode=status, stdout=text, stderr="")


def clean(words: tuple[str, ...]) -> process.Completed:
    return said(words, "" if "status" in words else f"{COMMIT}\n")


def changed(words: tuple[str, ...]) -> process.Completed:
    return said(words, " M main.py\n") if "status" in words else clean(words)


def none_of_gits(words: tuple[str, ...]) -> process.Completed:
    return said(words, "", status=128)


def absent(words: tuple[str, ...]) -> process.Completed:
    raise process.ProgramNotFound(Problem(what=f"cannot start {words[0]}"))


def slow(words: tuple[str, ...]) -> process.Completed:
    if "status" in words:
        raise process.ProgramTimeout(Problem(what="git did not end within 60 s and was stopped"))
    return clean(words)


@pytest.fixture
def push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Push both images with their provenance: the revisions in it, how often git was asked, and the notes."""
    (tmp_path / "cudaforge.toml").write_text('schema = 1\n[images.one]\nframework = "pytorch"\n')
    declaration = decide.load(tmp_path / "cudaforge.toml")
    engine = SimpleNamespace(kind="Docker", server_version="27", tag_image=lambda *_: None)
    attached: list[bytes] = []

    def attach(*_: object, content: bytes, **__: object) -> Subject:
        attached.append(content)
        return Subject(digest="sha256:2", media_type="", size=1)

    monkeypatch.setattr(builders, "find_holders", lambda *_: ({"here": engine}, {}))
    monkeypatch.setattr(accompanying, "_package_database", lambda *_: "Package: dpkg\n")
    monkeypatch.setattr(accompanying, "list_attached", lambda *_, **__: ())
    monkeypatch.setattr(accompanying, "attach", attach)
    pushed = Subject(digest="sha256:" + "1" * 64, media_type="", size=1)
    monkeypatch.setattr(publishing._Publishing, "_push", lambda *_: pushed)

    def run(git: Git) -> tuple[list[str | None], int, list[str]]:
        asked: list[tuple[str, ...]] = []

        def answer(words: tuple[str, ...], **_: object) -> process.Completed:
            asked.append(words)
            return git(words)

        monkeypatch.setattr(process, "run", answer)
        notes: list[str] = []
        plan = plan_push(LOCK, declaration, PushOrder(has_provenance=True), names=("one", "two"))
        publish(LOCK, RESULTS, plan, declaration=declaration, on_note=notes.append)
        found = [json.loads(one)["predicate"]["buildDefinition"]["externalParameters"] for one in attached]
        return (
            [one.get("revision") for one in found],
            len([words for words in asked if "status" in words]),
            [note for note in notes if "pushed" not in note],
        )

    return run


def test_git_that_is_slow_costs_the_revision_and_no_push(push):
    assert push(slow) == (
        [None, None],
        1,
        ["git did not end within 60 s and was stopped: the provenance names no commit"],
    )


@pytest.mark.parametrize(
    ("git", "revision", "asked"),
    [(clean, COMMIT, 1), (changed, None, 1), (none_of_gits, None, 0), (absent, None, 0)],
)
def test_the_commit_is_in_the_provenance_where_the_project_is_as_committed(push, git: Git, revision, asked):
    assert push(git) == ([revision, revision], asked, [])


@pytest.mark.parametrize("is_there", [True, False])
def test_what_the_registry_lists_and_has_no_longer_is_attached_again(
    monkeypatch: pytest.MonkeyPatch, *, is_there: bool
):
    mark = hashlib.sha256(b"document").hexdigest()
    listed = Referrer(
        subject="sha256:1",
        digest="sha256:old",
        artifact_type="t",
        annotations={accompanying.CONTENT_ANNOTATION: mark},
    )

    def read(*_: object) -> None:
        if not is_there:
            raise NoSuchImage(Problem(what="no such digest"))

    sent = Attached(subject="sha256:1", digest="sha256:new", by_tag=True)
    monkeypatch.setattr(accompanying, "list_attached", lambda *_, **__: (listed,))
    monkeypatch.setattr(accompanying, "read_attached", read)
    monkeypatch.setattr(accompanying, "attach", lambda *_, **__: sent)
    subject = Subject(digest="sha256:1", media_type="", size=1)
    found = accompanying._attach(
        "r.test/a:1",
        subject,
        Access(mirrors={}, timeout=1),
        media_type="t",
        write=lambda _: b"document",
        more={},
    )
    assert found == ("sha256:old" if is_there else "sha256:new")
