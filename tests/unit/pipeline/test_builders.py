"""What becomes of a run's images when one of several builders goes away after it has built."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from cudaforge import engine as engines
from cudaforge.builder import BuildState
from cudaforge.builder.results import cancelled_result
from cudaforge.engine import EngineDied, EngineFrozen, NamedBuilder
from cudaforge.errors import Problem, SurroundingsError
from cudaforge.pipeline import decide, make, proving, publishing
from cudaforge.pipeline.publishing import PushOrder, plan_push, publish
from cudaforge.publisher.model import Publication
from cudaforge.records import replace
from tests.support.locks import GPU_IMAGE, make_lock
from tests.unit.report.proofs import GOOD

HOLDERS = {"one": "gone", "two": "here"}
LOCK = make_lock(*(replace(GPU_IMAGE, name=name, image=name, tags=(f"r.test/a:{name}",)) for name in HOLDERS))
RESULTS = tuple(
    replace(
        cancelled_result(image, ""),
        state=BuildState.BUILT,
        image_id=f"sha256:{image.name}",
        builder=HOLDERS[image.name],
    )
    for image in LOCK.images
)
DIED = EngineDied(Problem(what="the container engine went away", remedy="start it again"))


def named(name: str) -> NamedBuilder:
    return NamedBuilder(name=name, engine=SimpleNamespace(name=name), builder=name)


@pytest.fixture
def declaration(tmp_path: Path):
    file = tmp_path / "cudaforge.toml"
    file.write_text('schema = 1\n[images.one]\nframework = "pytorch"\n')
    return decide.load(file)


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Which engine pushed which image."""
    done: dict[str, str] = {}

    def connect_named(name: str) -> NamedBuilder:
        if name == "gone":
            raise DIED
        return named(name)

    class Pushing:
        def __init__(self, image, image_id, _, engine, *__) -> None:
            self.image, self.image_id, self.engine = image, image_id, engine

        def run(self, _) -> Publication:
            done[self.image.name] = self.engine.name
            return Publication(
                name=self.image.name, image_id=self.image_id, tags=(), attached={}, is_signed=False
            )

    monkeypatch.setattr(engines, "connect_named", connect_named)
    monkeypatch.setattr(publishing, "_Publishing", Pushing)
    return done


def test_what_a_lost_builder_has_is_asked_of_no_other(declaration, pushed: Mapping[str, str]):
    plan = plan_push(LOCK, declaration, PushOrder(), names=tuple(HOLDERS))
    told: list[str] = []
    with pytest.raises(SurroundingsError) as raised:
        publish(
            LOCK,
            RESULTS,
            plan,
            declaration=declaration,
            builders=("gone", "here"),
            on_pushed=lambda one: told.append(one.name),
        )
    assert pushed == {"two": "here"}
    assert told == ["two"]
    (problem,) = raised.value.problems
    assert problem.what == "one is not pushed: the builder gone: the container engine went away"
    assert problem.remedy == "start it again"


def test_a_builder_that_has_nothing_to_push_may_be_away(declaration, pushed: Mapping[str, str]):
    plan = plan_push(LOCK, declaration, PushOrder(), names=("two",))
    notes: list[str] = []
    publish(
        LOCK,
        RESULTS[1:],
        plan,
        declaration=declaration,
        builders=("gone", "here"),
        on_note=notes.append,
    )
    assert pushed == {"two": "here"}
    assert notes == []


@pytest.mark.parametrize("builders", [("here",), ()])
def test_a_builder_that_is_silent_once_has_its_images_pushed(
    declaration, pushed: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, builders: tuple[str, ...]
):
    silences = [EngineFrozen(Problem(what="the container engine does not answer within 10 s"))]

    def once_silent(name: str = "here") -> NamedBuilder:
        if silences:
            raise silences.pop()
        return named(name)

    monkeypatch.setattr(engines, "connect_named", once_silent)
    monkeypatch.setattr(engines, "connect", lambda: once_silent().engine)
    plan = plan_push(LOCK, declaration, PushOrder(), names=("two",))
    publish(LOCK, RESULTS[1:], plan, declaration=declaration, builders=builders)
    assert pushed == {"two": "here"}


def test_the_images_of_the_others_are_proven(declaration, monkeypatch: pytest.MonkeyPatch):
    def verify_locked(lock, engine, **_):
        if engine.name == "gone":
            raise DIED
        return tuple(replace(GOOD, name=image.name) for image in lock.images)

    monkeypatch.setattr(engines, "connect_named", named)
    monkeypatch.setattr(make, "_build", lambda *_, **__: RESULTS)
    monkeypatch.setattr(proving, "verify_locked", verify_locked)
    with pytest.raises(SurroundingsError) as raised:
        make.make(LOCK, declaration=declaration, builders=("gone", "here"))
    assert [one.what for one in raised.value.problems] == ["the builder gone: the container engine went away"]
    kept = json.loads((declaration.root / ".cudaforge/results.json").read_text())
    for told in (kept, raised.value.answer):
        assert [(image["name"], image["verdict"] is not None) for image in told["images"]] == [
            ("one", False),
            ("two", True),
        ]


def test_the_only_engine_is_named_by_itself(declaration, monkeypatch: pytest.MonkeyPatch):
    def verify_locked(*_, **__):
        raise DIED

    monkeypatch.setattr(engines, "connect_named", named)
    monkeypatch.setattr(make, "_build", lambda *_, **__: RESULTS)
    monkeypatch.setattr(proving, "verify_locked", verify_locked)
    with pytest.raises(EngineDied, match=r"^the container engine went away$"):
        make.make(LOCK, declaration=declaration, builders=("here",))
